"""Trees and what is made of them: exact Shapley values of the path a case takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.attribution.explained import Explained, Share
from tidemill.attribution.tree_families import family_of
from tidemill.attribution.tree_flat import Flat
from tidemill.attribution.tree_game import attributions, product, total
from tidemill.attribution.tree_readings import VOTES
from tidemill.attribution.tree_stack import Stack
from tidemill.models.outputs import Binary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidemill.attribution.tree_families import Family
    from tidemill.attribution.tree_game import Floats
    from tidemill.models.outputs import Answer, Task

_COVER = "tree cover"
# Leaves that add numbers: their path is measured from the cover, their numbers from 0.
_COVER_AND_ZERO = "tree cover, leaf terms from 0"


def explainer_of_trees(model: Any) -> TreeExplainer | None:  # Any: River's model
    """Return what explains a predictor made of trees; None where it is none.

    None too for a bag of anything else, for a forest's median and for River's weighted mean.

    Args:
        model: The predictor alone, without the pipeline around it.
    """
    family = family_of(model)
    return None if family is None else TreeExplainer(model, family)


class _Said(NamedTuple):
    """What the model answered: a number, and of which class, as River and predictions name it."""

    prediction: float
    label: Any = None  # Any: River's label
    key: str | None = None


class TreeExplainer:
    """Explains one model; what it keeps of the trees follows what they learn.

    The game: a feature outside the coalition sends the case to every child, with the shares of
    the cases that came to the leaves below; one inside sends it where it goes, which for a
    missing feature or an unknown category is River's most common child.

    A forest whose trees vote is a sum of trees once it is said how many votes there are: those
    cast for the case that is explained. A leaf that has seen nothing casts none.

    Every answer is what an explainer made afresh would give, to the last bit, as long as
    `learned` is told each case after the model has learned it. Behind a transformer that learns,
    a case learned twice is two cases: the model is given other numbers the second time.
    """

    def __init__(self, model: Any, family: Family) -> None:  # Any: River's model
        self._model = model
        self._family = family
        self._flats: list[Flat | None] | None = None
        self._stack: Stack | None = None
        self._owner: tuple[tuple[str, str], ...] | None = None
        self._players: dict[str, int] = {}
        self._columns: dict[str, str] = {}

    def learned(self, z: Mapping[str, Any]) -> None:  # Any: numbers and texts
        """Follow the model, which has just learned a case.

        Args:
            z: What the model itself was given, after all transformers.
        """
        trees = self._family.trees()
        flats = self._flats
        if flats is None or len(trees) != len(flats):
            self.forget()
            return
        if self._family.linear and not self._columns.keys() >= z.keys():
            self._stack = None
        for number, (tree, flat) in enumerate(zip(trees, flats, strict=True)):
            changed = _learned(flat, tree, z)
            if changed is None:
                flats[number] = self._stack = None
            elif changed and flat is not None:
                flat.answer(changed)
                if self._stack is not None:
                    self._stack.reweigh()

    def forget(self) -> None:
        """Keep nothing: the model has learned something that cannot be told."""
        self._flats = self._stack = None

    def explain(
        self,
        z: Mapping[str, Any],  # Any: numbers and texts
        owner: Mapping[str, str],
        task: Task,
        answer: Answer | None = None,
    ) -> Explained | None:
        """Return why the model answers a case as it does; None where it has no answer.

        Args:
            z: What the model itself is given, after all transformers.
            owner: The player of each column that may be in z, in the order of the definition;
                columns of one player join a coalition together. A column without one is a player
                by itself.
            task: Regression and anomaly explain the number; binary the probability of the
                positive class; multiclass that of the predicted class.
            answer: What the model answers, if that is known; else it is asked.
        """
        said = self._said(z, task, answer)
        if said is None:
            return None
        stack = self._laid(owner)
        goes, lost = stack.follow(z)
        rows = stack.rows(goes)
        seen = stack.seen(lost)
        values = stack.values(said.label, seen)
        if self._family.linear:
            values = self._with_terms(values, stack, (seen, z))
        reached = product(rows.there)
        values = stack.weighted(values, self._weights(stack, seen, reached))
        offset = self._family.offset()
        residual = 0.0
        if not self._family.exact:
            residual = said.prediction - (offset + total(values * reached))
        found = attributions(rows, values)
        return Explained(
            method="TREE_PATH",
            exact=self._family.exact,
            output_space=self._family.space,
            base=offset + total(values * stack.covers),
            prediction=said.prediction,
            shares=tuple(map(Share, self._players, found)),
            residual=residual,
            target_class=said.key,
            reference_kind=_COVER_AND_ZERO if self._family.linear else _COVER,
            reference_n=_cases(stack),
            missing=self._missing(z, owner),
            support=_support(stack, reached),
        )

    def _said(
        self,
        z: Mapping[str, Any],
        task: Task,
        answer: Answer | None,  # Any: as above
    ) -> _Said | None:
        if self._family.space == "anomaly score":
            score = self._model.score_one(z) if answer is None else answer.value
            return None if score is None else _Said(float(score))
        if answer is None:
            answer = task.ask(self._model, dict(z))
        if answer.value is not None:
            return _Said(answer.value)
        if not answer.probabilities or answer.outcome is None:
            return None
        if isinstance(task, Binary):
            key = str(task.key(True))
            return _Said(answer.probabilities.get(key, 0.0), True, key)
        return _Said(answer.probabilities[answer.outcome], answer.outcome, answer.outcome)

    def _laid(self, owner: Mapping[str, str]) -> Stack:
        """Return the trees of now, laid out for these players."""
        pairs = tuple(owner.items())
        if self._owner != pairs:
            self._owner, self._stack = pairs, None
        if self._stack is None:
            trees = self._family.trees()
            known = self._flats or [None] * len(trees)
            flats = [
                flat or Flat.of(tree, self._family.reading(tree))
                for tree, flat in zip(trees, known, strict=True)
            ]
            self._flats = list(flats)
            self._stack = self._stacked(flats, dict(owner))
        self._stack.renew()
        return self._stack

    def _stacked(self, flats: Sequence[Flat], owner: dict[str, str]) -> Stack:
        for column in _asked(flats, is_linear=self._family.linear):
            owner.setdefault(column, column)
        names = list(dict.fromkeys(owner.values()))
        if owner != self._columns or names != list(self._players):
            for flat in flats:
                flat.paths = None
        self._columns = owner
        self._players = {name: number for number, name in enumerate(names)}
        players = {column: self._players[name] for column, name in owner.items()}
        gates = range(len(names)) if self._family.linear else ()
        return Stack(flats, players, len(names), gates)

    def _with_terms(
        self, values: Floats, stack: Stack, case: tuple[Sequence[Flat], Mapping[str, Any]]
    ) -> Floats:  # Any: as above
        """Return the values with those of the numbers that leaves add for this case."""
        seen, z = case
        values = values.copy()
        added: dict[tuple[int, int], dict[int, float]] = {}
        for row, tree, leaf, player in stack.gated():
            if (tree, leaf) not in added:
                terms = seen[tree].reading.terms(seen[tree], leaf)
                sums = added[tree, leaf] = {}
                for column, weight in terms.items():
                    number = z.get(column)
                    if number is not None and not isinstance(number, str):
                        who = self._players[self._columns[column]]
                        sums[who] = sums.get(who, 0.0) + weight * number
            values[row] = added[tree, leaf].get(player, 0.0)
        return values

    def _weights(self, stack: Stack, seen: Sequence[Flat], reached: Floats) -> Sequence[float]:
        weights = self._family.weights()
        if not self._family.votes:
            return weights
        cast = total(stack.weighted(stack.values(VOTES, seen) * reached, weights))
        return [weight / cast if cast > 0.0 else 0.0 for weight in weights]

    def _missing(self, z: Mapping[str, Any], owner: Mapping[str, str]) -> tuple[str, ...]:
        there = {owner.get(column, column) for column in z}
        return tuple(name for name in self._players if name not in there)


def _learned(flat: Flat | None, tree: Any, z: Mapping[str, Any]) -> range | None:  # Any: as above
    return flat.reading.learned(flat, z) if flat is not None and flat.tree is tree else None


def _asked(flats: Sequence[Flat], *, is_linear: bool) -> Iterator[str]:
    """Yield the columns that splits ask for, and those of the numbers that leaves add."""
    for flat in flats:
        yield from flat.find_splits().features
        for leaf in range(len(flat.leaves) if is_linear else 0):
            yield from flat.reading.terms(flat, leaf)


def _cases(stack: Stack) -> int:
    """Return the mean weight of the trees that have learned: their reference is what they saw."""
    weights = [flat.weights[0] for flat in stack.flats if flat.nodes]
    return round(sum(weights) / len(weights)) if weights else 0


def _support(stack: Stack, reached: Floats) -> float | None:
    """Return the weight of the leaf that answered, where there is one tree."""
    if len(stack.flats) != 1 or not stack.flats[0].nodes:
        return None
    flat = stack.flats[0]
    return next(flat.weights[number] for n, number in enumerate(flat.leaves) if reached[n] == 1.0)

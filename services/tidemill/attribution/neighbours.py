"""Nearest neighbours, by example: the cases that answered, and what each sensor did to the answer.

Shares are Shapley values of the model's own answer. A sensor that has not joined takes the mean of
the cases in the window, in the space in which distances are measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.attribution.explained import Explained, Neighbour
from tidemill.attribution.passage import kind_of
from tidemill.attribution.playing import PERMUTATIONS, Table, play

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.attribution.passage import Passage
    from tidemill.attribution.question import Question

_CLASSIFIER = frozenset({"KNNClassifier"})
NEIGHBOURS = _CLASSIFIER | {"KNNRegressor"}


class NeighboursMethod:
    """Explains one model of neighbours behind its transformers.

    Args:
        permutations: Drawn where all subsets would be more questions.
    """

    def __init__(
        self, passage: Passage, question: Question, permutations: int = PERMUTATIONS
    ) -> None:
        self._passage = passage
        self._question = question
        self._permutations = permutations

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # Any: numbers
        """Return the explanation; None before a classifier has learned."""
        passage, question, model = self._passage, self._question, self._passage.predictor
        z = passage.transform(x)
        target, is_classifier = None, kind_of(model, _CLASSIFIER) != ""
        if is_classifier:
            target = question.target(model.predict_proba_one(z))
            if target is None:
                return None

        def answer(case: dict[str, Any]) -> float:  # Any: as above
            if not is_classifier:
                return float(model.predict_one(case))
            return float(model.predict_proba_one(case).get(target, 0.0))

        window = model._nn.window
        means = _means(item[0][0] for item in window)
        columns = {
            name: own
            for name, own in passage.columns().items()
            if name in x or any(column in means for column in own)
        }
        played = play(Table(z, means, columns), answer, seed, self._permutations)
        if played is None:
            return None
        nearest = self._nearest(z)
        return Explained(
            "NEIGHBOURS",
            exact=played.samples is None,
            output_space="probability" if is_classifier else "value",
            base=played.base,
            prediction=played.prediction,
            shares=played.shares,
            target_class=question.key(target),
            reference_kind="mean of the window",
            reference_n=len(window),
            missing=tuple(name for name in columns if name not in x),
            support=float(len(nearest)),
            samples=played.samples,
            neighbours=nearest,
        )

    def _nearest(self, z: dict[str, float]) -> tuple[Neighbour, ...]:
        model, key = self._passage.predictor, self._question.task.key
        cases, distances = model._nn.search((z, None), n_neighbors=model.n_neighbors)
        return tuple(
            Neighbour(float(distance), key(label))
            for (_, label), distance in zip(cases, distances, strict=True)
        )


def _means(cases: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each column over the cases that have it."""
    found: dict[str, tuple[int, float]] = {}
    for case in cases:
        for column, value in case.items():
            count, total = found.get(column, (0, 0.0))
            found[column] = count + 1, total + value
    return {column: total / count for column, (count, total) in found.items()}

"""Shapley values of trees by their definition: every subset of players, River's nodes as they are.

Nothing of the package is used: what a coalition is worth is found by walking down from the root.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

from river.anomaly import HalfSpaceTrees
from river.forest import AMFClassifier, AMFRegressor, ARFClassifier
from river.tree.base import Branch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Case = Mapping[str, Any]  # Any: numbers and texts
    Coalition = frozenset[str]
    Lost = frozenset[int]


def shapley(game: Callable[[frozenset[str]], float], players: Sequence[str]) -> dict[str, float]:
    """Return what each player adds, weighted over all coalitions of the others."""
    n = len(players)
    worth = {
        frozenset(some): game(frozenset(some))
        for size in range(n + 1)
        for some in combinations(players, size)
    }
    found = dict.fromkeys(players, 0.0)
    for some, value in worth.items():
        for player in players:
            if player not in some:
                weight = math.factorial(len(some)) * math.factorial(n - len(some) - 1)
                found[player] += weight / math.factorial(n) * (worth[some | {player}] - value)
    return found


class Game:
    """What a coalition of players is worth to a model that answers one case.

    Args:
        owner: The player of each column.
        label: Whose probability is meant; None for a number.
    """

    def __init__(self, model: Any, z: Case, owner: Mapping[str, str], label: Any = None) -> None:
        self.model, self.z, self.owner, self.label = model, z, owner, label
        self.players = list(dict.fromkeys(owner.values()))

    def __call__(self, coalition: frozenset[str]) -> float:
        """Return the answer expected where only these players are known."""
        answer = self.offset
        for tree, weight in self.members():
            if root_of(tree) is not None:
                answer += weight * self._expected(tree, [root_of(tree)], coalition, frozenset())
        return answer

    def shares(self) -> dict[str, float]:
        """Return the Shapley values."""
        return shapley(self, self.players)

    @property
    def offset(self) -> float:
        """What the trees' answers are added to."""
        return float(isinstance(self.model, HalfSpaceTrees) and not self.model._first_window)

    def members(self) -> list[tuple[Any, float]]:
        """Return the trees and their weights."""
        model = self.model
        if hasattr(model, "_root"):
            return [(model, 1.0)]
        if isinstance(model, HalfSpaceTrees):
            trees = [] if model._first_window else model.trees
            return [(tree, -1.0 / model._max_score) for tree in trees]
        if self.label is None or isinstance(model, AMFClassifier):
            return [(tree, 1.0 / len(model)) for tree in model]
        weights = [1.0] * len(model)
        if isinstance(model, ARFClassifier) and not model.disable_weighted_vote:
            weights = [metric.get() or 1.0 for metric in model._metrics]
        said = [sum(tree.predict_proba_one(self.z).values()) for tree in model]
        total = sum(w * s for w, s in zip(weights, said, strict=True))
        return [(tree, w / total if total else 0.0) for tree, w in zip(model, weights, strict=True)]

    def children(self, node: Any) -> Sequence[Any]:
        """Return the nodes below; none where a case stops."""
        if isinstance(self.model, HalfSpaceTrees) and node.r_mass < self.model.size_limit:
            return ()
        return node.children if isinstance(node, Branch) else ()

    def cover(self, node: Any) -> float:
        """Return the weight of the leaves below a node."""
        if children := self.children(node):
            return sum(self.cover(child) for child in children)
        if isinstance(self.model, HalfSpaceTrees):
            return float(node.r_mass)
        return float(node.n_samples if hasattr(node, "n_samples") else node.total_weight)

    def answer(self, tree: Any, way: Sequence[Any], lost: Lost, coalition: Coalition) -> float:
        """Return what a tree answers at the end of a way."""
        if isinstance(self.model, HalfSpaceTrees):
            return float(sum(node.r_mass * 2**n for n, node in enumerate(way)))
        if isinstance(self.model, AMFClassifier | AMFRegressor):
            return self._mixed(tree, way)
        beside = []
        for node in way:
            if getattr(node, "_alternate_tree", None) is not None:
                beside += [node._alternate_tree] * (2 if id(node) in lost else 1)
        if self.label is not None:
            return self._probability([*beside, way[-1]])
        numbers = [self._number(leaf, coalition) for leaf in [*beside, way[-1]]]
        return sum(numbers) / len(numbers)

    def _expected(self, tree: Any, way: list[Any], coalition: Coalition, lost: Lost) -> float:
        """Return the mean answer below the last node of a way."""
        node, children = way[-1], self.children(way[-1])
        if not children:
            return self.answer(tree, way, lost, coalition)
        child, is_lost = self.next(node)
        lost = lost | {id(child)} if is_lost else lost
        if self.owner.get(node.feature, node.feature) in coalition:
            return self._expected(tree, [*way, child], coalition, lost)
        weights = [self.cover(one) for one in children]
        total = sum(weights)
        return sum(
            (weight / total if total else 1 / len(weights))
            * self._expected(tree, [*way, one], coalition, lost)
            for one, weight in zip(children, weights, strict=True)
        )

    def next(self, node: Any) -> tuple[Any, bool]:
        """Return where the case goes, and whether it is lost there."""
        try:
            return node.next(self.z), False
        except KeyError:
            return node.most_common_path()[1], True

    def _probability(self, leaves: Sequence[Any]) -> float:
        """Return the probability where leaves of an adaptive tree answer together."""
        if len(leaves) == 1:
            seen = sum(leaves[0].stats.values())
            return float(leaves[0].stats.get(self.label, 0.0) / seen) if seen else 0.0
        loud = []
        for leaf in leaves:
            error = leaf._mean_error.get()
            loud.append(1 / error**2 if error else 1.0)
        together = sum(
            weight * leaf.stats.get(self.label, 0.0) / sum(leaf.stats.values())
            for leaf, weight in zip(leaves, loud, strict=True)
        )
        return float(together / sum(loud))

    def _number(self, leaf: Any, coalition: frozenset[str]) -> float:
        """Return a leaf's number, of a linear one with the terms of the coalition only."""
        is_mean = not hasattr(leaf, "_leaf_model") or (
            hasattr(leaf, "_fmse_mean") and leaf._fmse_mean < leaf._fmse_model
        )
        if is_mean:
            return float(leaf.stats.mean.get())
        known = {
            column: value
            for column, value in self.z.items()
            if self.owner.get(column, column) in coalition
        }
        return float(leaf._leaf_model.predict_one(known))

    def _mixed(self, tree: Any, way: Sequence[Any]) -> float:
        """Return what a Mondrian tree answers: the leaf's answer, mixed on the way up."""
        mixed = self._said(tree, way[-1])
        for node in reversed(way[:-1] if tree.use_aggregation else []):
            share = math.exp(node.weight - node.log_weight_tree)
            mixed = share / 2 * self._said(tree, node) + (1 - share / 2) * mixed
        return mixed

    def _said(self, tree: Any, node: Any) -> float:
        if self.label is None:
            return float(node.predict())
        index = tree._class_to_idx.get(self.label)
        if index is None:
            return 0.0
        return float(node.score(index, tree.dirichlet, len(tree._classes)))


def root_of(tree: Any) -> Any:
    """Return the root, which a tree of half spaces is itself; None where there is none."""
    return getattr(tree, "_root", tree)

"""What the nodes of River's trees say: where a case goes, what a leaf weighs, what it answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from river.tree.nodes.branch import NumericBinaryBranch
from river.tree.nodes.htr_nodes import LeafAdaptive, LeafModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.attribution.tree_flat import Flat

# Asked for in the place of a class: whether a leaf says anything, 1 or 0.
VOTES = object()


class Reading(Protocol):
    """How trees of one family are read."""

    def children(self, node: Any) -> Sequence[Any]:  # Any: River's nodes, here and below
        """Return the nodes below; none where a case stops."""

    def weight(self, leaf: Any) -> float:
        """Return how many cases the leaf stands for."""

    def threshold(self, node: Any) -> float | None:
        """Return up to which number a case goes to the first child; None if not decided so."""

    def common(self, flat: Flat, number: int) -> int:
        """Return which child a case goes to that lacks the feature of a node."""

    def aside(self, node: Any) -> Any:
        """Return the leaf that answers beside those below a node, if any."""

    def answers(self, flat: Flat, label: Any, leaves: range) -> list[float]:
        """Return what leaves answer: for a class its probability, for None the number."""

    def terms(self, flat: Flat, leaf: int) -> Mapping[str, float]:
        """Return the weights of the numbers that a leaf adds to its answer."""

    def learned(self, flat: Flat, z: Mapping[str, Any]) -> range | None:
        """Read anew what changed where a tree has learned a case.

        Returns:
            Which leaves may answer differently; None where the structure changed, and the tree
            must be laid out anew.
        """


def most(weights: Sequence[float]) -> int:
    """Return the first of the largest, as River does."""
    return max(range(len(weights)), key=weights.__getitem__)


class ClassLeaves:
    """Hoeffding trees whose leaves answer with the shares of the classes they have seen."""

    def children(self, node: Any) -> Sequence[Any]:
        """Return the nodes below."""
        found: Sequence[Any] = getattr(node, "children", ())
        return found

    def weight(self, leaf: Any) -> float:
        """Return the weight that River compares: of what was learned and inherited."""
        return float(leaf.total_weight)

    def threshold(self, node: Any) -> float | None:
        """Return the threshold of a split in two at a number."""
        return float(node.threshold) if isinstance(node, NumericBinaryBranch) else None

    def common(self, flat: Flat, number: int) -> int:
        """Return the heaviest child."""
        return most([flat.weights[kid] for kid in flat.kids[number]])

    def aside(self, node: Any) -> Any:
        """Return an adaptive tree's alternate, which is a leaf: it splits when it takes over."""
        return getattr(node, "_alternate_tree", None)

    def answers(self, flat: Flat, label: Any, leaves: range) -> list[float]:
        """Return a class's share of what each leaf has seen; 0 of nothing."""
        return [
            self._share(flat.nodes[flat.leaves[leaf]].stats, label)
            if not (beside := flat.beside(leaf))
            else self._jointly([*beside, flat.nodes[flat.leaves[leaf]]], label)
            for leaf in leaves
        ]

    def terms(self, flat: Flat, leaf: int) -> Mapping[str, float]:  # noqa: ARG002  # Reading's signature
        """Return none."""
        return {}

    def learned(self, flat: Flat, z: Mapping[str, Any]) -> range | None:
        """Read the way of the case anew: nothing else has changed."""
        return flat.refresh(z)

    @staticmethod
    def _share(stats: Mapping[Any, float], label: Any) -> float:
        seen = sum(stats.values())
        if seen == 0:
            return 0.0
        return 1.0 if label is VOTES else stats.get(label, 0.0) / seen

    def _jointly(self, leaves: Sequence[Any], label: Any) -> float:
        """Return the share where several answer, each as loud as its errors are few."""
        loudness = []
        for leaf in leaves:
            error = leaf._mean_error.get()
            votes = self._share(leaf.stats, VOTES)
            loudness.append(votes / (error * error) if error else votes)
        loud = sum(loudness)
        if loud == 0:
            return 0.0
        shares = [self._share(leaf.stats, label) for leaf in leaves]
        return sum(a * b for a, b in zip(shares, loudness, strict=True)) / loud


class NumberLeaves(ClassLeaves):
    """Hoeffding trees whose leaves answer with a mean, or with a linear model."""

    def answers(self, flat: Flat, label: Any, leaves: range) -> list[float]:  # noqa: ARG002  # as above
        """Return the mean, or the intercept, of each leaf."""
        return [self._mean([_constant(node) for node in flat.speakers(leaf)]) for leaf in leaves]

    def terms(self, flat: Flat, leaf: int) -> Mapping[str, float]:
        """Return the weights of the linear models of those who answer."""
        speakers = flat.speakers(leaf)
        made: dict[str, float] = {}
        for node in speakers:
            for name, weight in _model(node).weights.items() if _is_linear(node) else ():
                made[name] = made.get(name, 0.0) + weight / len(speakers)
        return made

    @staticmethod
    def _mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)


def _is_linear(leaf: Any) -> bool:
    """Return whether a leaf answers with its linear model now."""
    if isinstance(leaf, LeafAdaptive):
        return not leaf._fmse_mean < leaf._fmse_model
    return isinstance(leaf, LeafModel)


def _model(leaf: Any) -> Any:
    return leaf._leaf_model


def _constant(leaf: Any) -> float:
    return float(_model(leaf).intercept if _is_linear(leaf) else leaf.stats.mean.get())


class MondrianNodes:
    """Mondrian trees, whose answer is mixed on the way from the leaf up to the root."""

    def __init__(self, tree: Any) -> None:
        self._size = tree._n_nodes
        self._mixes = tree.use_aggregation
        self._dirichlet = getattr(tree, "dirichlet", 0.0)

    def children(self, node: Any) -> Sequence[Any]:
        """Return the nodes below."""
        found: Sequence[Any] = () if node.is_leaf else node.children
        return found

    def weight(self, leaf: Any) -> float:
        """Return the number of cases."""
        return float(leaf.n_samples)

    def threshold(self, node: Any) -> float | None:
        """Return the threshold."""
        return float(node.threshold)

    def common(self, flat: Flat, number: int) -> int:
        """Return the child that has erred least: River compares its weights in the mixture."""
        return most([flat.nodes[kid].weight for kid in flat.kids[number]])

    def aside(self, node: Any) -> Any:  # noqa: ARG002  # as above
        """Return None."""
        return None

    def answers(self, flat: Flat, label: Any, leaves: range) -> list[float]:
        """Return the answer of each leaf, mixed with those of all above it."""
        said = self._said(flat, label)
        mixed = [0.0] * len(said)
        left = [1.0] * len(said)
        for number, node in enumerate(flat.nodes):
            share = 1.0
            if flat.kids[number]:
                share = math.exp(node.weight - node.log_weight_tree) / 2 if self._mixes else 0.0
            mixed[number] += left[number] * share * said[number]
            for kid in flat.kids[number]:
                mixed[kid], left[kid] = mixed[number], left[number] * (1.0 - share)
        return [mixed[flat.leaves[leaf]] for leaf in leaves]

    def terms(self, flat: Flat, leaf: int) -> Mapping[str, float]:  # noqa: ARG002  # as above
        """Return none."""
        return {}

    def learned(self, flat: Flat, z: Mapping[str, Any]) -> range | None:  # noqa: ARG002  # as above
        """Put off what every case changes, all answers, until they are asked for."""
        if flat.tree._n_nodes != self._size:
            return None
        flat.is_stale = True
        return range(0)

    def _said(self, flat: Flat, label: Any) -> list[float]:
        """Return what each node says for itself."""
        if label is None:
            return [float(node._mean.get()) for node in flat.nodes]
        index = flat.tree._class_to_idx.get(label)
        if index is None:
            return [0.0] * len(flat.nodes)
        classes = len(flat.tree._class_to_idx)
        return [node.score(index, self._dirichlet, classes) for node in flat.nodes]


class HalfSpaces:
    """Half-space trees: a case stops where few came, and counts double with each step."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._few = detector.size_limit

    def children(self, node: Any) -> Sequence[Any]:
        """Return the nodes below, unless few came here."""
        found: Sequence[Any] = () if node.r_mass < self._few else getattr(node, "children", ())
        return found

    def weight(self, leaf: Any) -> float:
        """Return the number of cases in the last window."""
        return float(leaf.r_mass)

    def threshold(self, node: Any) -> float | None:
        """Return the largest number below the threshold: River asks for less, not for at most."""
        return math.nextafter(node.threshold, -math.inf)

    def common(self, flat: Flat, number: int) -> int:
        """Return the child that more cases of the running window went to."""
        return most([flat.nodes[kid].l_mass for kid in flat.kids[number]])

    def aside(self, node: Any) -> Any:  # noqa: ARG002  # as above
        """Return None."""
        return None

    def answers(self, flat: Flat, label: Any, leaves: range) -> list[float]:  # noqa: ARG002  # as above
        """Return the masses on the way to each leaf, doubled with each step."""
        masses = [0.0] * len(flat.nodes)
        step = [1] * len(flat.nodes)
        for number, node in enumerate(flat.nodes):
            masses[number] += node.r_mass * step[number]
            for kid in flat.kids[number]:
                masses[kid], step[kid] = masses[number], step[number] * 2
        return [masses[flat.leaves[leaf]] for leaf in leaves]

    def terms(self, flat: Flat, leaf: int) -> Mapping[str, float]:  # noqa: ARG002  # as above
        """Return none."""
        return {}

    def learned(self, flat: Flat, z: Mapping[str, Any]) -> range | None:  # noqa: ARG002  # as above
        """Go on with the last window until the next is full."""
        return range(0) if self._detector.counter else None

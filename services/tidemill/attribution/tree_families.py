"""Which of River's models are trees or made of trees, and how their trees' answers are added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from river.anomaly import HalfSpaceTrees
from river.ensemble import BaggingClassifier, BaggingRegressor
from river.forest import AMFClassifier, AMFRegressor, ARFClassifier, ARFRegressor
from river.tree import HoeffdingTreeClassifier, HoeffdingTreeRegressor

from tidemill.attribution.tree_readings import ClassLeaves, HalfSpaces, MondrianNodes, NumberLeaves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidemill.attribution.tree_readings import Reading

    Trees = Callable[[], Sequence[Any]]  # Any: River's trees

Space = Literal["value", "probability", "vote share", "anomaly score"]


@dataclass(frozen=True, slots=True)
class Family:
    """How the answer of a model is made of its trees': offset + sum of weight times answer.

    Attributes:
        space: What the answer is.
        reading: How a tree is read.
        trees: The trees of now.
        weights: One for each tree, of now.
        votes: Whether the weights of the trees that say anything are made to sum to 1.
        exact: Whether leaves answer as they are read; if not, what is read is the answer that
            they fall back to.
        linear: Whether leaves may add numbers.
        offset: Of now.
    """

    space: Space
    reading: Callable[[Any], Reading]  # Any: River's tree, here and below
    trees: Trees
    weights: Callable[[], Sequence[float]]
    votes: bool = False
    exact: bool = True
    linear: bool = False
    offset: Callable[[], float] = float


def family_of(model: Any) -> Family | None:  # Any: River's model, here and below
    """Return how a model is made of trees; None where it is not, or its trees are no sum."""
    for cls, made in _FAMILIES:
        if isinstance(model, cls):
            return made(model)
    return None


def _class_tree(model: Any) -> Family:
    return _classes(model.leaf_prediction, lambda: [model])


def _number_tree(model: Any) -> Family:
    return _numbers(model.leaf_prediction, lambda: [model], 1)


def _classes(
    leaves: str, trees: Trees, weights: Callable[[], Sequence[float]] | None = None
) -> Family:
    """Return the family of one tree, or of several whose votes have weights."""
    return Family(
        "probability" if weights is None else "vote share",
        lambda _: ClassLeaves(),
        trees,
        weights or (lambda: [1.0]),
        votes=weights is not None,
        exact=leaves == "mc",
    )


def _numbers(leaves: str, trees: Trees, count: int) -> Family:
    return Family(
        "value",
        lambda _: NumberLeaves(),
        trees,
        lambda: [1.0 / count] * len(trees()),
        linear=leaves != "mean",
    )


def _bag(model: Any) -> Family | None:
    """Return the family of a bag of trees, which count alike; None for a bag of anything else."""
    kind = (
        HoeffdingTreeRegressor if isinstance(model, BaggingRegressor) else HoeffdingTreeClassifier
    )
    if not isinstance(model.model, kind):
        return None
    if kind is HoeffdingTreeRegressor:
        return _numbers(model.model.leaf_prediction, lambda: list(model), model.n_models)
    return _classes(
        model.model.leaf_prediction, lambda: list(model), lambda: [1.0] * model.n_models
    )


def _class_forest(model: Any) -> Family:
    """Return the family of a forest whose trees vote with the weight of their accuracy."""

    def weights() -> list[float]:
        if model.disable_weighted_vote:
            return [1.0] * len(model)
        metrics = [model._metrics[number].get() for number in range(len(model))]
        return [metric if metric > 0.0 else 1.0 for metric in metrics]

    return _classes(model.leaf_prediction, lambda: list(model), weights)


def _number_forest(model: Any) -> Family | None:
    """Return the family of a forest's mean; None for a median, and for River's weighted mean."""
    if model.aggregation_method != "mean" or not model.disable_weighted_vote:
        return None
    return _numbers(model.leaf_prediction, lambda: list(model), model.n_models)


def _mondrian(model: Any) -> Family:
    return Family(
        "probability" if isinstance(model, AMFClassifier) else "value",
        MondrianNodes,
        lambda: list(model),
        lambda: [1.0 / model.n_estimators] * len(model),
    )


def _half_spaces(model: Any) -> Family:
    """Return the family of half-space trees, which answer 0 until a window is full."""

    def trees() -> Sequence[Any]:
        found: Sequence[Any] = [] if model._first_window else model.trees
        return found

    return Family(
        "anomaly score",
        lambda _: HalfSpaces(model),
        trees,
        lambda: [-1.0 / model._max_score] * len(trees()),
        offset=lambda: 0.0 if model._first_window else 1.0,
    )


_FAMILIES: Sequence[tuple[Any, Callable[[Any], Family | None]]] = (
    (HoeffdingTreeClassifier, _class_tree),
    (HoeffdingTreeRegressor, _number_tree),
    (ARFClassifier, _class_forest),
    (ARFRegressor, _number_forest),
    (BaggingClassifier, _bag),
    (BaggingRegressor, _bag),
    (AMFClassifier, _mondrian),
    (AMFRegressor, _mondrian),
    (HalfSpaceTrees, _half_spaces),
)

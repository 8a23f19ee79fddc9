"""River's models where they would differ between processes or raise an error: the same otherwise.

River keeps classes and categories in sets, whose order differs from process to process and after a
restore, and sums, tries and answers in that order. Here it is the order of their names.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from river.anomaly import HalfSpaceTrees
from river.dummy import NoChangeClassifier
from river.forest import AMFClassifier, ARFClassifier, ARFRegressor
from river.forest.adaptive_random_forest import BaseTreeClassifier
from river.linear_model import BayesianLinearRegression, LinearRegression
from river.neighbors import KNNClassifier
from river.preprocessing import MinMaxScaler
from river.tree import (
    HoeffdingAdaptiveTreeClassifier,
    HoeffdingAdaptiveTreeRegressor,
    HoeffdingTreeClassifier,
)
from river.tree.padded import make_padded_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_grow: Any = make_padded_tree  # Any: River carries no types

# River's forests count features to choose from, and take the logarithm: of one at least.
_SOME_FEATURE = [""]


class SteadySet(set[Any]):
    """A set that is gone through in order."""

    def __iter__(self) -> Iterator[Any]:
        """Return the members in order."""
        return iter(sorted(super().__iter__()))


class _Steady:
    """An attribute that makes a steady set of the set put there."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:  # Any: River's model
        return self if instance is None else instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Iterable[Any]) -> None:  # Any: as above
        instance.__dict__[self._name] = SteadySet(value)


class _OrderedSplits:
    """A tree that tries categories and classes in order when it looks for a split.

    Of splits that are equal but for rounding the first wins: without order, by chance.
    """

    def _attempt_to_split(self, leaf: Any, *where: Any, **more: Any) -> None:  # Any: River's
        nominal = [s for s in leaf.splitters.values() if hasattr(s, "_att_values")]
        for splitter in nominal:
            known = splitter._att_dist_per_class
            found = {label: known[label] for label in sorted(known) if known[label]}
            splitter._att_dist_per_class = defaultdict(dict, found)
            splitter._att_values = sorted(splitter._att_values)
        super()._attempt_to_split(leaf, *where, **more)  # type: ignore[misc]  # River's tree beside
        for splitter in nominal:
            splitter._att_values = set(splitter._att_values)


class SteadyTreeClassifier(_OrderedSplits, HoeffdingTreeClassifier):
    """River's tree."""


class SteadyAdaptiveTreeClassifier(_OrderedSplits, HoeffdingAdaptiveTreeClassifier):
    """River's adaptive tree."""

    classes = _Steady()


class SteadyAdaptiveTreeRegressor(HoeffdingAdaptiveTreeRegressor):
    """River's adaptive tree, which compares the errors of two subtrees.

    As long as both errors are constant River divides by their variance, zero, and raises an error.
    What such a sample has changed by then stays: the errors are counted, leaves learn nothing.
    """

    def learn_one(self, x: dict[Any, Any], y: float, *, w: float = 1.0) -> None:  # Any: River's
        """Learn one sample."""
        river: Any = super()
        with suppress(ZeroDivisionError):
            river.learn_one(x, y, w=w)


class SteadyLeafModel(LinearRegression):
    """River's linear model in the leaves of a tree that sees categories: it gets the numbers."""

    def learn_one(self, x: dict[Any, Any], y: float, w: float = 1.0) -> None:  # Any: River's
        """Learn the numbers of one sample."""
        river: Any = super()
        river.learn_one(_numbers(x), y, w)

    def predict_one(self, x: dict[Any, Any]) -> Any:  # Any: River's
        """Return the number for the numbers of a sample."""
        river: Any = super()
        return river.predict_one(_numbers(x))


def _numbers(x: dict[Any, Any]) -> dict[Any, Any]:  # Any: numbers and texts
    return {name: value for name, value in x.items() if not isinstance(value, str)}


class SteadyBayesianRegression(BayesianLinearRegression):
    """River's Bayesian regression, which raises an error if its first sample is empty.

    Out of numbers it answers with none, which the caller looks at, and says nothing besides.
    """

    def learn_one(self, x: dict[Any, Any], y: float) -> None:  # Any: River's
        """Learn; before there is a feature, nothing."""
        river: Any = super()
        if x or self._idx:
            with np.errstate(all="ignore"):
                river.learn_one(x, y)

    def predict_one(self, x: dict[Any, Any], with_dist: Any = False) -> Any:  # Any: River's
        """Return the number."""
        river: Any = super()
        with np.errstate(all="ignore"):
            return river.predict_one(x, with_dist)


class SteadyMinMaxScaler(MinMaxScaler):
    """River's scaler, which makes NaN of a feature that it has not learned: here it is missing.

    A model that answers NaN is taken for broken, and would never learn the new feature.
    """

    def transform_one(self, x: dict[Any, Any]) -> Any:  # Any: River's
        """Return the features between 0 and 1."""
        river: Any = super()
        return river.transform_one({name: x[name] for name in x if name in self.min})


class SteadyForestTree(_OrderedSplits, BaseTreeClassifier):
    """A tree of River's forest."""


def _nodes(tree: Any) -> Any:  # Any: River's
    return tree.iter_dfs()


class _UnaskedForest:
    """A forest that is planted by what it learns: River's is planted by the first question.

    What was only asked is not in the state's lineage, and must not change it.
    """

    def _init_ensemble(self, features: list[str]) -> None:
        super()._init_ensemble(features or _SOME_FEATURE)  # type: ignore[misc]  # as above


@cache
def _tree_parameters() -> tuple[str, ...]:
    return tuple(inspect.signature(BaseTreeClassifier).parameters)


class SteadyForestClassifier(_UnaskedForest, ARFClassifier):
    """River's adaptive random forest."""

    def predict_proba_one(self, x: dict[Any, Any], **more: Any) -> Any:  # Any: River's
        """Return the probabilities; none before the first sample."""
        return super().predict_proba_one(x, **more) if len(self) else {}

    def _new_base_model(self) -> Any:  # Any: River's tree
        river: Any = super()
        tree = river._new_base_model()
        return SteadyForestTree(**{name: getattr(tree, name) for name in _tree_parameters()})


class SteadyForestRegressor(_UnaskedForest, ARFRegressor):
    """River's adaptive random forest."""

    def predict_one(self, x: dict[Any, Any]) -> Any:  # Any: River's
        """Return the mean of the trees; 0 before the first sample."""
        return super().predict_one(x) if len(self) else 0.0


class SteadyMondrianClassifier(AMFClassifier):
    """River's aggregated Mondrian forest."""

    _classes = _Steady()


class SteadyNeighbors(KNNClassifier):
    """River's nearest neighbours."""

    classes = _Steady()


class SteadyNoChange(NoChangeClassifier):
    """River's last class."""

    classes = _Steady()


class SteadyHalfSpaceTrees(HalfSpaceTrees):
    """River's half-space trees, over every feature that has limits.

    River grows them over the features of the first sample, and raises an error if there is none.
    """

    def learn_one(self, x: dict[Any, Any]) -> None:  # Any: River's
        """Learn; before there is a feature, nothing."""
        river: Any = super()
        names = sorted({*self.limits, *x})
        if not self.trees and names:
            limits = {name: self.limits[name] for name in names}
            for _ in range(self.n_trees):
                tree = _grow(dict(limits), self.height, 0.15, rng=self.rng, r_mass=0, l_mass=0)
                self.trees.append(tree)
            self._tree_nodes = [list(_nodes(tree)) for tree in self.trees]
        if self.trees:
            river.learn_one(x)


# Always in the place of River's class.
STEADY: Mapping[Any, Any] = {  # Any: River's classes
    HoeffdingAdaptiveTreeClassifier: SteadyAdaptiveTreeClassifier,
    HoeffdingAdaptiveTreeRegressor: SteadyAdaptiveTreeRegressor,
    BayesianLinearRegression: SteadyBayesianRegression,
    ARFClassifier: SteadyForestClassifier,
    ARFRegressor: SteadyForestRegressor,
    AMFClassifier: SteadyMondrianClassifier,
    KNNClassifier: SteadyNeighbors,
    NoChangeClassifier: SteadyNoChange,
    MinMaxScaler: SteadyMinMaxScaler,
    HalfSpaceTrees: SteadyHalfSpaceTrees,
}

# Where there are nominal features, besides: without them River's is as steady.
STEADY_NOMINAL: Mapping[Any, Any] = {  # Any: as above
    HoeffdingTreeClassifier: SteadyTreeClassifier,
    LinearRegression: SteadyLeafModel,
}

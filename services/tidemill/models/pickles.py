"""Model state to bytes and back; only classes of River and a few plain ones come back."""

from __future__ import annotations

import copyreg
import io
import pickle
from functools import cache
from random import Random
from types import MethodType
from typing import Any

from tidemill.kernel.errors import InvariantError
from tidemill.models.collecting import without_collector
from tidemill.models.compiled import quicken, slow
from tidemill.models.controls import Controls
from tidemill.models.labels import Labels
from tidemill.models.means import Means
from tidemill.models.outline import outline_of
from tidemill.models.recent import Recent
from tidemill.models.refining import Refinement
from tidemill.models.running_metrics import load_metrics
from tidemill.models.state import Anchored, ModelState

CODEC = 4

_PLAIN = {
    "builtins": frozenset({"bool", "dict", "float", "frozenset", "int", "list", "set", "tuple"}),
    "collections": frozenset({"Counter", "OrderedDict", "defaultdict", "deque"}),
    "functools": frozenset({"partial"}),
    "copyreg": frozenset({"_reconstructor", "__newobj__"}),
    "random": frozenset({"Random"}),
    "statistics": frozenset({"NormalDist"}),
    "numpy": frozenset({"ndarray", "dtype", "float64"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
    "copy": frozenset({"deepcopy"}),
    "tidemill.models.pickles": frozenset(
        {"gaussian_of", "mondrian_tree", "own_method", "search_tree"}
    ),
    "tidemill.models.encoding": frozenset({"EncodedCategories"}),
    "tidemill.models.imputing": frozenset({"Completed"}),
    "tidemill.models.scoring": frozenset({"LargestScore"}),
    "tidemill.models.steady": frozenset(
        {
            "SteadyAdaptiveTreeClassifier",
            "SteadyAdaptiveTreeRegressor",
            "SteadyBayesianRegression",
            "SteadyForestClassifier",
            "SteadyForestRegressor",
            "SteadyForestTree",
            "SteadyHalfSpaceTrees",
            "SteadyLeafModel",
            "SteadyMinMaxScaler",
            "SteadyMondrianClassifier",
            "SteadyNeighbors",
            "SteadyNoChange",
            "SteadySet",
            "SteadyTreeClassifier",
        }
    ),
}

# Methods that River's models keep as attributes.
_METHODS = frozenset(
    {
        "_calc_tau_1",
        "_calc_tau_2",
        "_leveraging_bag",
        "_leveraging_bag_wt",
        "_leveraging_subag",
        "_test_both",
        "_test_decrease",
        "_test_increase",
    }
)

_UNLOADABLE = (pickle.UnpicklingError, TypeError, ValueError, AttributeError, EOFError, IndexError)

# The parts of River that allowed models consist of.
_RIVER = frozenset(
    {
        "_river_rust",
        "anomaly",
        "base",
        "compose",
        "drift",
        "dummy",
        "ensemble",
        "forest",
        "linear_model",
        "metrics",
        "naive_bayes",
        "neighbors",
        "optim",
        "preprocessing",
        "proba",
        "stats",
        "tree",
        "utils",
    }
)


class _StateUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # Any: the base class says so
        if name in _PLAIN.get(module, frozenset()):
            return super().find_class(module, name)
        root, _, rest = module.partition(".")
        part = rest.partition(".")[0]
        if root == "river" and part in _RIVER:
            found = super().find_class(module, name)
            if str(getattr(found, "__module__", "")).startswith(f"river.{part}"):
                return found
        msg = f"a model's state may hold classes of River only, found {module}.{name}"
        raise pickle.UnpicklingError(msg)


@cache
def _search_node() -> Any:  # Any: River carries no types
    from river.tree.splitter import ebst_splitter  # noqa: PLC0415 - takes seconds; only savers pay

    return ebst_splitter.EBSTNode


@cache
def _reducers() -> dict[type, Any]:  # Any: as pickle's dispatch tables
    """Return how search trees and Mondrian trees are written: as lists.

    Nested, one of rising values is too deep. A method is written as its object and its name, and a
    Gaussian without its random numbers, nine tenths of it, which nobody draws.
    """
    from river import proba  # noqa: PLC0415 - as above
    from river.tree import mondrian  # noqa: PLC0415 - as above

    def as_list(root: Any) -> Any:  # Any: as in `_search_node`
        return search_tree, (_listed(root),)

    def as_nodes(tree: Any) -> Any:  # Any: as above
        state = {name: value for name, value in vars(tree).items() if name != "_root"}
        return mondrian_tree, (type(tree), state, _nodes(tree._root))

    def as_name(method: MethodType) -> Any:  # Any: as above
        return own_method, (method.__self__, method.__name__)

    def as_numbers(gaussian: Any) -> Any:  # Any: as above
        return gaussian_of, (gaussian.seed, gaussian._var)

    return {
        **copyreg.dispatch_table,
        _search_node(): as_list,
        mondrian.MondrianTreeClassifier: as_nodes,
        mondrian.MondrianTreeRegressor: as_nodes,
        MethodType: as_name,
        proba.Gaussian: as_numbers,
    }


def _nodes(root: Any) -> list[tuple[Any, dict[str, Any], tuple[int, ...]]]:  # Any: as above
    """Return class, attributes and places of the children of every node."""
    nodes, listed = [root], []
    for node in nodes:
        children = getattr(node, "children", ())
        places = tuple(range(len(nodes), len(nodes) + len(children)))
        nodes.extend(children)
        attributes = {k: v for k, v in vars(node).items() if k not in {"parent", "children"}}
        listed.append((type(node), attributes, places))
    return listed


def mondrian_tree(
    cls: Any, state: dict[str, Any], listed: list[tuple[Any, dict[str, Any], tuple[int, ...]]]
) -> Any:  # Any: as above
    """Return the Mondrian tree that a state's bytes list."""
    nodes = [node_class.__new__(node_class) for node_class, _, _ in listed]
    nodes[0].parent = None
    for node, (_, attributes, places) in zip(nodes, listed, strict=True):
        vars(node).update(attributes)
        if places:
            node.children = tuple(nodes[place] for place in places)
        for place in places:
            nodes[place].parent = node
    tree = cls.__new__(cls)
    vars(tree).update(state, _root=nodes[0])
    return tree


def gaussian_of(seed: int | None, var: Any) -> Any:  # Any: as above
    """Return the Gaussian of a variance; it draws what others of its seed draw."""
    from river import proba  # noqa: PLC0415 - as above

    gaussian = proba.Gaussian.__new__(proba.Gaussian)
    gaussian.seed, gaussian._var, gaussian._rng = seed, var, _generator()
    return gaussian


@cache
def _generator() -> Random:
    return Random(0)


def own_method(owner: Any, name: str) -> Any:  # Any: as above
    """Return a method that one of River's models keeps as an attribute.

    Raises:
        ValueError: Not one of those.
    """
    if name not in _METHODS:
        msg = f"a kept method must be one of {sorted(_METHODS)}, was {name}"
        raise ValueError(msg)
    return getattr(owner, name)


def _listed(root: Any) -> list[tuple[Any, ...]]:  # Any: as in `_search_node`
    """Return value, statistics and places of both children, 0 for none, of every node."""
    nodes, listed = [root], []
    for node in nodes:
        places = []
        for child in (node._left, node._right):
            places.append(0 if child is None else len(nodes))
            if child is not None:
                nodes.append(child)
        listed.append((node.att_val, node.estimator, node._update_estimator, *places))
    return listed


def search_tree(listed: list[tuple[Any, ...]]) -> Any:  # Any: as above
    """Return the root of the search tree that a state's bytes list."""
    cls = _search_node()
    nodes = [cls.__new__(cls) for _ in listed]
    for node, (att_val, estimator, update, left, right) in zip(nodes, listed, strict=True):
        node.att_val, node.estimator, node._update_estimator = att_val, estimator, update
        node._left = nodes[left] if left else None
        node._right = nodes[right] if right else None
    return nodes[0]


def dump_state(state: ModelState) -> bytes:
    """Return the bytes of a state. They are no identity: equal states may differ here."""
    parts = (
        slow(state.pipeline),
        state.lineage,
        state.version,
        state.structure,
        state.applied,
        state.at_budget,
        None if state.anchored is None else tuple(state.anchored),
        state.recent.dump(),
        state.refinement.dump(),
        None if state.means is None else state.means.dump(),
        None if state.controls is None else state.controls.dump(),
        None if state.metrics is None else state.metrics.dump(),
        None if state.labels is None else state.labels.dump(),
    )
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=5)
    pickler.dispatch_table = _reducers()
    pickler.dump(parts)
    return written.getvalue() + outline_of(state)


def load_state(data: bytes) -> ModelState:
    """Return the state in `data`, whose signature the caller has verified.

    Raises:
        InvariantError: Not a state of ours.
    """
    try:
        with without_collector():
            parts = _StateUnpickler(io.BytesIO(data)).load()
        pipeline, *rest, anchored, recent, refined, means, decided, sums, said = parts
        state = ModelState(quicken(pipeline), *rest)
        state.anchored = None if anchored is None else Anchored(*anchored)
        state.recent, state.refinement = Recent.load(recent), Refinement(refined)
        state.means = None if means is None else Means.load(means)
        state.controls = None if decided is None else Controls.load(decided)
        state.metrics = None if sums is None else load_metrics(sums)
        state.labels = None if said is None else Labels.load(said)
    except _UNLOADABLE as error:
        msg = f"a verified snapshot must hold a model's state, found {error}"
        raise InvariantError(msg) from error
    return state

"""Model state to bytes and back; only classes of River and a few plain ones come back."""

from __future__ import annotations

import copyreg
import io
import pickle
from functools import cache
from typing import Any

from tidemill.kernel.errors import InvariantError
from tidemill.models.compiled import quicken, slow
from tidemill.models.state import ModelState

CODEC = 1

_PLAIN = {
    "builtins": frozenset({"bool", "dict", "float", "frozenset", "int", "list", "set", "tuple"}),
    "collections": frozenset({"Counter", "OrderedDict", "defaultdict", "deque"}),
    "functools": frozenset({"partial"}),
    "copyreg": frozenset({"_reconstructor", "__newobj__"}),
    "random": frozenset({"Random"}),
    "numpy": frozenset({"ndarray", "dtype", "float64"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "tidemill.models.pickles": frozenset({"search_tree"}),
    "tidemill.models.steady": frozenset({"SteadyTreeClassifier"}),
}

_UNLOADABLE = (
    pickle.UnpicklingError,
    TypeError,
    ValueError,
    AttributeError,
    EOFError,
    IndexError,
)

# The parts of River that allowed models consist of.
_RIVER = frozenset(
    {
        "_river_rust",
        "base",
        "compose",
        "linear_model",
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
    """Return how search trees are written: as lists; nested, one of rising values is too deep."""

    def as_list(root: Any) -> Any:  # Any: as in `_search_node`
        return search_tree, (_listed(root),)

    return {**copyreg.dispatch_table, _search_node(): as_list}


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
        state.anchored,
    )
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=5)
    pickler.dispatch_table = _reducers()
    pickler.dump(parts)
    return written.getvalue()


def load_state(data: bytes) -> ModelState:
    """Return the state in `data`, whose signature the caller has verified.

    Raises:
        InvariantError: Not a state of ours.
    """
    try:
        pipeline, *rest = _StateUnpickler(io.BytesIO(data)).load()
        return ModelState(quicken(pipeline), *rest)
    except _UNLOADABLE as error:
        msg = f"a verified snapshot must hold a model's state, found {error}"
        raise InvariantError(msg) from error

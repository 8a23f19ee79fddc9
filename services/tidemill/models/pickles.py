"""Model state to bytes and back; only classes of River and a few plain ones come back."""

from __future__ import annotations

import io
import pickle
from typing import Any

from tidemill.kernel.errors import InvariantError
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
}

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


def dump_state(state: ModelState) -> bytes:
    """Return the bytes of a state. They are no identity: equal states may differ here."""
    parts = (
        state.pipeline,
        state.lineage,
        state.version,
        state.structure,
        state.applied,
        state.at_budget,
        state.anchored,
    )
    return pickle.dumps(parts, protocol=5)


def load_state(data: bytes) -> ModelState:
    """Return the state in `data`, whose signature the caller has verified.

    Raises:
        InvariantError: Not a state of ours.
    """
    try:
        parts = _StateUnpickler(io.BytesIO(data)).load()
        return ModelState(*parts)
    except (pickle.UnpicklingError, TypeError, ValueError, AttributeError, EOFError) as error:
        msg = f"a verified snapshot must hold a model's state, found {error}"
        raise InvariantError(msg) from error

"""What runs for every event of a signal: compiled where it was built and is equal, else Python."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tidemill.detection import layout as at
from tidemill.detection import plain_stepping

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["advance", "is_trusted"]

_TRIAL = 700
_SEED = 1


def _built() -> Any:  # Any: a module, or None where the package was built without a compiler
    try:
        from tidemill.detection import _kernel  # noqa: PLC0415 - may be missing
    except ImportError:
        return None
    return _kernel


compiled = _built()


def advance(rows: Floats, values: Floats, stamps: Floats, reached: NDArray[np.intp]) -> int:
    """Take each row on, to the end or to where it wakes; as in `plain_stepping`."""
    step = compiled.advance if is_trusted() else plain_stepping.advance
    woken: int = step(rows, values, stamps, reached)
    return woken


@cache
def is_trusted() -> bool:
    """Return whether the compiled form is there and equals Python's here, on seeded cases."""
    return compiled is not None and _is_equal()


def _is_equal() -> bool:
    values = np.random.default_rng(_SEED).normal(size=(3, _TRIAL))
    values[:, ::7] = np.nan
    values[1:] = np.round(values[1:])
    stamps = np.arange(float(_TRIAL))
    found = []
    for step in (compiled.advance, plain_stepping.advance):
        rows = _trial_rows()
        reached = np.zeros(3, dtype=np.intp)
        while step(rows, values, stamps, reached):
            pass
        found.append(rows.tobytes())
    return found[0] == found[1]


def _trial_rows() -> Floats:
    rows = np.zeros((3, at.WIDTH))
    rows[:, at.KNOWN] = 2.0, 2.0, -1.0
    rows[:, [at.PER_SCALE, at.U_PER_SCALE, at.STRIDE]] = 1.0
    rows[:, at.NEXT_FIT] = np.inf
    for c in at.CHANNELS:
        rows[:, [c + at.BLOCK, c + at.VARIANCE, c + at.LEAST, c + at.LOWER, c + at.UPPER]] = 1.0
        rows[:, [c + at.LIMIT, c + at.CALM, c + at.HORIZON]] = 1e9
        rows[:, c + at.CLEAN] = 100.0
        rows[:, c + at.SIDES] = 3.0 if c in {at.LEVEL, at.SPREAD} else 1.0
    return rows

"""One pass over rows of a block of sensors: predict, compare, remember; compiled or plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

    class Pass(Protocol):
        """Rows pass, in place."""

        def __call__(
            self, rows: Numbers, frozen: Frozen, moving: Moving, out: Numbers, *, counting: bool
        ) -> None:
            """Let rows pass: see `plain`."""


# Statistics of each memory: of all sensors together, of the sensor that moved most, of the spread.
KINDS = ("together", "alone", "spread")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What was learned from the reference; p sensors, m lags, K memories.

    Attributes:
        center, inverse: (p,) median, and one over the robust standard deviation; 0 for a sensor
            that says nothing (constant, or mostly missing).
        reach: (p,) the largest residual that counts, in reference standard deviations.
        coef: (1 + m p, p) intercept, then a row for each sensor at lag 1, 2, ...
        white: (p, p) residuals times it have covariance 1.
        alone: (p, p) residuals times it: each sensor given all others, in its standard deviations.
        memory: (K,) weight of the newest event.
        per_white, per_alone: (K, p) one over the variances that the memories of these have.
        span: The largest standardised value that counts.
        share: One over the number of sensors that say something; 0 without any.
    """

    center: Numbers
    inverse: Numbers
    reach: Numbers
    coef: Numbers
    white: Numbers
    alone: Numbers
    memory: Numbers
    per_white: Numbers
    per_alone: Numbers
    span: float
    share: float


class Moving:
    """What moves with every event; `sums` only while limits are learned.

    Attributes:
        past: (m, p) standardised rows, newest first, what was missing as predicted.
        white, alone, spread, level: (K, p) memories of whitened residuals, of residuals given the
            other sensors, of their squares, of standardised values.
        energy: (K,) memories of the mean squared whitened residual.
        sums: (K, 2 p + 5) sums of squares of `white`, of `alone`; of `energy`, its square, its
            cube, the mean squared whitened residual, its square.
        row, residual, w, d: (p,) of the last event; scratch.
    """

    __slots__ = (
        "alone",
        "d",
        "energy",
        "level",
        "past",
        "residual",
        "row",
        "spread",
        "sums",
        "w",
        "white",
    )
    SAVED = ("past", "white", "alone", "spread", "level", "energy", "sums")

    def __init__(self, sensors: int, lags: int, memories: int) -> None:
        self.past = np.zeros((lags, sensors))
        self.white = np.zeros((memories, sensors))
        self.alone = np.zeros((memories, sensors))
        self.spread = np.zeros((memories, sensors))
        self.level = np.zeros((memories, sensors))
        self.energy = np.zeros(memories)
        self.sums = np.zeros((memories, 2 * sensors + 5))
        self.row, self.residual = np.zeros(sensors), np.zeros(sensors)
        self.w, self.d = np.zeros(sensors), np.zeros(sensors)

    def start(self, past: Numbers) -> None:
        """Begin after these standardised rows, newest first, with memories as of calm."""
        self.past[:] = past
        self.energy[:] = 1.0
        self.spread[:] = 1.0

    def copies(self) -> tuple[Numbers, ...]:
        """Return copies of what is saved."""
        return tuple(getattr(self, name).copy() for name in self.SAVED)

    def put(self, copies: Sequence[Numbers]) -> None:
        """Take numbers as `copies` gave them."""
        for name, each in zip(self.SAVED, copies, strict=True):
            getattr(self, name)[:] = each


def _compiled() -> Any:  # Any: a module, or None where the package was built without a compiler
    try:
        from tidemill.detection import _asset as built  # noqa: PLC0415 - may be missing
    except ImportError:
        return None
    return built


def plain(rows: Numbers, frozen: Frozen, moving: Moving, out: Numbers, *, counting: bool) -> None:
    """Let rows pass, one after the other, with the sums of the compiled pass in their order."""
    for row, line in zip(rows, out, strict=True):
        _pass(row, frozen, moving)
        total = _in_order(moving.w * moving.w)
        _remember(frozen, moving, total * frozen.share, line)
        if counting:
            _count(moving, total * frozen.share)


def _pass(row: Numbers, frozen: Frozen, moving: Moving) -> None:
    """Predict a row, put predictions where it has gaps, and leave its residuals."""
    past = moving.past
    terms = past.reshape(-1, 1) * frozen.coef[1:]
    foreseen = _in_order(np.concatenate([frozen.coef[:1], terms]))
    given = np.isfinite(row)
    with np.errstate(over="ignore", invalid="ignore"):
        value = (row - frozen.center) * frozen.inverse
    value = np.where(np.isfinite(value), value, foreseen)
    value = np.minimum(np.maximum(value, -frozen.span), frozen.span)
    moving.row[:] = value
    residual = np.minimum(np.maximum(value - foreseen, -frozen.reach), frozen.reach)
    moving.residual[:] = np.where(given, residual, 0.0)
    past[1:] = past[:-1].copy()
    past[0] = value
    zero = np.zeros((1, row.size))
    column = moving.residual.reshape(-1, 1)
    moving.w[:] = _in_order(np.concatenate([zero, column * frozen.white]))
    moving.d[:] = _in_order(np.concatenate([zero, column * frozen.alone]))


def _remember(frozen: Frozen, moving: Moving, energy: float, line: Numbers) -> None:
    lam = frozen.memory.reshape(-1, 1)
    keep = 1.0 - lam
    for memory, new in (
        (moving.white, moving.w),
        (moving.alone, moving.d),
        (moving.spread, moving.d * moving.d),
        (moving.level, moving.row),
    ):
        memory[:] = keep * memory + lam * new
    moving.energy[:] = keep[:, 0] * moving.energy + lam[:, 0] * energy
    squares = (moving.white * moving.white) * frozen.per_white
    line[0::3] = _in_order(np.ascontiguousarray(squares.T)) * frozen.share
    line[1::3] = ((moving.alone * moving.alone) * frozen.per_alone).max(axis=1)
    line[2::3] = moving.energy


def _count(moving: Moving, energy: float) -> None:
    sensors = moving.w.size
    sums = moving.sums
    sums[:, :sensors] += moving.white * moving.white
    sums[:, sensors : 2 * sensors] += moving.alone * moving.alone
    sums[:, -5] += moving.energy
    sums[:, -4] += moving.energy * moving.energy
    sums[:, -3] += (moving.energy * moving.energy) * moving.energy
    sums[:, -2] += energy
    sums[:, -1] += energy * energy


def _in_order(terms: Numbers) -> Any:  # Any: a number or an array, by the shape of the terms
    """Return the sum along the first axis, term by term: `sum` may pair them."""
    return np.add.accumulate(terms, axis=0)[-1]


def plain_product(left: Numbers, right: Numbers, out: Numbers) -> None:
    """Put the matrix product in `out`, each sum in the order of its terms."""
    out[:] = 0.0
    for column, row in zip(left.T, right, strict=True):
        out += column.reshape(-1, 1) * row


_BUILT = _compiled()
advance: Pass = _BUILT.advance if _BUILT else plain


def product(left: Numbers, right: Numbers) -> Numbers:
    """Return the matrix product, equal in every bit wherever it is computed."""
    out = np.zeros((left.shape[0], right.shape[1]))
    through = _BUILT.product if _BUILT else plain_product
    through(np.ascontiguousarray(left), np.ascontiguousarray(right), out)
    return out

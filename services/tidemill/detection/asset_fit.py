"""How each sensor follows from the last rows of all of them, and how far off that is.

Sums run in one order and no routine of a linear-algebra library is called: the same numbers come
out on every machine that computes as IEEE 754 says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tidemill.detection.asset_passes import Frozen, product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Memory = Sequence[float]

# The median of absolute deviations of a normal distribution is 1 / 1.4826 standard deviations.
_NORMAL = 1.4826
SPAN = 20.0  # standard deviations at which values stop to count more
REACH = 4.0  # the same of residuals: one alone may be an outlier
OWN_RIDGE = 1e-4  # the penalty on a sensor's own coefficients, per row: only keeps them finite
# So much of a residual covariance is put on its diagonal: collinear sensors stay apart.
_LEAST_SHRINKING = 0.01
_LEAST_DEVIATION = 1e-9  # of residuals, where a sensor is foretold without any


class Reference(NamedTuple):
    """Rows of a reference, standardised by median and median absolute deviation.

    Attributes:
        center, inverse: As in `Frozen`.
        values: (n, p) standardised, a gap holds the value before it.
        past, now: For each row after the first m: (1, values at lag 1, at lag 2, ...), its values.
        lags: m.
    """

    center: Numbers
    inverse: Numbers
    values: Numbers
    past: Numbers
    now: Numbers
    lags: int

    @classmethod
    def of(cls, rows: Numbers, lags: int) -> Reference:
        """Return the reference that rows are, with gaps (not finite) as they came."""
        center, inverse = _standards(rows)
        values = standardised(rows, center, inverse)
        return cls(center, inverse, values, _lagged(values, lags), values[lags:], lags)

    def before(self, row: int) -> Numbers:
        """Return the m rows of `values` before one, newest first."""
        return np.ascontiguousarray(self.values[row - self.lags : row][::-1])


def fit(
    reference: Reference, kept: NDArray[np.bool_], gram: Numbers, *, memory: Memory, ridge: float
) -> Frozen:
    """Return the model of some rows of a reference.

    A vector autoregression with a penalty, x_t = c + A_1 x_{t-1} + ... + A_m x_{t-m} + r_t.

    Args:
        kept: Which rows of `now` it is fitted to.
        gram: Their sums of products: `grams` of them.
        memory: Weights of the newest event.
        ridge: The penalty, per row, on squared differences from each sensor's own model.
    """
    count = int(kept.sum())
    coef = _solved(gram, reference.lags, ridge * count)
    residuals = (reference.now - product(reference.past, coef))[kept]
    says = reference.inverse > 0.0
    reach = np.where(says, REACH * _deviations(residuals), 0.0)
    clipped = np.minimum(np.maximum(residuals, -reach), reach)
    white, alone = _whitening(clipped, says)
    weights = np.array(memory, dtype=float)
    per = np.ones((1, says.size)) * ((2.0 - weights) / weights).reshape(-1, 1)
    sensors = int(says.sum())
    return Frozen(
        center=reference.center,
        inverse=reference.inverse,
        reach=reach,
        coef=coef,
        white=white,
        alone=alone,
        memory=weights,
        per_white=per,
        per_alone=per,
        span=SPAN,
        share=1.0 / sensors if sensors else 0.0,
    )


def standardised(rows: Numbers, center: Numbers, inverse: Numbers) -> Numbers:
    """Return rows in standard deviations; a gap holds the value before it, or the center."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _filled(np.clip((rows - center) * inverse, -SPAN, SPAN))


def grams(reference: Reference, rows: slice) -> Numbers:
    """Return sums of products of the columns of `past`, then of `now`, over some rows."""
    both = np.concatenate([reference.past[rows], reference.now[rows]], axis=1)
    return product(np.ascontiguousarray(both.T), both)


def _standards(rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return centers, and one over the standard deviations; 0 where a sensor says nothing."""
    sensors = rows.shape[1]
    center, inverse = np.zeros(sensors), np.zeros(sensors)
    for i in range(sensors):
        given = rows[np.isfinite(rows[:, i]), i]
        if 2 * given.size < len(rows):
            continue
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            middle = np.median(given)
            off = np.abs(given - middle)
            scale = _NORMAL * float(np.median(off)) or _root_mean_square(off)
            found = 1.0 / np.float64(scale)
        if scale > 1e-12 * abs(middle) and np.isfinite(found * middle):
            center[i], inverse[i] = middle, found
    return center, inverse


def _root_mean_square(values: Numbers) -> float:
    return math.sqrt(float(np.add.accumulate(values * values)[-1]) / values.size)


def _filled(values: Numbers) -> Numbers:
    """Return rows in which a gap holds the value before it; 0, the center, before the first."""
    given = np.isfinite(values)
    places = np.where(given, np.arange(1, len(values) + 1).reshape(-1, 1), 0)
    before = np.maximum.accumulate(places, axis=0)
    padded = np.concatenate([np.zeros((1, values.shape[1])), np.where(given, values, 0.0)])
    return np.take_along_axis(padded, before, axis=0)


def _lagged(values: Numbers, lags: int) -> Numbers:
    """Return a row (1, values at lag 1, at lag 2, ...) for each row that has so many before it."""
    count = len(values) - lags
    parts = [values[lags - lag : lags - lag + count] for lag in range(1, lags + 1)]
    return np.ascontiguousarray(np.concatenate([np.ones((count, 1)), *parts], axis=1))


def _solved(gram: Numbers, lags: int, penalty: float) -> Numbers:
    """Return the coefficients of the last columns in those before, (1 + m p, p).

    What is penalised is how far they are from what each sensor's own past alone says of it: many
    sensors would else foretell a slow one by chance.
    """
    sensors = len(gram) // (lags + 1)
    given = 1 + lags * sensors
    own = _own(gram, lags)
    swept = gram.copy()
    swept[:given, given:] -= product(gram[:given, :given], own)
    swept[given:, :given] = swept[:given, given:].T
    places = np.arange(1, given)
    swept[places, places] += penalty
    _sweep(swept, given)
    return np.ascontiguousarray(swept[:given, given:] + own)


def _own(gram: Numbers, lags: int) -> Numbers:
    """Return the coefficients of each sensor in its own past only."""
    sensors = len(gram) // (lags + 1)
    own = np.zeros((1 + lags * sensors, sensors))
    for i in range(sensors):
        past = [0, *range(1 + i, 1 + lags * sensors, sensors)]
        small = gram[np.ix_([*past, 1 + lags * sensors + i], [*past, 1 + lags * sensors + i])]
        places = np.arange(1, len(past))
        small[places, places] += OWN_RIDGE * gram[0, 0]
        _sweep(small, len(past))
        own[past, i] = small[:-1, -1]
    return own


def _sweep(matrix: Numbers, pivots: int) -> None:
    """Sweep a symmetric matrix on its first pivots, in place; source: Goodnight (1979)."""
    for k in range(pivots):
        pivot = matrix[k, k]
        row, column = matrix[k] / pivot, matrix[:, k].copy()
        matrix -= column.reshape(-1, 1) * row
        matrix[k] = row
        matrix[:, k] = -column / pivot
        matrix[k, k] = 1.0 / pivot


def _deviations(residuals: Numbers) -> Numbers:
    """Return robust standard deviations, at least half the plain ones."""
    robust = _NORMAL * np.median(np.abs(residuals - np.median(residuals, axis=0)), axis=0)
    plain = [_root_mean_square(column) for column in residuals.T]
    return np.maximum(np.maximum(robust, 0.5 * np.array(plain)), _LEAST_DEVIATION)


def _whitening(residuals: Numbers, says: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Return the matrices `white` and `alone` of `Frozen`, 0 for sensors that say nothing."""
    sensors = residuals.shape[1]
    white, alone = np.zeros((sensors, sensors)), np.zeros((sensors, sensors))
    places = np.flatnonzero(says)
    if places.size == 0:
        return white, alone
    told = residuals[:, places]
    covariance = product(np.ascontiguousarray(told.T), told) / len(told)
    deviation = np.maximum(np.sqrt(covariance.diagonal()), _LEAST_DEVIATION)
    correlation = covariance / (deviation.reshape(-1, 1) * deviation)
    shrinking = max(_LEAST_SHRINKING, places.size / (places.size + len(told)))
    precision = (1.0 - shrinking) * correlation
    precision[np.arange(places.size), np.arange(places.size)] = 1.0
    _sweep(precision, places.size)
    inside = np.ix_(places, places)
    scaled = 1.0 / deviation.reshape(-1, 1)
    white[inside] = scaled * _cholesky(precision)
    alone[inside] = scaled * precision / np.sqrt(precision.diagonal())
    return white, alone


def _cholesky(matrix: Numbers) -> Numbers:
    """Return the lower triangle L with L L' the matrix."""
    rest, lower = matrix.copy(), np.zeros_like(matrix)
    for k in range(len(rest)):
        column = rest[k:, k] / np.sqrt(rest[k, k])
        lower[k:, k] = column
        rest[k:, k:] -= column.reshape(-1, 1) * column
    return lower

"""Signals drawn to try detectors on: stationary ones, and the changes planted in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.signal import lfilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Draw = Callable[[int, np.random.Generator], Floats]

PHIS = (0.0, 0.5, 0.9, 0.99)
RAMP = 5_000  # events
OUTLIER, OUTLIERS = 20.0, 1e-3  # standard deviations; their share


def correlated(phi: float, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Return an AR(1) of variance 1 in each row, begun where it stays."""
    steps = rng.standard_normal(shape)
    steps[:, 1:] *= np.sqrt(1.0 - phi * phi)
    found: Floats = lfilter([1.0], [1.0, -phi], steps, axis=1)
    return found


def _one(phi: float) -> Draw:
    return lambda count, rng: correlated(phi, (1, count), rng)[0]


def _with_noise(count: int, rng: np.random.Generator) -> Floats:
    return _one(0.99)(count, rng) + rng.standard_normal(count)


def _with_outliers(phi: float) -> Draw:
    def draw(count: int, rng: np.random.Generator) -> Floats:
        values = _one(phi)(count, rng)
        places = rng.random(count) < OUTLIERS
        values[places] += OUTLIER * rng.choice([-1.0, 1.0], int(places.sum()))
        return values

    return draw


def _rounded(phi: float) -> Draw:
    return lambda count, rng: np.round(_one(phi)(count, rng) * 2.0) / 2.0


ROBUST: dict[str, Draw] = {
    "AR(.99) plus white noise": _with_noise,
    "t with 3 degrees of freedom": lambda count, rng: rng.standard_t(3, count),
    "rounded to .5 sd": _rounded(0.0),
    "AR(.9) rounded to .5 sd": _rounded(0.9),
    "20-sd outliers, 1 in 1,000": _with_outliers(0.0),
    "AR(.9) with these": _with_outliers(0.9),
}


class Planted(NamedTuple):
    """A change, and the medians that a prototype reached for it, by autocorrelation."""

    name: str
    size: float
    is_gradual: bool
    medians: tuple[float, float, float, float]


CHANGES = (
    Planted("sudden .5 sd", 0.5, False, (85, 221, 1087, 10624)),
    Planted("sudden 1 sd", 1.0, False, (22, 60, 320, 2855)),
    Planted("sudden 2 sd", 2.0, False, (6, 17, 88, 809)),
    Planted("gradual .5 sd", 0.5, True, (1732, 2471, 4644, 13174)),
    Planted("gradual 1 sd", 1.0, True, (1113, 1581, 2808, 6066)),
    Planted("gradual 2 sd", 2.0, True, (728, 994, 1735, 4002)),
    Planted("sd x2", 0.0, False, (20, 21, 22, 24)),
)


def changed(planted: Planted, phi: float, values: Floats, begin: int) -> Floats:
    """Return the values from an event on, changed there; of a spread, the steps are doubled."""
    rest = values[:, begin:]
    count = rest.shape[1]
    if not planted.size:
        steps = rest - phi * values[:, begin - 1 : -1]
        left = values[:, begin - 1 : begin] * phi ** np.arange(1.0, count + 1.0)
        doubled: Floats = lfilter([1.0], [1.0, -phi], 2.0 * steps, axis=1) + left
        return doubled
    if planted.is_gradual:
        return rest + planted.size * np.minimum(1.0, np.arange(1.0, count + 1.0) / RAMP)
    return rest + planted.size

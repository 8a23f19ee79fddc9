"""Centre and scale of a few values, untouched by the odd one among them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from tidemill.detection.layout import ROUNDING

if TYPE_CHECKING:
    from collections.abc import Sequence

# MAD to sd, mean absolute deviation to sd: of the normal distribution.
_BY_MAD, _BY_MEAN = 1.4826022185056018, 1.2533141373155001
# Values within so many robust standard deviations say more of both than their order alone does;
# what normal ones lose of their sd there, and how far the two may differ.
_WITHIN, _LEFT_THERE, _AGREE = 3.0, 0.9866, 1.43


class Bounds(NamedTuple):
    """Where values lie: centre and robust standard deviation."""

    centre: float
    scale: float

    def is_near(self, other: Bounds) -> bool:
        """Return whether both would clip about the same values."""
        ratio = other.scale / self.scale
        return 0.7 < ratio < 1.43 and abs(other.centre - self.centre) < 0.5 * self.scale


def bounds(values: Sequence[float]) -> Bounds | None:
    """Return centre and scale; None if the values do not differ, or more than doubles can tell."""
    centre = median(values)
    away = [abs(value - centre) for value in values]
    scale = _BY_MAD * median(away)
    if scale <= ROUNDING * abs(centre):
        scale = _BY_MEAN * math.fsum(away) / len(away) if max(away) < 1e300 else math.inf
    if not ROUNDING * abs(centre) < scale < 1e300 or scale < 1e-300:
        return None
    return _refined(values, Bounds(centre, scale))


def _refined(values: Sequence[float], rough: Bounds) -> Bounds:
    """Return mean and sd of the values that are not far out, where they agree with the rough ones.

    Of normal values the median absolute deviation knows the sd only as well as a third of them.
    """
    near = [z for z in ((v - rough.centre) / rough.scale for v in values) if abs(z) < _WITHIN]
    mean = math.fsum(near) / len(near)
    sd = math.sqrt(math.fsum((z - mean) ** 2 for z in near) / len(near)) / _LEFT_THERE
    if not 1.0 / _AGREE < sd < _AGREE:
        return rough
    return Bounds(rough.centre + mean * rough.scale, sd * rough.scale)


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return 0.5 * ordered[half - 1] + 0.5 * ordered[half]

"""How likely a mean is, by how often the values stood where."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tidemill.detection import layout as at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDTH = 2.0 * at.CLIP / at.MOST_BINS
_PLACES = [(place + 0.5) * _WIDTH - at.CLIP for place in range(at.MOST_BINS)]
# What was out of bounds stands at them.
_PLACES[0], _PLACES[-1] = -at.CLIP, at.CLIP
_STEPS = 40


def likelihood_share(bins: NDArray[np.float64], shift: float) -> float:
    """Return I(m) / (m^2 / 2 variance) for a mean m that is shifted; at most 1.

    I(m) is the largest of t m - ln E exp(t z) over t.

    Args:
        bins: How often values stood in each of the equal parts of the bounds.
        shift: From the mean of these values.
    """
    counted = [(z, count) for z, count in zip(_PLACES, bins.tolist(), strict=True) if count]
    total = math.fsum(count for _, count in counted)
    mean = math.fsum(z * count for z, count in counted) / total
    points = [(z - mean, count / total) for z, count in counted]
    variance = math.fsum(share * z * z for z, share in points)
    if variance <= 0.0:
        return 1.0
    return min(1.0, _rate(points, shift) * 2.0 * variance / (shift * shift))


def _rate(points: list[tuple[float, float]], shift: float) -> float:
    """Return the largest of t m - ln E exp(t z), by halving: what is maximised is concave."""
    side = math.copysign(1.0, shift)
    furthest, share_there = max((side * z, share) for z, share in points)
    if abs(shift) >= furthest:
        # All values the furthest ever seen; further out nothing is known.
        return -math.log(share_there) if abs(shift) < furthest + _WIDTH else math.inf
    low, high = 0.0, 64.0
    for _ in range(_STEPS):
        t = 0.5 * (low + high)
        weights = [share * math.exp(t * side * z) for z, share in points]
        if math.fsum(w * side * z for w, (z, _) in zip(weights, points, strict=True)) < abs(
            shift
        ) * math.fsum(weights):
            low = t
        else:
            high = t
    return low * abs(shift) - math.log(
        math.fsum(share * math.exp(low * side * z) for z, share in points)
    )

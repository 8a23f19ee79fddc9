"""Limits of statistics that remember: from rows held out of the fit, for a run length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Before held-out rows have spoken: independent samples that say a memory varies as theory has it.
PRIOR = 5.0
_DIGITS = 6  # of a limit that count; further ones may differ between machines


class Counted(NamedTuple):
    """What held-out rows said of one memory.

    Attributes:
        squares_white, squares_alone: (p,) mean squares, over what theory expects.
        energy: Mean of one event's energy.
        energy_variance, energy_skewness: Of the remembered energy.
        noise: Variance of one event's energy.
        samples: How many independent samples of the memory these are worth.
    """

    squares_white: Numbers
    squares_alone: Numbers
    energy: float
    energy_variance: float
    energy_skewness: float
    noise: float
    samples: float

    @classmethod
    def of(cls, sums: Numbers, expected: float, rows: int, lam: float) -> Counted:
        """Return what the sums of `Moving` over held-out rows say of one memory.

        Args:
            expected: The sum of variances that theory has for the memory over these rows.
        """
        sensors = (sums.size - 5) // 2
        energy, square, cube, one, one_square = (float(value) / rows for value in sums[-5:])
        variance = max(0.0, square - energy * energy)
        third = cube - 3.0 * energy * square + 2.0 * energy * energy * energy
        return cls(
            squares_white=sums[:sensors] / expected,
            squares_alone=sums[sensors : 2 * sensors] / expected,
            energy=one,
            energy_variance=variance,
            energy_skewness=third / variance / math.sqrt(variance) if variance > 0.0 else 0.0,
            noise=max(0.0, one_square - one * one),
            samples=rows * lam / (2.0 - lam),
        )


def expected_squares(lam: float, rows: int) -> float:
    """Return the sum of variances of a memory of unit noise over its first rows, from 0."""
    keep = (1.0 - lam) * (1.0 - lam)
    left, total = 1.0, 0.0
    for _ in range(rows):
        left *= keep
        total += 1.0 - left
    return total * lam / (2.0 - lam)


def inflations(found: Numbers, samples: float, says: NDArray[np.bool_]) -> Numbers:
    """Return by how much a memory varies more than theory has it, per sensor, at least 1.

    Few samples of one sensor are drawn towards the mean of all; that, of few, towards 1.
    """
    if not says.any():
        return np.ones_like(found)
    count = int(says.sum())
    mean = float(np.add.accumulate(found[says])[-1]) / count
    mean = (mean * samples * count + PRIOR) / (samples * count + PRIOR)
    drawn = (found * samples + mean * PRIOR) / (samples + PRIOR)
    return np.where(says, np.maximum(drawn, 1.0), 1.0)


def crossing(rate: float, run_length: float) -> float:
    """Return the level that a normal memory passes upwards once in so many events.

    The level k solves rate k phi(k) run_length = 1, where the memory forgets at `rate` an event:
    excursions of an Ornstein-Uhlenbeck process. Source: Aldous (1989), Probability Approximations
    via the Poisson Clumping Heuristic, section D.
    """
    level = 1.0
    for _ in range(60):
        inside = rate * run_length * level / math.sqrt(2.0 * math.pi)
        level = math.sqrt(max(1.0, 2.0 * math.log(max(inside, 1.0))))
    return level


def student(level: float, samples: float) -> float:
    """Return the level where the variance is known from so many samples only."""
    return math.sqrt(samples * math.expm1(level * level / samples))


def skewed(skewness: float, level: float) -> float:
    """Return what a gamma variable, mean 0 and variance 1, has where a normal one has `level`.

    Source: Wilson & Hilferty (1931), as in Kite (1977), Frequency and Risk Analyses in Hydrology.
    """
    if skewness < 1e-6:
        return level
    part = skewness / 6.0
    return float(((level - part) * part + 1.0) ** 3 - 1.0) / (3.0 * part)


def usual_most(sensors: int) -> float:
    """Return what the largest of so many squared standard normal numbers is about."""
    return _rounded(2.0 * math.log(max(sensors, 3)))


def scaled_square(mean: float, variance: float, level: float) -> float:
    """Return the value of a scaled chi-square with this mean and variance at a normal level.

    Source: Wilson & Hilferty (1931), PNAS 17:684-688.
    """
    part = variance / (9.0 * mean * mean)
    return float(mean * (1.0 - part + level * math.sqrt(part)) ** 3)


def limits(found: Counted, lam: float, says: NDArray[np.bool_], run_length: float) -> Numbers:
    """Return the limits of the three statistics of one memory, each for this run length.

    Squares are over variances of as many samples each: their mean is above 1 by about the relative
    variance of these, as `inflations` draws them.
    """
    sensors = int(says.sum())
    if not sensors:
        return np.full(3, np.inf)
    worth = found.samples + PRIOR
    center = 1.0 + 2.0 * found.samples / (worth * worth)
    level = student(crossing(2.0 * lam, run_length), worth)
    together = scaled_square(center, 2.0 / sensors * center * center, level)
    alone = student(crossing(lam, 2.0 * sensors * run_length), worth) ** 2
    theory = found.noise * lam / (2.0 - lam)
    variance = (found.energy_variance * found.samples + theory * PRIOR) / worth
    center, deviation = max(found.energy, 1.0), math.sqrt(variance)
    # That of a chi-square at least: outliers are few, and leave long tails.
    skewness = max(found.energy_skewness, 2.0 * deviation / center)
    level = student(crossing(lam, run_length), worth)
    spread = center + deviation * skewed(skewness, level)
    return np.array([_rounded(value) for value in (together, alone, spread)])


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

"""The long-run variance of a signal from differences of neighbouring blocks, by doubling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# A pool of rungs says something from so many differences on.
_FEW = 8
# What is left to rise beyond the block length: at 2.75 correlation times of an AR(1).
_RISE = 1.25
# Blocks that lack more are too short: a signal that hardly moves within them looks as if its
# correlation time were their length, whatever it is. At 2.75 correlation times it is 0.18.
_MOST_LACKING = 0.25
# Standard errors by which a pool may exceed that by chance: there are many of them.
_SURE = 1.5


class LongRun(NamedTuple):
    """What is known of the dependence in a signal.

    Attributes:
        variance: Of a mean of n values, times n, for large n.
        nu: Degrees of freedom of `variance`.
        tau: `variance` over the variance of one value: the values that say as much as one.
        lag: Autocorrelation at lag 1.
        sd: Standard deviation of one value.
    """

    variance: float
    nu: float
    tau: float
    lag: float
    sd: float


def long_run(
    rungs: Sequence[tuple[float, float]], least_nu: float, *, firm_nu: float = math.inf
) -> LongRun | None:
    """Return the long-run variance; None where the variance of block means finds no level yet.

    With S and S' the sums of two neighbouring blocks of m = 2^j values, V_j = E (S - S')^2 / 2m
    rises to the long-run variance; of an AR(1) as 1 - 3/4 (tau - 1/tau) / m. The shortest blocks
    from which on it stays level are taken, with all longer ones: differences of different lengths
    are all but uncorrelated. What an AR(1) of this tau still lacks there is added. Of a signal that
    swings back and forth V_j falls again: then the highest is taken, which no length exceeds.

    Args:
        rungs: Of each j, the sum of (S - S')^2 and how many there were.
        least_nu: Degrees of freedom that the blocks beyond the shortest must have.
        firm_nu: Degrees of freedom from which on a small rise is not chance: the highest counts.

    Source: the Haar wavelet variance; Percival (1995), Biometrika 82:619-631.
    """
    sums = [squares / (2.0 * 2.0**j) for j, (squares, _) in enumerate(rungs)]
    counts = [count for _, count in rungs]
    variance = _variance(sums, counts)
    if variance <= 0.0:
        return None
    pools = _pools(sums, counts)
    for j in range(len(pools) - 1):
        if pools[j + 1][1] < least_nu:
            return None
        if _lack(pools[j][0] / variance, 2.0**j) > _MOST_LACKING:
            continue
        if _is_level(sums[j] / counts[j], pools[j + 1 :]):
            fine = max(total / count for total, count in zip(sums[: j + 1], counts, strict=False))
            firm = max((level for level, nu in pools if nu >= firm_nu), default=0.0)
            level = max(_filled(pools[j][0], variance, 2.0**j), fine, variance, firm)
            lag = 1.0 - sums[0] / counts[0] / variance
            return LongRun(level, pools[j][1], level / variance, lag, math.sqrt(variance))
    return None


def _variance(sums: Sequence[float], counts: Sequence[float]) -> float:
    """Return the variance of one value: each V_j stands for 2^-(j+1) of it."""
    return math.fsum(
        total / count / 2.0 ** (j + 1)
        for j, (total, count) in enumerate(zip(sums, counts, strict=True))
        if count
    )


def _pools(sums: Sequence[float], counts: Sequence[float]) -> list[tuple[float, float]]:
    """Return, for each j, V and degrees of freedom of all blocks of 2^j values and more."""
    found: list[tuple[float, float]] = []
    total = nu = 0.0
    for own, count in zip(reversed(sums), reversed(counts), strict=True):
        total += own
        nu += count
        found.append((total / nu if nu else 0.0, nu))
    return found[::-1]


def _is_level(value: float, beyond: Sequence[tuple[float, float]]) -> bool:
    """Return whether all pools of longer blocks agree with V of the shortest."""
    return all(
        level <= value * (_RISE + _SURE * math.sqrt(2.0 / nu)) for level, nu in beyond if nu >= _FEW
    )


def _lack(tau: float, length: float) -> float:
    """Return the share that blocks of this length lack of the variance, of an AR(1)."""
    return 0.5 * max(0.0, tau - 1.0 / tau) / length if tau > 0.0 else 0.0


def _filled(level: float, variance: float, length: float) -> float:
    """Return the variance with what blocks of this length still lack of it."""
    return level / (1.0 - min(_lack(level / variance, length), 0.5))

"""How high the statistic of a channel may rise by chance within a run length."""

from __future__ import annotations

import math

# ln(run length / tau) = OFFSET + SLOPE * h: simulated on AR(1), the slope on independent normal
# values; the offset such that level and spread together keep the rate at autocorrelations to .99.
OFFSET, SLOPE = 0.70, 0.956
# Below so many independent values in a run length no limit means anything.
FEWEST = 50.0


def limit(run_length: float, tau: float, nu: float) -> float:
    """Return the limit of half the squared scan statistic for a run length in values.

    With t_nu instead of the normal the same chance is left beyond nu / 2 (exp(2 h / nu) - 1).

    Args:
        run_length: Values between two false alarms, on average.
        tau: Values that say as much as one independent value; at least 1 is taken.
        nu: Degrees of freedom of the variance.
    """
    h = (math.log(max(run_length / max(tau, 1.0), FEWEST)) - OFFSET) / SLOPE
    return 0.5 * nu * math.expm1(2.0 * h / nu)


def reached(height: float, tau: float, nu: float) -> float:
    """Return the run length, in values, at a limit of this height. Inverse of `limit`."""
    h = 0.5 * nu * math.log1p(2.0 * height / nu)
    return max(tau, 1.0) * math.exp(OFFSET + SLOPE * h)


def divided(run_length: float, parts: int) -> float:
    """Return the run length of each part, such that all together keep the one given.

    Args:
        run_length: Of an asset, events between two false alarms on average.
        parts: How many signals share it.
    """
    return run_length * parts

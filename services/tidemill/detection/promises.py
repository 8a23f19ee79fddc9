"""What a signal's own past says of the run length that was promised for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tidemill.detection import layout as at
from tidemill.detection.limits import reached

if TYPE_CHECKING:
    from tidemill.detection.learning import Row

# Alarms, and excursions to half the limit, that are enough to go by.
_ALARMS, _EXCURSIONS = 4.0, 10.0
# Excursions come so many times more seldom than alarms would at that height: simulated on AR(1).
_SELDOM = 1.9


def achieved(row: Row) -> float | None:
    """Return the events between two alarms of level and spread together; None if unknown.

    After some alarms it is what was seen, real changes counted as alarms too. Before, it follows
    from excursions to half the limit: the logarithm of the run length goes with the limit, so
    that a run length f times the expected one there is f^2 times the one asked here. What always
    had one value has no such past.
    """
    if row[at.KNOWN] < 0.0:
        return None
    rates = [_rate(row[c:]) for c in (at.LEVEL, at.SPREAD) if row[c + at.LENGTH] < math.inf]
    known = [rate for rate in rates if rate is not None]
    return 1.0 / math.fsum(known) if known and len(known) == len(rates) else None


def _rate(c: Row) -> float | None:
    """Return alarms of a channel per event."""
    if not c[at.WATCHED]:
        return None
    if c[at.ALARMS] >= _ALARMS:
        return float(c[at.ALARMS] / c[at.WATCHED])
    if c[at.CROSSED] < _EXCURSIONS:
        return None
    expected = reached(0.5 * c[at.LIMIT], c[at.TAU], c[at.NU])
    share = c[at.WATCHED] / c[at.CROSSED] / (_SELDOM * expected)
    return float(1.0 / (c[at.LENGTH] * share * share))

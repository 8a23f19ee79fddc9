"""What the reference of a signal is made of: bounds, long-run variance, limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection import layout as at
from tidemill.detection.limits import FEWEST, limit
from tidemill.detection.long_run import LongRun, long_run
from tidemill.detection.robust import Bounds, bounds, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Row = NDArray[np.float64]

FIRST_FIT = 64
_FEWEST_PAIRS = 48
_LONGEST_STEP = 4096
# Values without a level of the variance in sight, after which none is hoped for.
PATIENCE = 2**16
# Share of large differences among the last ones of one length: a signal that wanders; one that
# has stopped.
_WANDERS, _STEADY = 0.6, 0.25
_LARGE = 9.0  # squared standard errors
_CALM = 0.4  # of the limit
_REFERENCE = 50.0  # independent values
# Slow movements below the noise show only in sums of many values.
_FEWEST_VALUES = 1_000
_LEAST_EFFECT = 0.1  # standard deviations: smaller changes are nobody's concern
# Spreads follow slow movements a little, below what tells a block length: by then it is known.
_FIRM_NU = 2_000.0
# Degrees of freedom of what is not drawn from a few values.
_SURE_NU = 1e9
# A signal that stands: values elsewhere come so many together at least; it is away for longer than
# so many times that before it is told.
_TOGETHER, _LONGER = at.YOUNGEST, 2.0
# In so many times the values that a jump takes, an eighth of them elsewhere is told too.
_SCATTERED = 16.0
_LEAST_NU = {at.LEVEL: 20.0, at.SPREAD: 40.0, at.MISSING: 20.0, at.STUCK: 20.0}


def fresh(row: Row) -> None:
    """Empty a row, apart from what its caller asked for: run lengths, sides, what is told."""
    kept = [(row[c + at.LENGTH], row[c + at.SIDES]) for c in at.CHANNELS]
    whole, is_told = row[at.RUN_LENGTH], row[at.TOLD]
    row[:] = 0.0
    row[at.RUN_LENGTH], row[at.TOLD] = whole, is_told
    row[at.LAST_Z] = row[at.LAST_X] = row[at.STAMP] = math.nan
    row[at.STRAY] = row[at.U_STRAY] = -math.inf
    row[at.STRIDE] = 1.0
    row[at.NEXT_FIT] = FIRST_FIT
    for c, (length, sides) in zip(at.CHANNELS, kept, strict=True):
        start(row[c:], length, sides)


def start(c: Row, length: float, sides: float) -> None:
    """Empty a channel; whether it is steady is not forgotten with what it was."""
    unsteady = c[at.UNSTEADY]
    c[: at.HULLS] = 0.0
    c[at.UNSTEADY] = unsteady
    c[at.LENGTH], c[at.SIDES] = length, sides
    c[at.BLOCK] = c[at.VARIANCE] = c[at.TAU] = c[at.LEAST] = 1.0
    c[at.LIMIT] = c[at.CALM] = c[at.BIG] = c[at.HORIZON] = math.inf
    scan_anew(c)


def scan_anew(c: Row) -> None:
    """Begin the scan at nothing; what is known of the variance stays."""
    c[at.N] = c[at.S] = c[at.X] = c[at.FILL] = c[at.STAT] = c[at.OUT] = c[at.ABOVE] = 0.0
    c[at.LOWER] = c[at.UPPER] = 1.0
    hulls = 2 if c[at.SIDES] > 1.0 else 1
    for hull in range(hulls):
        place = at.HULLS + hull * at.HULL
        c[place : place + at.VERTEX] = (0.0, 0.0, math.nan, 0.0)


def renew_estimates(row: Row) -> list[tuple[int, bool]]:
    """Look at what was seen so far; return the channels that became unsteady, or steady again."""
    events = row[at.EVENTS]
    row[at.NEXT_FIT] = events + min(max(events // 8.0, 16.0), _LONGEST_STEP)
    if row[at.KNOWN] < 2.0 and not _stands(row):
        _renew_bounds(row)
    turned = []
    for c in at.CHANNELS:
        channel = row[c:]
        if channel[at.OUT]:
            continue
        was = channel[at.UNSTEADY]
        if c in {at.MISSING, at.STUCK}:
            _renew_rate(channel, _LEAST_NU[c])
        elif row[at.KNOWN] > 0.0:
            _renew_values(row, c)
        elif row[at.KNOWN] < 0.0 and c == at.LEVEL:
            _renew_still(channel)
        if channel[at.UNSTEADY] != was and channel[at.LENGTH] < math.inf:
            turned.append((c, not was))
    _go_on(row)
    return turned


def _go_on(row: Row) -> None:
    """Settle once the level is known, or is not to be; look at what does not settle afresh."""
    level = row[at.LEVEL :]
    is_lost = level[at.UNSTEADY] > 0.0
    if is_lost and row[at.VALUES] >= PATIENCE and not any(row[c + at.OUT] for c in at.CHANNELS):
        flags = [row[c + at.UNSTEADY] for c in at.CHANNELS]
        fresh(row)
        for c, flag in zip(at.CHANNELS, flags, strict=True):
            row[c + at.UNSTEADY] = flag
    elif row[at.KNOWN] == 1.0 and level[at.STEPS] >= _FEWEST_VALUES and (level[at.NU] or is_lost):
        _settle(row)


def _renew_bounds(row: Row) -> None:
    """Lay the bounds where the values lie; where they lay elsewhere, begin again."""
    kept = int(row[at.KEPT])
    if kept < _FEWEST_PAIRS:
        return
    values = _pairs(row).ravel().tolist()
    found = bounds(values)
    if row[at.TOLD] and _stood(row, median(values), is_flat=found is None):
        _stand(row, median(values))
        return
    if found is None:
        return
    if row[at.KNOWN] > 0.0 and Bounds(row[at.CENTRE], 1.0 / row[at.PER_SCALE]).is_near(found):
        return
    row[at.CENTRE], row[at.PER_SCALE], row[at.KNOWN] = found.centre, 1.0 / found.scale, 1.0
    row[at.PRODUCTS] = row[at.SQUARED] = 0.0
    row[at.LAST_Z] = math.nan
    _restart(row[at.LEVEL :])


def _stood(row: Row, place: float, *, is_flat: bool) -> bool:
    """Return whether a signal stands: none of those kept differs, or none of a thousand."""
    level = row[at.LEVEL :]
    if row[at.KNOWN] <= 0.0:
        return is_flat
    is_long = level[at.STEPS] >= _FEWEST_VALUES and row[at.LAST_X] == place
    return (is_flat or is_long) and not any(squares for squares, _ in rungs(level))


def _stand(row: Row, place: float) -> None:
    """Take a signal as one that stands; once it did for long, that is its reference."""
    if row[at.KNOWN] >= 0.0 or row[at.CENTRE] != place:
        level = row[at.LEVEL :]
        stood = level[at.STEPS] if row[at.KNOWN] > 0.0 else 0.0
        row[at.KNOWN], row[at.CENTRE], row[at.PER_SCALE] = -1.0, place, 1.0
        _restart(level)
        level[at.N] = stood


def _stands(row: Row) -> bool:
    return bool(row[at.KNOWN] < 0.0 and row[at.LEVEL + at.LIMIT] < math.inf)


def _renew_still(c: Row) -> None:
    """Look for values elsewhere once a thousand in a row were the same, as for missing ones.

    Nothing varied, so nothing says how many of them come together by chance.
    """
    if c[at.N] < _FEWEST_VALUES or c[at.LIMIT] < math.inf:
        return
    if c[at.S]:
        scan_anew(c)
        return
    least = _LONGER * -math.log(at.LEAST_RATE)
    c[at.LIMIT] = max(limit(0.5 * c[at.LENGTH], 1.0, _SURE_NU), least)
    c[at.CALM] = _CALM * c[at.LIMIT]
    c[at.LEAST], c[at.LAG] = _FEWEST_VALUES, math.nan
    come_together(c, _TOGETHER)
    if c[at.LIMIT] < math.inf:
        c[at.UNSTEADY] = 0.0


def come_together(c: Row, values: float) -> None:
    """Take it that so many values elsewhere come together: their share says so much less."""
    c[at.VARIANCE] = max(c[at.VARIANCE], values)
    jump = c[at.LIMIT] * c[at.VARIANCE] / -math.log(at.LEAST_RATE)
    c[at.HORIZON] = _SCATTERED * jump


def _settle(row: Row) -> None:
    """Keep the bounds from here on, and begin to look at the spread."""
    row[at.KNOWN] = 2.0
    if row[at.SQUARED]:
        row[at.PHI] = max(-1.0, min(1.0, row[at.PRODUCTS] / row[at.SQUARED]))
    with np.errstate(over="ignore"):
        z = np.clip((_pairs(row) - row[at.CENTRE]) * row[at.PER_SCALE], -at.CLIP, at.CLIP)
    found = bounds(np.sqrt(np.abs(z[:, 1] - row[at.PHI] * z[:, 0])).tolist())
    if found is not None:
        row[at.U_CENTRE], row[at.U_PER_SCALE] = found.centre, 1.0 / found.scale
    row[at.PAIRS : at.LEVEL] = 0.0
    _restart(row[at.SPREAD :])


def _pairs(row: Row) -> Row:
    kept = int(row[at.KEPT])
    return row[at.PAIRS : at.PAIRS + 2 * kept].reshape(kept, 2)


def _restart(c: Row) -> None:
    start(c, c[at.LENGTH], c[at.SIDES])


def rungs(c: Row) -> list[tuple[float, float]]:
    """Return the squared differences and their number, by doubling block length."""
    ladder = c[at.LADDER : at.HULLS].reshape(at.LEVELS, at.RUNG)
    found = [(r[at.SQUARES], r[at.COUNT]) for r in ladder.tolist()]
    return [(squares, count) for squares, count in found if count]


def _wander(c: Row) -> float:
    """Return the largest share of large differences among the last ones of any length."""
    return float(c[at.LADDER : at.HULLS].reshape(at.LEVELS, at.RUNG)[:, at.LARGE].max())


def _renew_values(row: Row, place: int) -> None:
    c = row[place:]
    was, unsteady = c[at.UNSTEADY] > 0.0, c[at.UNSTEADY] > 0.0
    follows = place == at.SPREAD and c[at.STEPS] < _REFERENCE * row[at.LEVEL + at.TAU]
    found = None
    if c[at.STEPS] >= _FEWEST_VALUES and not follows:
        firm = _FIRM_NU if place == at.SPREAD else math.inf
        found = long_run(rungs(c), _LEAST_NU[place], firm_nu=firm)
    if found is None:
        is_late = place == at.LEVEL and row[at.VALUES] >= PATIENCE and not c[at.NU]
        unsteady = was or is_late or _wander(c) > _WANDERS
    else:
        learn(c, found)
        if was and c[at.STEPS] >= PATIENCE // 2:
            unsteady = _wander(c) > _STEADY
        elif not was:
            unsteady = _wander(c) > _WANDERS
        unsteady = unsteady or c[at.LENGTH] < FEWEST * found.tau
    if unsteady:
        c[at.LIMIT] = c[at.CALM] = math.inf
        c[at.STAT] = 0.0
    elif was:
        scan_anew(c)
    c[at.UNSTEADY] = float(unsteady)


def learn(c: Row, found: LongRun) -> None:
    """Take what is known of the variance into use."""
    c[at.VARIANCE], c[at.NU], c[at.TAU] = found.variance, found.nu, found.tau
    c[at.LAG], c[at.SD] = found.lag, found.sd
    c[at.BIG] = _LARGE * found.variance
    sided = c[at.LENGTH] * (1.0 if c[at.SIDES] > 1.0 else 0.5)
    c[at.LIMIT] = limit(sided, found.tau, found.nu)
    c[at.CALM] = _CALM * c[at.LIMIT]
    _set_range(c)
    c[at.BLOCK] = _block(found, c[at.LIMIT])
    c[at.FILL] = min(c[at.FILL], c[at.BLOCK] - 1.0)


def _set_range(c: Row) -> None:
    """Say how long a reference must be, and how long ago a change may have begun."""
    tau = max(1.0, c[at.TAU])
    c[at.LEAST] = _REFERENCE * tau
    c[at.HORIZON] = 2.0 * c[at.LIMIT] * tau / (_LEAST_EFFECT * _LEAST_EFFECT)


def _block(found: LongRun, height: float) -> float:
    """Return the length of a block: a part of tau, and so long that one value cannot alarm."""
    clipped = at.CLIP * at.CLIP / (2.0 * found.variance)
    least = max(found.tau / 4.0, clipped / (0.9 * height), 1.0)
    return float(min(2.0 ** math.floor(math.log2(least)), 2.0**12))


def _renew_rate(c: Row, least_nu: float) -> None:
    if c[at.N] < _FEWEST_VALUES:
        return
    share = c[at.S] / c[at.N]
    found = long_run(rungs(c), least_nu)
    if found is None:
        if any(squares for squares, _ in rungs(c)):
            return
        found = LongRun(0.0, _SURE_NU, 1.0, 0.0, 0.0)
    c[at.VARIANCE] = max(1.0, found.tau)
    c[at.NU], c[at.TAU], c[at.LAG] = found.nu, max(1.0, found.tau), found.lag
    c[at.SD] = math.sqrt(share * (1.0 - share))
    c[at.LIMIT] = limit(0.5 * c[at.LENGTH], c[at.TAU], found.nu)
    c[at.CALM] = _CALM * c[at.LIMIT]
    _set_range(c)

"""The steps of signals, event by event, in Python: what `_kernel.pyx` computes, to the last bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tidemill.detection import layout as at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Row = list[float]

_PER_BIN = at.MOST_BINS / (2.0 * at.CLIP)


def advance(
    rows: NDArray[np.float64],
    values: NDArray[np.float64],
    stamps: NDArray[np.float64],
    reached: NDArray[np.intp],
) -> int:
    """Take each row on, from where it is, to the end or to where it wakes; return how many woke.

    Args:
        rows: One row for each signal; changed.
        values: One row for each signal, one column for each event; NaN for none.
        stamps: Of the events.
        reached: Of each row, the event it is to begin with; changed to the one after its last.
    """
    woken = 0
    count = len(stamps)
    for number in range(len(rows)):
        row: Row = rows[number].tolist()
        event = int(reached[number])
        row[at.WOKE] = 0.0
        while event < count:
            event += 1
            if _step(row, float(values[number, event - 1]), float(stamps[event - 1])):
                woken += 1
                break
        reached[number] = event
        rows[number] = row
    return woken


def _step(row: Row, x: float, stamp: float) -> bool:
    row[at.EVENTS] += 1.0
    is_there = math.isfinite(x)
    woke = 4 * _rate(row, at.MISSING, float(not is_there), row[at.STAMP])
    if is_there:
        woke |= _value(row, x, stamp)
    row[at.STAMP] = stamp
    if row[at.EVENTS] >= row[at.NEXT_FIT]:
        woke |= at.FIT
    row[at.WOKE] = float(woke)
    return woke != 0


def _value(row: Row, x: float, stamp: float) -> int:
    woke = 0
    if not math.isnan(row[at.LAST_X]):
        woke |= 8 * _rate(row, at.STUCK, float(x == row[at.LAST_X]), row[at.STAMP])
    if row[at.KNOWN] < 2.0:
        _keep(row, x)
    row[at.VALUES] += 1.0
    row[at.LAST_X] = x
    if row[at.KNOWN] > 0.0:
        woke |= _standardised(row, (x - row[at.CENTRE]) * row[at.PER_SCALE], stamp)
    elif row[at.KNOWN] < 0.0:
        woke |= int(_elsewhere(row, x - row[at.CENTRE]))
    return woke


def _standardised(row: Row, wide: float, stamp: float) -> int:
    z = _clipped(wide)
    last = row[at.LAST_Z]
    woke = 0
    stray = _is_stray(row, at.STRAY, wide, tail=0.0)
    if not stray:
        woke = int(_channel(row, at.LEVEL, (z, z * z), stamp))
    if row[at.KNOWN] < 2.0:
        if not math.isnan(last):
            last = _clipped(last)
            row[at.PRODUCTS] += z * last
            row[at.SQUARED] += last * last
    elif not stray and -at.CLIP <= last <= at.CLIP and row[at.U_PER_SCALE] > 0.0:
        u = math.sqrt(abs(wide - row[at.PHI] * last))
        u = (u - row[at.U_CENTRE]) * row[at.U_PER_SCALE]
        if not _is_stray(row, at.U_STRAY, u, tail=1.0):
            woke |= 2 * _channel(row, at.SPREAD, (_clipped(u), z), stamp)
    if not stray:
        row[at.LAST_Z] = wide
    return woke


def _is_stray(row: Row, place: int, v: float, *, tail: float) -> bool:
    """Whether a value is far out, and the first in a while; `tail` more after it may be its own."""
    if -at.FAR <= v <= at.FAR:
        return False
    age = row[at.VALUES] - row[place]
    if age > at.SELDOM:
        row[place] = row[at.VALUES]
        return True
    return age <= tail


def _clipped(z: float) -> float:
    return at.CLIP if z > at.CLIP else -at.CLIP if z < -at.CLIP else z


def _keep(row: Row, x: float) -> None:
    """Keep values evenly over all that were seen, each with the one before it."""
    if math.isnan(row[at.LAST_X]) or row[at.VALUES] % row[at.STRIDE]:
        return
    kept = int(row[at.KEPT])
    if kept == at.MOST_PAIRS:
        kept //= 2
        for place in range(2 * kept):
            pair, side = divmod(place, 2)
            row[at.PAIRS + place] = row[at.PAIRS + 4 * pair + 2 + side]
        row[at.STRIDE] *= 2.0
        row[at.KEPT] = float(kept)
        if row[at.VALUES] % row[at.STRIDE]:
            return
    place = at.PAIRS + 2 * kept
    row[place], row[place + 1] = row[at.LAST_X], x
    row[at.KEPT] = kept + 1.0


def _channel(row: Row, c: int, pair: tuple[float, float], stamp: float) -> bool:
    """Take on a value, and what stands beside it."""
    v, beside = pair
    row[c + at.N] += 1.0
    row[c + at.S] += v
    row[c + at.X] += beside
    if row[c + at.OUT] > 0.0:
        _climb(row, c, v, is_calm=False)
        return _is_full(row, c, v)
    _climb(row, c, v, is_calm=row[c + at.STAT] < row[c + at.CALM])
    row[c + at.BINS + min(int((v + at.CLIP) * _PER_BIN), at.MOST_BINS - 1)] += 1.0
    row[c + at.FILL] += 1.0
    if row[c + at.FILL] < row[c + at.BLOCK]:
        return False
    row[c + at.FILL] = 0.0
    _scan(row, c)
    if row[c + at.LIMIT] < math.inf:
        row[c + at.WATCHED] += row[c + at.BLOCK]
    _count(row, c)
    _push(row, c, stamp, side=1.0)
    if row[c + at.SIDES] > 1.0:
        _push(row, c, stamp, side=-1.0)
    return row[c + at.STAT] > row[c + at.LIMIT]


def _is_full(row: Row, c: int, v: float) -> bool:
    row[c + at.WINDOW_SUM] += v
    row[c + at.IN_WINDOW] += 1.0
    return row[c + at.IN_WINDOW] >= row[c + at.WINDOW]


def _count(row: Row, c: int) -> None:
    """Count the excursions above half the limit; one ends below a quarter."""
    if row[c + at.ABOVE] > 0.0:
        if row[c + at.STAT] < 0.25 * row[c + at.LIMIT]:
            row[c + at.ABOVE] = 0.0
    elif row[c + at.STAT] > 0.5 * row[c + at.LIMIT]:
        row[c + at.ABOVE] = 1.0
        row[c + at.CROSSED] += 1.0


def _climb(row: Row, c: int, v: float, *, is_calm: bool) -> None:
    """Add a value to the ladder: differences of the sums of neighbouring blocks, by doubling."""
    steps = int(row[c + at.STEPS])
    big = 2.0 * row[c + at.BIG]
    wide, clean = 2.0, row[c + at.STEPS] + 1.0 - row[c + at.CLEAN]
    for rung in range(c + at.LADDER, c + at.HULLS, at.RUNG):
        if not steps & 1:
            row[rung + at.LEFT] = v
            break
        steps >>= 1
        d = row[rung + at.LEFT] - v
        v = row[rung + at.LEFT] + v
        d = d * d
        if is_calm and wide <= clean:
            row[rung + at.SQUARES] += d
            row[rung + at.COUNT] += 1.0
        row[rung + at.LARGE] += (float(d > big) - row[rung + at.LARGE]) * 0.125
        big, wide = 2.0 * big, 2.0 * wide
    row[c + at.STEPS] += 1.0


def _scan(row: Row, c: int) -> None:
    """Hold the sum so far against every start that may yet be the best."""
    is_both = row[c + at.SIDES] > 1.0
    best = _strongest(row, c, at.LOWER, is_both=is_both)
    if is_both:
        best = max(best, _strongest(row, c, at.UPPER, is_both=True))
    row[c + at.STAT] = best / (2.0 * row[c + at.VARIANCE])


def _strongest(row: Row, c: int, size: int, *, is_both: bool) -> float:
    n, mean, best = row[c + at.N], row[c + at.S] / row[c + at.N], 0.0
    first = c + at.HULLS + (at.HULL if size == at.UPPER else 0)
    for vertex in range(first, first + at.VERTEX * int(row[c + size]), at.VERTEX):
        begun = row[vertex]
        age = n - begun
        if begun >= row[c + at.LEAST] and at.YOUNGEST <= age <= row[c + at.HORIZON]:
            d = row[vertex + 1] - mean * begun
            if is_both or d < 0.0:
                best = max(best, d * d * n / (begun * age))
    return best


def _push(row: Row, c: int, stamp: float, *, side: float) -> None:
    """Add where the sum stands to a hull; what can no longer be the best start goes."""
    size, hull = (at.LOWER, at.HULLS) if side > 0.0 else (at.UPPER, at.HULLS + at.HULL)
    hull += c
    n, s = row[c + at.N], row[c + at.S]
    count = int(row[c + size])
    while count > 1:
        last = hull + (count - 1) * at.VERTEX
        before = last - at.VERTEX
        rise = (row[last + 1] - row[before + 1]) * (n - row[last])
        if side * (rise - (s - row[last + 1]) * (row[last] - row[before])) < 0.0:
            break
        count -= 1
    if count == at.MOST_VERTICES:
        _thin(row, hull, n)
        count -= 1
    place = hull + count * at.VERTEX
    row[place : place + at.VERTEX] = (n, s, stamp, row[c + at.X])
    row[c + size] = count + 1.0


def _thin(row: Row, hull: int, n: float) -> None:
    """Leave out the vertex that is missed least: its neighbours are close, for their age."""
    worst, least = 1, math.inf
    for place in range(1, at.MOST_VERTICES - 1):
        before = row[hull + (place - 1) * at.VERTEX]
        gap = (row[hull + (place + 1) * at.VERTEX] - before) / (n - before)
        if gap < least:
            worst, least = place, gap
    first, end = hull + worst * at.VERTEX, hull + at.HULL
    row[first : end - at.VERTEX] = row[first + at.VERTEX : end]


def _rate(row: Row, c: int, flag: float, stamp: float) -> bool:
    """Take on the share of events with a flag; `stamp` is of the event before."""
    is_out = row[c + at.OUT] > 0.0
    _climb(row, c, flag, is_calm=not is_out and row[c + at.STAT] < row[c + at.CALM])
    if is_out:
        row[c + at.N] += 1.0
        row[c + at.S] += flag
        return _is_full(row, c, flag)
    if row[c + at.LIMIT] < math.inf:
        row[c + at.WATCHED] += 1.0
    if flag and row[c + at.N] > 0.0:
        _push(row, c, stamp, side=1.0)
    row[c + at.N] += 1.0
    if not flag:
        return False
    row[c + at.S] += 1.0
    _scan_rate(row, c)
    _count(row, c)
    return row[c + at.STAT] > row[c + at.LIMIT]


def _elsewhere(row: Row, d: float) -> bool:
    """Take on whether a value is elsewhere than where the signal stands."""
    size = abs(d) if row[at.LEVEL + at.SIDES] > 1.0 else d
    flag = float(size > at.ROUNDING * abs(row[at.CENTRE]))
    woke = _rate(row, at.LEVEL, flag, row[at.STAMP])
    row[at.LEVEL + at.X] += max(-at.FURTHEST, min(at.FURTHEST, d))
    return woke


def _scan_rate(row: Row, c: int) -> None:
    """The same for shares; the first flag of a span says where it begins: it is not counted."""
    best = 0.0
    first = c + at.HULLS
    for vertex in range(first, first + at.VERTEX * int(row[c + at.LOWER]), at.VERTEX):
        count = row[c + at.N] - row[vertex]
        if row[vertex] < row[c + at.LEAST] or count > row[c + at.HORIZON]:
            continue
        flags = row[c + at.S] - row[vertex + 1] - 1.0
        usual = max((row[vertex + 1] + 1.0) / (row[vertex] + 2.0), at.LEAST_RATE)
        share = flags / count
        if share > usual:
            clear = (count - flags) * math.log((1.0 - share) / (1.0 - usual))
            gain = flags * math.log(share / usual) + clear
            best = max(best, gain * (row[vertex] / row[c + at.N]))
    row[c + at.STAT] = best / row[c + at.VARIANCE]

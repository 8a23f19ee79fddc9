"""Where a change began, what it is, and when it is over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tidemill.detection import layout as at
from tidemill.detection.changes import Moments
from tidemill.detection.learning import scan_anew
from tidemill.detection.tails import likelihood_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Row = NDArray[np.float64]

# A window that says whether a signal is back is so many times as long as what raised the alarm:
# half the change is then four standard errors.
_WINDOWS = 3.0
_SHORTEST_WINDOW = 32.0  # independent values
# Back is nearer to the reference than so much of the change.
BACK = 0.5
# A signal that stood is back where it stands again, but for the odd value.
STANDS_AGAIN = 0.125
_LEFT = 0.25  # of the limit
# What counting into bins takes off normal values.
_NEARLY = 0.02
NOTHING = Moments(0, math.nan, math.nan)


class Span(NamedTuple):
    """Sums over a span of a channel."""

    n: float
    s: float
    x: float

    @property
    def mean(self) -> float:
        """The mean of what the channel looks at."""
        return self.s / self.n


def is_still(row: Row, channel: int) -> bool:
    """Return whether the level is that of a signal that stands: the share of other values."""
    return bool(channel == at.LEVEL and row[at.KNOWN] < 0.0)


def start_of(c: Row, *, is_rate: bool) -> tuple[float, float, float, float]:
    """Return the vertex that holds the strongest start: n, sum, stamp, sum beside."""
    strength = _rate_strength if is_rate else _strength
    n, s = float(c[at.N]), float(c[at.S])
    return max(_vertices(c), key=lambda v: strength(v, n, s))


def _vertices(c: Row) -> list[tuple[float, float, float, float]]:
    """Return the starts that may be named."""
    found = c[at.HULLS : at.HULLS + int(c[at.LOWER]) * at.VERTEX]
    is_both = c[at.SIDES] > 1.0
    if is_both:
        second = at.HULLS + at.HULL
        upper = c[second : second + int(c[at.UPPER]) * at.VERTEX]
        found = np.concatenate([found, upper])
    n, s = float(c[at.N]), float(c[at.S])
    return [
        (v[0], v[1], v[2], v[3])
        for v in found.reshape(-1, at.VERTEX).tolist()
        if v[0] >= c[at.LEAST]
        and 0.0 < n - v[0] <= c[at.HORIZON]
        and (is_both or v[1] * n < s * v[0])
    ]


def evidence(c: Row) -> float:
    """Return the strength of the strongest start, with the chances that the values really have.

    The mean of n values is at least m with chance exp(-n I(m)), where I(m) is m^2 / 2 variance
    only for normal values. It is taken from how often values stood where, if that is less; squared,
    since heavy tails also lack the factor by which normal ones stay below the bound (simulated).

    Source: Cramer (1938); Dembo & Zeitouni (1998), Large Deviations, theorem 2.2.3.
    """
    bins = c[at.BINS : at.BINS + at.MOST_BINS]
    n, s = float(c[at.N]), float(c[at.S])
    best = 0.0
    for vertex in _vertices(c):
        mean = vertex[1] / vertex[0]
        shift = (s - vertex[1]) / (n - vertex[0]) - mean
        plain = _strength(vertex, n, s) / (2.0 * c[at.VARIANCE])
        if plain > max(best, c[at.LIMIT]):
            share = min(1.0, likelihood_share(bins, shift) + _NEARLY)
            best = max(best, plain * share * share)
    return best


def _strength(vertex: tuple[float, ...], n: float, s: float) -> float:
    d = vertex[1] - s / n * vertex[0]
    return d * d * n / (vertex[0] * (n - vertex[0]))


def _rate_strength(vertex: tuple[float, ...], n: float, s: float) -> float:
    count, flags = n - vertex[0], s - vertex[1] - 1.0
    usual = max((vertex[1] + 1.0) / (vertex[0] + 2.0), at.LEAST_RATE)
    share = flags / count
    if share <= usual:
        return 0.0
    clear = (count - flags) * math.log((1.0 - share) / (1.0 - usual))
    return (flags * math.log(share / usual) + clear) * (vertex[0] / n)


def leave(c: Row, *, is_rate: bool) -> None:
    """Open: the reference ends at the strongest start; from here on the way back is watched."""
    n, s, stamp, x = start_of(c, is_rate=is_rate)
    c[at.OUT_N], c[at.OUT_S], c[at.OUT_X], c[at.OUT_SINCE] = n, s, x, stamp
    c[at.SHIFT] = (c[at.S] - s) / (c[at.N] - n) - s / n
    c[at.AT_N], c[at.AT_S], c[at.AT_X] = c[at.N], c[at.S], c[at.X]
    c[at.OUT] = 1.0
    c[at.ALARMS] += 1.0
    c[at.WINDOW] = math.ceil(max(_WINDOWS * (c[at.N] - n), _SHORTEST_WINDOW * c[at.TAU]))
    c[at.IN_WINDOW] = c[at.WINDOW_SUM] = 0.0


def is_back(c: Row, *, is_rate: bool, back: float = BACK) -> bool:
    """Judge a full window, and begin the next one; `back` is how near, of the change."""
    n = c[at.IN_WINDOW]
    away = abs(c[at.WINDOW_SUM] / n - c[at.OUT_S] / c[at.OUT_N])
    c[at.IN_WINDOW] = c[at.WINDOW_SUM] = 0.0
    is_near = away < back * abs(c[at.SHIFT])
    # At the alarm the change looks larger than it is: what is left may still be one.
    is_sure = is_rate or n * away * away / (2.0 * c[at.VARIANCE]) < _LEFT * c[at.LIMIT]
    return bool(is_near and is_sure)


def come_back(c: Row, stamp: float) -> None:
    """Close: go on from what was seen up to the alarm.

    What raised the alarm stays in: without it the reference would be further from the truth, the
    other way, where it was chance; where it was not, it is short beside the reference. Blocks that
    began while it was out are left out of the variance.

    Args:
        stamp: Of the last event.
    """
    n, s, x = c[at.AT_N], c[at.AT_S], c[at.AT_X]
    c[at.CLEAN] = c[at.STEPS]
    scan_anew(c)
    c[at.N], c[at.S], c[at.X] = n, s, x
    for hull, size in ((at.HULLS, at.LOWER), (at.HULLS + at.HULL, at.UPPER)):
        if size == at.UPPER and c[at.SIDES] <= 1.0:
            continue
        place = hull + at.VERTEX
        c[place : place + at.VERTEX] = (n, s, stamp, x)
        c[size] = 2.0


def spans(c: Row) -> tuple[Span, Span]:
    """Return the sums over the reference, and since."""
    before = Span(float(c[at.OUT_N]), float(c[at.OUT_S]), float(c[at.OUT_X]))
    after = Span(float(c[at.N]) - before.n, float(c[at.S]) - before.s, float(c[at.X]) - before.x)
    return before, after


def effect(c: Row, before: Span, after: Span, *, is_rate: bool) -> float:
    """Return the change in standard deviations of what the channel looks at."""
    if is_rate:
        usual = min(max(before.mean, at.LEAST_RATE), 1.0 - at.LEAST_RATE)
        return float((after.mean - before.mean) / math.sqrt(usual * (1.0 - usual)))
    return float((after.mean - before.mean) / c[at.SD])


def moments(row: Row, channel: int, before: Span, after: Span) -> tuple[Moments, Moments]:
    """Return mean and sd before and after, in the unit of the signal; of a rate, in shares."""
    if is_still(row, channel):
        return _of_still(row, before), _of_still(row, after)
    if channel == at.LEVEL:
        return _of_level(row, before), _of_level(row, after)
    if channel == at.SPREAD:
        return _of_spread(row, before, before), _of_spread(row, before, after)
    return _of_share(before), _of_share(after)


def _of_level(row: Row, span: Span) -> Moments:
    mean = span.mean
    sd = math.sqrt(max(span.x / span.n - mean * mean, 0.0))
    scale = 1.0 / row[at.PER_SCALE]
    return Moments(int(span.n), float(row[at.CENTRE] + mean * scale), float(sd * scale))


def _of_still(row: Row, span: Span) -> Moments:
    """What differs has a spread, which nobody added up."""
    mean = float(row[at.CENTRE] + span.x / span.n)
    return Moments(int(span.n), mean, math.nan if span.s else 0.0)


def _of_spread(row: Row, before: Span, span: Span) -> Moments:
    """The mean root of the changes from value to value goes with the root of the spread."""
    scale, per = 1.0 / row[at.PER_SCALE], row[at.U_PER_SCALE]
    usual = row[at.U_CENTRE] + before.mean / per
    ratio = (row[at.U_CENTRE] + span.mean / per) / usual if usual > 0.0 else math.nan
    sd = row[at.LEVEL + at.SD] * scale * ratio * ratio
    return Moments(int(span.n), float(row[at.CENTRE] + span.x / span.n * scale), float(sd))


def _of_share(span: Span) -> Moments:
    share = span.mean
    return Moments(int(span.n), share, math.sqrt(max(share * (1.0 - share), 0.0)))

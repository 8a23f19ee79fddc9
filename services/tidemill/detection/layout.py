"""Where the numbers of one signal stand in its row of doubles; `_kernel.pyx` says the same."""

from __future__ import annotations

# The head of a row.
EVENTS = 0  # since the reference began, missing ones too
VALUES = 1  # finite ones of these
KNOWN = 2  # 0: nothing, 1: centre and scale, still learned, 2: settled; -1: it stands at `CENTRE`
CENTRE = 3
PER_SCALE = 4  # 1 / scale
PHI = 5  # lag-1 correlation, taken off before the spread is looked at
LAST_Z = 6  # not clipped; NaN before the first
U_CENTRE = 7
U_PER_SCALE = 8
LAST_X = 9  # NaN before the first
STRIDE = 10  # one value in so many is kept
KEPT = 11
STAMP = 12  # of the last event
NEXT_FIT = 13  # number of events at which the estimates are renewed
WOKE = 14  # why the kernel returned, as bits
RUN_LENGTH = 15  # of the whole signal, events
PRODUCTS = 16  # of neighbouring standardised values, and squares, while learned
SQUARED = 17
STRAY = 18  # number of the value that was far out, for the level and for the spread
U_STRAY = 19
TOLD = 20  # 1 where it is told that a signal leaves the one value it had
PAIRS = 21  # kept values, each after the one before it

MOST_PAIRS = 64
LEVEL = PAIRS + 2 * MOST_PAIRS

# A channel, from its own start.
N = 0  # values in the reference and since
S = 1  # their sum; of flags: missing, stuck, the level of a signal that stands: elsewhere
X = 2  # sum of what stands beside them: squares (level; where it stands, differences from there),
# standardised values (spread)
BLOCK = 3
FILL = 4
VARIANCE = 5  # long-run variance of one value; over-dispersion of a rate
LIMIT = 6  # an alarm is above it; inf while nothing is promised
CALM = 7  # below it the variance is learned
STAT = 8
OUT = 9  # 1 while an alarm stands
LOWER = 10  # vertices of the lower hull
UPPER = 11
STEPS = 12  # values on the ladder
SIDES = 13  # 3 both, 1 upward only
WINDOW = 14  # values of a window while out
IN_WINDOW = 15
WINDOW_SUM = 16
OUT_N = 17  # where the reference ended
OUT_S = 18
OUT_X = 19
OUT_SINCE = 20
SHIFT = 21  # from the mean of the reference to that since, at the alarm
NU = 22
TAU = 23
LAG = 24
SD = 25
LENGTH = 26  # run length of this channel
CROSSED = 27  # excursions above half the limit
ABOVE = 28  # 1 within such an excursion
WATCHED = 29  # values seen while something was promised
ALARMS = 30
UNSTEADY = 31  # 1 while it is not stationary
BIG = 32  # a squared difference per value above it is a large one
LEAST = 33  # values that a reference must have
HORIZON = 34  # values that a change may be old
AT_N = 35  # the sums at the alarm
AT_S = 36
AT_X = 37
CLEAN = 38  # values on the ladder when the last alarm ended: no block before says how it varies
BINS = 39  # how often values stood where, within the bounds

MOST_BINS = 32
LADDER = BINS + MOST_BINS

LEVELS = 21
RUNG = 4  # left sum; squared differences and their number while calm; share of large ones lately
LEFT, SQUARES, COUNT, LARGE = range(RUNG)
HULLS = LADDER + LEVELS * RUNG
MOST_VERTICES = 32
VERTEX = 4  # n, sum, stamp of the last event before, X
HULL = MOST_VERTICES * VERTEX

SPREAD = LEVEL + HULLS + 2 * HULL
MISSING = SPREAD + HULLS + 2 * HULL
STUCK = MISSING + HULLS + HULL
WIDTH = STUCK + HULLS + HULL

CHANNELS = (LEVEL, SPREAD, MISSING, STUCK)
FIT = 16  # the bit of WOKE beside 1, 2, 4, 8 of the channels

CLIP = 3.5  # robust standard deviations
# Further out than this, one value in so many is a stray one, and passed over.
FAR = 5.5
SELDOM = 64.0
# A change is looked for in so many values or more: fewer raise more alarms by chance than they
# find changes sooner.
YOUNGEST = 4.0
LEAST_RATE = 0.001  # a share below this is taken as this
ROUNDING = 1e-12  # of its size: values that differ by less are the same
FURTHEST = 1e200  # a value is taken as no further away from where the signal stood

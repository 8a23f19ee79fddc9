# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=False
"""The steps of signals, event by event, to the last bit as `plain_kernel` makes them.

The numbers stand as `layout` says. Built without contraction of products and sums
(`-ffp-contract=off`).
"""

from libc.math cimport fabs, isfinite, log, sqrt

cdef enum:
    EVENTS = 0
    VALUES = 1
    KNOWN = 2
    CENTRE = 3
    PER_SCALE = 4
    PHI = 5
    LAST_Z = 6
    U_CENTRE = 7
    U_PER_SCALE = 8
    LAST_X = 9
    STRIDE = 10
    KEPT = 11
    STAMP = 12
    NEXT_FIT = 13
    WOKE = 14
    PRODUCTS = 16
    SQUARED = 17
    STRAY = 18
    U_STRAY = 19
    PAIRS = 21
    MOST_PAIRS = 64
    LEVEL = PAIRS + 2 * MOST_PAIRS

    N = 0
    S = 1
    X = 2
    BLOCK = 3
    FILL = 4
    VARIANCE = 5
    LIMIT = 6
    CALM = 7
    STAT = 8
    OUT = 9
    LOWER = 10
    UPPER = 11
    STEPS = 12
    SIDES = 13
    WINDOW = 14
    IN_WINDOW = 15
    WINDOW_SUM = 16
    CROSSED = 27
    ABOVE = 28
    WATCHED = 29
    BIG = 32
    LEAST = 33
    HORIZON = 34
    CLEAN = 38
    BINS = 39
    MOST_BINS = 32
    LADDER = BINS + MOST_BINS

    LEVELS = 21
    RUNG = 4
    HULLS = LADDER + LEVELS * RUNG
    MOST_VERTICES = 32
    VERTEX = 4
    HULL = MOST_VERTICES * VERTEX
    SPREAD = LEVEL + HULLS + 2 * HULL
    MISSING = SPREAD + HULLS + 2 * HULL
    STUCK = MISSING + HULLS + HULL
    WIDTH = STUCK + HULLS + HULL
    FIT = 16

cdef double CLIP = 3.5
cdef double LEAST_RATE = 0.001
cdef double FAR = 5.5
cdef double SELDOM = 64.0
cdef double YOUNGEST = 4.0
cdef double ROUNDING = 1e-12
cdef double FURTHEST = 1e200
cdef double PER_BIN = MOST_BINS / (2.0 * CLIP)
cdef double INFINITY = float("inf")


def advance(double[:, ::1] rows, const double[:, ::1] values, const double[::1] stamps,
            Py_ssize_t[::1] reached):
    """Take each row on, from where it is, to the end or to where it wakes; return how many woke.

    Args:
        rows: One row for each signal; changed.
        values: One row for each signal, one column for each event; NaN for none.
        stamps: Of the events.
        reached: Of each row, the event it is to begin with; changed to the one after its last.
    """
    cdef Py_ssize_t row, event, count = stamps.shape[0], woken = 0
    cdef double *state
    if rows.shape[1] != WIDTH:
        raise ValueError("rows must have the width of `layout`")
    for row in range(rows.shape[0]):
        state = &rows[row, 0]
        event = reached[row]
        state[WOKE] = 0.0
        while event < count:
            event += 1
            if _step(state, values[row, event - 1], stamps[event - 1]):
                woken += 1
                break
        reached[row] = event
    return woken


cdef inline bint _step(double *state, double x, double stamp) noexcept nogil:
    cdef int woke = 0
    cdef double wide, z, last, u
    cdef bint stray
    state[EVENTS] += 1.0
    if not isfinite(x):
        woke = _rate(state + MISSING, 1.0, state[STAMP]) * 4
    else:
        woke = _rate(state + MISSING, 0.0, state[STAMP]) * 4
        if state[LAST_X] == state[LAST_X]:
            woke |= _rate(state + STUCK, 1.0 if x == state[LAST_X] else 0.0, state[STAMP]) * 8
        if state[KNOWN] < 2.0:
            _keep(state, x)
        state[VALUES] += 1.0
        state[LAST_X] = x
        if state[KNOWN] > 0.0:
            wide = (x - state[CENTRE]) * state[PER_SCALE]
            z = _clipped(wide)
            last = state[LAST_Z]
            stray = _is_stray(state, STRAY, wide, 0.0)
            if not stray:
                woke |= _channel(state + LEVEL, z, z * z, stamp)
            if state[KNOWN] < 2.0:
                if last == last:
                    last = _clipped(last)
                    state[PRODUCTS] += z * last
                    state[SQUARED] += last * last
            elif not stray and -CLIP <= last <= CLIP and state[U_PER_SCALE] > 0.0:
                # After a value out of bounds the next step is no measure of the spread.
                u = sqrt(fabs(wide - state[PHI] * last))
                u = (u - state[U_CENTRE]) * state[U_PER_SCALE]
                if not _is_stray(state, U_STRAY, u, 1.0):
                    woke |= _channel(state + SPREAD, _clipped(u), z, stamp) * 2
            if not stray:
                state[LAST_Z] = wide
        elif state[KNOWN] < 0.0:
            woke |= _elsewhere(state, x)
    state[STAMP] = stamp
    if state[EVENTS] >= state[NEXT_FIT]:
        woke |= FIT
    state[WOKE] = woke
    return woke != 0


cdef inline bint _is_stray(double *state, Py_ssize_t place, double v, double tail) noexcept nogil:
    """Whether a value is far out, and the first in a while; `tail` more after it may be its own."""
    cdef double age
    if -FAR <= v <= FAR:
        return False
    age = state[VALUES] - state[place]
    if age > SELDOM:
        state[place] = state[VALUES]
        return True
    return age <= tail


cdef inline double _clipped(double z) noexcept nogil:
    if z > CLIP:
        return CLIP
    if z < -CLIP:
        return -CLIP
    return z


cdef inline void _keep(double *state, double x) noexcept nogil:
    """Keep values evenly over all that were seen, each with the one before it."""
    cdef Py_ssize_t kept, place
    cdef double *pairs = state + PAIRS
    if state[LAST_X] != state[LAST_X] or (<long long>state[VALUES]) % (<long long>state[STRIDE]):
        return
    kept = <Py_ssize_t>state[KEPT]
    if kept == MOST_PAIRS:
        kept = MOST_PAIRS // 2
        for place in range(kept):
            pairs[2 * place] = pairs[4 * place + 2]
            pairs[2 * place + 1] = pairs[4 * place + 3]
        state[STRIDE] *= 2.0
        state[KEPT] = kept
        if (<long long>state[VALUES]) % (<long long>state[STRIDE]):
            return
    pairs[2 * kept] = state[LAST_X]
    pairs[2 * kept + 1] = x
    state[KEPT] = kept + 1


cdef inline int _channel(double *c, double v, double beside, double stamp) noexcept nogil:
    cdef Py_ssize_t place
    c[N] += 1.0
    c[S] += v
    c[X] += beside
    if c[OUT] > 0.0:
        _climb(c, v, False)
        c[WINDOW_SUM] += v
        c[IN_WINDOW] += 1.0
        return c[IN_WINDOW] >= c[WINDOW]
    _climb(c, v, c[STAT] < c[CALM])
    place = <Py_ssize_t>((v + CLIP) * PER_BIN)
    c[BINS + (place if place < MOST_BINS else MOST_BINS - 1)] += 1.0
    c[FILL] += 1.0
    if c[FILL] < c[BLOCK]:
        return 0
    c[FILL] = 0.0
    _scan(c)
    if c[LIMIT] < INFINITY:
        c[WATCHED] += c[BLOCK]
    _count(c)
    _push(c + HULLS, c + LOWER, c, stamp, 1.0)
    if c[SIDES] > 1.0:
        _push(c + HULLS + HULL, c + UPPER, c, stamp, -1.0)
    return c[STAT] > c[LIMIT]


cdef inline void _count(double *c) noexcept nogil:
    """Count the excursions above half the limit; one ends below a quarter."""
    if c[ABOVE] > 0.0:
        if c[STAT] < 0.25 * c[LIMIT]:
            c[ABOVE] = 0.0
    elif c[STAT] > 0.5 * c[LIMIT]:
        c[ABOVE] = 1.0
        c[CROSSED] += 1.0


cdef inline void _climb(double *c, double v, bint calm) noexcept nogil:
    """Add a value to the ladder: differences of the sums of neighbouring blocks, by doubling."""
    cdef long long steps = <long long>c[STEPS]
    cdef double *rung = c + LADDER
    cdef double d, big = 2.0 * c[BIG], wide = 2.0, clean = c[STEPS] + 1.0 - c[CLEAN]
    cdef int level
    for level in range(LEVELS):
        if not steps & 1:
            rung[0] = v
            break
        steps >>= 1
        d = rung[0] - v
        v = rung[0] + v
        d = d * d
        if calm and wide <= clean:
            rung[1] += d
            rung[2] += 1.0
        rung[3] += ((1.0 if d > big else 0.0) - rung[3]) * 0.125
        big = 2.0 * big
        wide = 2.0 * wide
        rung += RUNG
    c[STEPS] += 1.0


cdef inline void _scan(double *c) noexcept nogil:
    """Hold the sum so far against every start that may yet be the best."""
    cdef bint is_both = c[SIDES] > 1.0
    cdef double best = _strongest(c, c + HULLS, <Py_ssize_t>c[LOWER], is_both)
    cdef double other
    if is_both:
        other = _strongest(c, c + HULLS + HULL, <Py_ssize_t>c[UPPER], True)
        if other > best:
            best = other
    c[STAT] = best / (2.0 * c[VARIANCE])


cdef inline double _strongest(double *c, double *vertex, Py_ssize_t count, bint is_both) noexcept nogil:
    cdef double n = c[N], mean = c[S] / c[N], best = 0.0, d, age
    cdef Py_ssize_t place
    for place in range(count):
        age = n - vertex[0]
        if vertex[0] >= c[LEAST] and YOUNGEST <= age <= c[HORIZON]:
            d = vertex[1] - mean * vertex[0]
            if is_both or d < 0.0:
                d = d * d * n / (vertex[0] * age)
                if d > best:
                    best = d
        vertex += VERTEX
    return best


cdef inline void _push(double *hull, double *size, double *c, double stamp, double side) noexcept nogil:
    """Add where the sum stands to a hull; what can no longer be the best start goes."""
    cdef Py_ssize_t count = <Py_ssize_t>size[0]
    cdef double *last
    cdef double *before
    while count > 1:
        last = hull + (count - 1) * VERTEX
        before = last - VERTEX
        if side * ((last[1] - before[1]) * (c[N] - last[0])
                   - (c[S] - last[1]) * (last[0] - before[0])) < 0.0:
            break
        count -= 1
    if count == MOST_VERTICES:
        count = _thinned(hull, c[N])
    last = hull + count * VERTEX
    last[0] = c[N]
    last[1] = c[S]
    last[2] = stamp
    last[3] = c[X]
    size[0] = count + 1


cdef Py_ssize_t _thinned(double *hull, double n) noexcept nogil:
    """Leave out the vertex that is missed least: its neighbours are close, for their age."""
    cdef Py_ssize_t place, worst = 1
    cdef double least = INFINITY
    cdef double *vertex
    cdef double gap
    for place in range(1, MOST_VERTICES - 1):
        vertex = hull + place * VERTEX
        gap = (vertex[VERTEX] - vertex[-VERTEX]) / (n - vertex[-VERTEX])
        if gap < least:
            least = gap
            worst = place
    for place in range(worst * VERTEX, (MOST_VERTICES - 1) * VERTEX):
        hull[place] = hull[place + VERTEX]
    return MOST_VERTICES - 1


cdef inline int _rate(double *c, double flag, double stamp) noexcept nogil:
    """Take on the share of events with a flag; `stamp` is of the event before."""
    cdef bint is_out = c[OUT] > 0.0
    _climb(c, flag, not is_out and c[STAT] < c[CALM])
    if is_out:
        c[N] += 1.0
        c[S] += flag
        c[WINDOW_SUM] += flag
        c[IN_WINDOW] += 1.0
        return c[IN_WINDOW] >= c[WINDOW]
    if c[LIMIT] < INFINITY:
        c[WATCHED] += 1.0
    if flag == 0.0:
        c[N] += 1.0
        return 0
    if c[N] > 0.0:
        _push(c + HULLS, c + LOWER, c, stamp, 1.0)
    c[N] += 1.0
    c[S] += 1.0
    _scan_rate(c)
    _count(c)
    return c[STAT] > c[LIMIT]


cdef inline int _elsewhere(double *state, double x) noexcept nogil:
    """Take on whether a value is elsewhere than where the signal stands."""
    cdef double *c = state + LEVEL
    cdef double d = x - state[CENTRE]
    cdef double size = fabs(d) if c[SIDES] > 1.0 else d
    cdef double flag = 1.0 if size > ROUNDING * fabs(state[CENTRE]) else 0.0
    cdef int woke = _rate(c, flag, state[STAMP])
    if d > FURTHEST:
        d = FURTHEST
    elif d < -FURTHEST:
        d = -FURTHEST
    c[X] += d
    return woke


cdef inline void _scan_rate(double *c) noexcept nogil:
    """The same for shares; the first flag of a span says where it begins: it is not counted."""
    cdef double best = 0.0
    cdef double count, flags, share, usual
    cdef double *vertex = c + HULLS
    cdef Py_ssize_t place
    for place in range(<Py_ssize_t>c[LOWER]):
        count = c[N] - vertex[0]
        if vertex[0] >= c[LEAST] and count <= c[HORIZON]:
            flags = c[S] - vertex[1] - 1.0
            usual = (vertex[1] + 1.0) / (vertex[0] + 2.0)
            if usual < LEAST_RATE:
                usual = LEAST_RATE
            share = flags / count
            if share > usual:
                share = (flags * log(share / usual)
                         + (count - flags) * log((1.0 - share) / (1.0 - usual)))
                share = share * (vertex[0] / c[N])
                if share > best:
                    best = share
        vertex += VERTEX
    c[STAT] = best / c[VARIANCE]

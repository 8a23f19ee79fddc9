# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=False
"""One pass over the rows of a block of sensors; every sum in one order, as the plain twin's.

Built without contraction of products and sums (`-ffp-contract=off`).
"""

from libc.math cimport isfinite


def advance(const double[:, ::1] rows, frozen, moving, double[:, ::1] out, *,
            bint counting):
    """As `tidemill.detection.asset_passes.advance`."""
    cdef const double[::1] center = frozen.center, inverse = frozen.inverse, reach = frozen.reach
    cdef const double[:, ::1] coef = frozen.coef, white = frozen.white, alone = frozen.alone
    cdef const double[:, ::1] per_white = frozen.per_white, per_alone = frozen.per_alone
    cdef const double[::1] memory = frozen.memory
    cdef double[:, ::1] past = moving.past, z = moving.white, y = moving.alone
    cdef double[:, ::1] spread = moving.spread, level = moving.level, sums = moving.sums
    cdef double[::1] energy = moving.energy, x = moving.row, r = moving.residual
    cdef double[::1] w = moving.w, d = moving.d
    cdef double span = frozen.span, share = frozen.share
    cdef Py_ssize_t n = rows.shape[0], p = rows.shape[1], lags = past.shape[0]
    cdef Py_ssize_t scales = memory.shape[0], t, i, j, k, lag
    cdef double value, lam, keep, total, most, g
    for t in range(n):
        for i in range(p):
            r[i] = coef[0, i]
        for lag in range(lags):
            for j in range(p):
                value = past[lag, j]
                for i in range(p):
                    r[i] += value * coef[1 + lag * p + j, i]
        for i in range(p):
            value = (rows[t, i] - center[i]) * inverse[i]
            if not isfinite(value):
                value = r[i]
            if value > span:
                value = span
            elif value < -span:
                value = -span
            x[i] = value
            value = value - r[i]
            if not isfinite(rows[t, i]):
                value = 0.0
            elif value > reach[i]:
                value = reach[i]
            elif value < -reach[i]:
                value = -reach[i]
            r[i] = value
        for lag in range(lags - 1, 0, -1):
            for i in range(p):
                past[lag, i] = past[lag - 1, i]
        for i in range(p):
            past[0, i] = x[i]
            w[i] = 0.0
            d[i] = 0.0
        for j in range(p):
            value = r[j]
            for i in range(p):
                w[i] += value * white[j, i]
            for i in range(p):
                d[i] += value * alone[j, i]
        total = 0.0
        for i in range(p):
            total += w[i] * w[i]
        g = total * share
        for k in range(scales):
            lam = memory[k]
            keep = 1.0 - lam
            for i in range(p):
                z[k, i] = keep * z[k, i] + lam * w[i]
            for i in range(p):
                y[k, i] = keep * y[k, i] + lam * d[i]
            for i in range(p):
                spread[k, i] = keep * spread[k, i] + lam * (d[i] * d[i])
            for i in range(p):
                level[k, i] = keep * level[k, i] + lam * x[i]
            total = 0.0
            most = 0.0
            for i in range(p):
                total += (z[k, i] * z[k, i]) * per_white[k, i]
                value = (y[k, i] * y[k, i]) * per_alone[k, i]
                if value > most:
                    most = value
            energy[k] = keep * energy[k] + lam * g
            out[t, 3 * k] = total * share
            out[t, 3 * k + 1] = most
            out[t, 3 * k + 2] = energy[k]
            if counting:
                for i in range(p):
                    sums[k, i] += z[k, i] * z[k, i]
                for i in range(p):
                    sums[k, p + i] += y[k, i] * y[k, i]
                sums[k, 2 * p] += energy[k]
                sums[k, 2 * p + 1] += energy[k] * energy[k]
                sums[k, 2 * p + 2] += (energy[k] * energy[k]) * energy[k]
                sums[k, 2 * p + 3] += g
                sums[k, 2 * p + 4] += g * g


def product(const double[:, ::1] left, const double[:, ::1] right, double[:, ::1] out):
    """As `tidemill.detection.asset_passes.product`."""
    cdef Py_ssize_t n = left.shape[0], m = left.shape[1], p = right.shape[1], t, i, j
    cdef double value
    for t in range(n):
        for i in range(p):
            out[t, i] = 0.0
        for j in range(m):
            value = left[t, j]
            for i in range(p):
                out[t, i] += value * right[j, i]

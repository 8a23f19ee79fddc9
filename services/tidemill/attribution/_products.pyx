# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=False
"""Shapley values of a sum of products, row by row, to the last bit as `tree_game` computes them.

Every product and sum is made in the order of the arrays there. Built without contraction of
products and sums (`-ffp-contract=off`).
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc


def attributions(
    const double[:, ::1] there,
    const double[:, ::1] away,
    const Py_ssize_t[:, ::1] players,
    Py_ssize_t people,
    const double[::1] values,
    const double[::1] nodes,
    const double[::1] weights,
    double nothing,
):
    """Return each player's share; the arguments as in `tree_game.Rows` and `legendre`."""
    cdef Py_ssize_t slots = there.shape[0], count = there.shape[1], degree = nodes.shape[0]
    cdef double *shares = <double *> PyMem_Malloc(slots * count * sizeof(double))
    cdef double *factors = <double *> PyMem_Malloc(slots * degree * sizeof(double))
    cdef double *wholes = <double *> PyMem_Malloc(degree * sizeof(double))
    cdef double *gains = <double *> PyMem_Malloc(slots * sizeof(double))
    cdef double *found = <double *> PyMem_Malloc((people + 1) * sizeof(double))
    cdef Py_ssize_t row, slot, node
    try:
        if not (shares and factors and wholes and gains and found):
            raise MemoryError
        for row in range(count):
            _share(
                there, away, values[row], row, nodes, weights, nothing,
                factors, wholes, gains, shares,
            )
        for slot in range(people + 1):
            found[slot] = 0.0
        for slot in range(slots):
            for row in range(count):
                found[players[slot, row]] += shares[slot * count + row]
        return [found[slot] for slot in range(people)]
    finally:
        PyMem_Free(shares)
        PyMem_Free(factors)
        PyMem_Free(wholes)
        PyMem_Free(gains)
        PyMem_Free(found)


cdef void _share(
    const double[:, ::1] there,
    const double[:, ::1] away,
    double value,
    Py_ssize_t row,
    const double[::1] nodes,
    const double[::1] weights,
    double nothing,
    double *factors,
    double *wholes,
    double *gains,
    double *shares,
) noexcept:
    """Put the shares of one row in their places."""
    cdef Py_ssize_t slots = there.shape[0], count = there.shape[1], degree = nodes.shape[0]
    cdef Py_ssize_t slot, node
    cdef double without, gain, other
    for node in range(degree):
        wholes[node] = 1.0
    for slot in range(slots):
        without = away[slot, row]
        if there[slot, row] + without < nothing:
            value = 0.0
            without = 1.0
        gain = there[slot, row] - without
        gains[slot] = gain
        for node in range(degree):
            other = gain * nodes[node]
            other = other + without
            factors[slot * degree + node] = other
            wholes[node] = wholes[node] * other
    for node in range(degree):
        wholes[node] = wholes[node] * value
        wholes[node] = wholes[node] * weights[node]
    for slot in range(slots):
        if gains[slot] == 0.0:
            shares[slot * count + row] = 0.0
            continue
        other = wholes[0] / factors[slot * degree]
        for node in range(1, degree):
            other = other + wholes[node] / factors[slot * degree + node]
        shares[slot * count + row] = other * gains[slot]

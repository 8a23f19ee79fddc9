# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=False
"""What runs for every event and is nothing but loops: numbers to bytes, and numbers in bounds."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.ref cimport PyObject


def varint(long long number):
    """Return a signed integer of 64 bits as Avro writes it: zigzag, seven bits a byte."""
    cdef unsigned long long rest = (<unsigned long long>number << 1) ^ <unsigned long long>(number >> 63)
    cdef char out[10]
    cdef Py_ssize_t n = 0
    while rest > 0x7F:
        out[n] = <char>(rest & 0x7F | 0x80)
        rest >>= 7
        n += 1
    out[n] = <char>rest
    return PyBytes_FromStringAndSize(out, n + 1)


def floats_within(dict values, tuple bounds):
    """Return the named values in the order of `bounds`, or None if one is not plainly in bounds.

    Args:
        bounds: (name, lowest, highest) of each.
    """
    cdef dict found = {}
    cdef PyObject* value
    cdef double number
    cdef tuple bound
    for bound in bounds:
        value = PyDict_GetItem(values, bound[0])
        if value == NULL or not PyFloat_CheckExact(<object>value):
            return None
        number = PyFloat_AS_DOUBLE(<object>value)
        if not (PyFloat_AS_DOUBLE(bound[1]) <= number <= PyFloat_AS_DOUBLE(bound[2])):
            return None
        PyDict_SetItem(found, bound[0], <object>value)
    return found

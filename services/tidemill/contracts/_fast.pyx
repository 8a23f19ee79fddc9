# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=False
"""What runs for every event and is nothing but loops: numbers to bytes, and numbers in bounds."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy


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


cdef enum Kind:
    STRING = 0
    LONG = 1
    DOUBLE = 2
    FLOAT = 3
    BOOLEAN = 4


cdef class FlatReader:
    """Reads records of plain fields; whatever is not plainly one record is left to others.

    Args:
        fields: Name, kind, and the branch that is null: 0, 1, or -1 for none.
    """

    cdef tuple _names
    cdef int _kinds[256]
    cdef int _nulls[256]
    cdef Py_ssize_t _count

    def __init__(self, tuple fields):
        cdef Py_ssize_t n
        self._count = len(fields)
        if self._count > 256:
            raise ValueError("at most 256 fields")
        self._names = tuple([name for name, _, _ in fields])
        for n in range(self._count):
            _, self._kinds[n], self._nulls[n] = fields[n]

    def read(self, bytes value, Py_ssize_t start):
        """Return the fields of the record from `start` to the end; None if it is not plainly one."""
        cdef const unsigned char* p = value
        cdef Py_ssize_t end = len(value), at = start, n
        cdef long long number
        cdef double real
        cdef float small
        cdef int null
        cdef dict found = {}
        for n in range(self._count):
            null = self._nulls[n]
            if null >= 0:
                if at >= end or (p[at] != 0 and p[at] != 2):
                    return None
                at += 1
                if (p[at - 1] >> 1) == null:
                    PyDict_SetItem(found, self._names[n], None)
                    continue
            if self._kinds[n] == DOUBLE:
                if end - at < 8:
                    return None
                memcpy(&real, p + at, 8)
                at += 8
                PyDict_SetItem(found, self._names[n], real)
            elif self._kinds[n] == FLOAT:
                if end - at < 4:
                    return None
                memcpy(&small, p + at, 4)
                at += 4
                PyDict_SetItem(found, self._names[n], <double>small)
            elif self._kinds[n] == BOOLEAN:
                if at >= end or p[at] > 1:
                    return None
                PyDict_SetItem(found, self._names[n], p[at] == 1)
                at += 1
            else:
                at = _long(p, at, end, &number)
                if at < 0:
                    return None
                if self._kinds[n] == LONG:
                    PyDict_SetItem(found, self._names[n], number)
                    continue
                if number < 0 or number > end - at:
                    return None
                try:
                    text = PyUnicode_DecodeUTF8(<const char*>p + at, number, NULL)
                except UnicodeDecodeError:
                    return None
                PyDict_SetItem(found, self._names[n], text)
                at += number
        return found if at == end else None


cdef Py_ssize_t _long(const unsigned char* p, Py_ssize_t at, Py_ssize_t end, long long* number):
    """Read a zigzag number; return where it ends, -1 if it is longer than nine bytes or cut off."""
    cdef unsigned long long rest = 0
    cdef int shift = 0
    while at < end and shift < 63:
        rest |= (<unsigned long long>(p[at] & 0x7F)) << shift
        at += 1
        if p[at - 1] < 0x80:
            number[0] = <long long>(rest >> 1) ^ -<long long>(rest & 1)
            return at
        shift += 7
    return -1

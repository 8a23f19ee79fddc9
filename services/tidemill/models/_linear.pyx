# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=False
"""Scaler and linear model in one pass over an event, to the last bit as River computes them.

Every sum runs in the order of the event's features, as River's do. Roots are taken by C's `pow`,
which is what `**` calls in Python; the exponent must not be a literal, or compilers put another
root in its place. Built without contraction of products and sums (`-ffp-contract=off`).
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.float cimport PyFloat_AsDouble
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport PyObject
from libc.math cimport exp, pow

cdef double ROOT = float("0.5")


cdef struct Slot:
    double count
    double mean
    double var
    double weight


cdef class Linear:
    """A linear model, scaled or not; what River keeps in dicts stands in slots.

    Attributes:
        river: The pipeline that this stands in for, with stale numbers; `fill` brings them.
    """

    cdef readonly object river
    cdef dict _places
    cdef Slot* _slots
    cdef Slot** _seen
    cdef double* _x
    cdef Py_ssize_t _room
    cdef Py_ssize_t _n
    cdef double _intercept, _rate, _intercept_rate, _l2, _clip
    cdef long long _iterations
    cdef bint _is_scaled, _is_logistic

    def __cinit__(self):
        self._slots = NULL
        self._seen = NULL
        self._x = NULL
        self._places = {}

    def __dealloc__(self):
        PyMem_Free(self._slots)
        PyMem_Free(self._seen)
        PyMem_Free(self._x)

    def __init__(self, river, *, bint scaled, bint logistic, double rate, double intercept_rate,
                 double l2, double clip):
        self.river = river
        self._is_scaled = scaled
        self._is_logistic = logistic
        self._rate = rate
        self._intercept_rate = intercept_rate
        self._l2 = l2
        self._clip = clip
        self._intercept = 0.0
        self._iterations = 0

    def take(self, double intercept, long long iterations, slots):
        """Go on from these numbers: (name, count, mean, variance, weight) of every feature."""
        self._intercept = intercept
        self._iterations = iterations
        for name, count, mean, var, weight in slots:
            slot = self._slots + self._place(name)
            slot.count, slot.mean, slot.var, slot.weight = count, mean, var, weight

    def give(self):
        """Return intercept, iterations and (name, count, mean, variance, weight) of features."""
        cdef Py_ssize_t i
        listed = []
        for name, i in self._places.items():
            slot = self._slots + i
            listed.append((name, slot.count, slot.mean, slot.var, slot.weight))
        return self._intercept, self._iterations, listed

    def predict_one(self, dict x):
        """Return the score of `x`, features to numbers."""
        return self._score(x)

    def predict_proba_one(self, dict x):
        """Return the probabilities of both classes."""
        cdef double z = self._score(x)
        cdef double p
        if z < -30:
            return {False: 1.0, True: 0}
        if z > 30:
            return {False: 0.0, True: 1}
        p = 1 / (1 + exp(-z))
        return {False: 1.0 - p, True: p}

    def learn_one(self, dict x, y, double w=1.0):
        """Learn one case, `w` times."""
        cdef double target = self._target(y)
        cdef Py_ssize_t i
        cdef Slot* slot
        cdef double mean, gradient, score = 0.0
        self._read(x)
        if self._is_scaled:
            for i in range(self._n):
                slot = self._seen[i]
                mean = slot.mean
                slot.count += 1
                slot.mean += (self._x[i] - mean) / slot.count
                slot.var += ((self._x[i] - mean) * (self._x[i] - slot.mean) - slot.var) / slot.count
                self._x[i] = _scaled(self._x[i], slot)
        for i in range(self._n):
            score += self._seen[i].weight * self._x[i]
        gradient = self._gradient(target, score + self._intercept) * w
        gradient = _clamped(gradient, self._clip)
        self._intercept -= self._intercept_rate * gradient
        for i in range(self._n):
            slot = self._seen[i]
            if self._l2 != 0.0:
                slot.weight -= self._rate * (self._x[i] * gradient + slot.weight * self._l2)
            else:
                slot.weight -= self._rate * (self._x[i] * gradient)
        self._iterations += 1

    cdef double _target(self, y) except? -1.0:
        if self._is_logistic:
            return 1.0 if y else -1.0
        return y

    cdef double _gradient(self, double target, double score):
        cdef double z
        if not self._is_logistic:
            return 2 * (score - target)
        z = score * target
        if z > 18.0:
            return exp(-z) * -target
        if z < -18.0:
            return -target
        return -target / (exp(z) + 1.0)

    cdef double _score(self, dict x) except? -1.0:
        """Return the score; changes nothing but room."""
        cdef PyObject* name
        cdef PyObject* value
        cdef PyObject* place
        cdef Py_ssize_t position = 0
        cdef Slot* slot
        cdef double number, score = 0.0
        while PyDict_Next(x, &position, &name, &value):
            number = PyFloat_AsDouble(<object>value)
            place = PyDict_GetItem(self._places, <object>name)
            if place == NULL:
                continue
            slot = self._slots + <Py_ssize_t>(<object>place)
            score += slot.weight * (_scaled(number, slot) if self._is_scaled else number)
        return score + self._intercept

    cdef int _read(self, dict x) except -1:
        """Find the slot and the number of every feature before anything is changed."""
        cdef PyObject* name
        cdef PyObject* value
        cdef Py_ssize_t position = 0, i = 0
        for key in x:
            self._place(key)
        while PyDict_Next(x, &position, &name, &value):
            self._x[i] = PyFloat_AsDouble(<object>value)
            self._seen[i] = self._slots + <Py_ssize_t>(<object>PyDict_GetItem(self._places, <object>name))
            i += 1
        self._n = i
        return 0

    cdef Py_ssize_t _place(self, name) except -1:
        """Return the place of a feature, new or not."""
        cdef PyObject* found = PyDict_GetItem(self._places, name)
        cdef Py_ssize_t place = len(self._places)
        if found != NULL:
            return <Py_ssize_t>(<object>found)
        if place == self._room:
            self._grow()
        self._slots[place] = Slot(0.0, 0.0, 0.0, 0.0)
        self._places[name] = place
        return place

    cdef int _grow(self) except -1:
        cdef Py_ssize_t room = 2 * self._room + 8
        slots = <Slot*>PyMem_Realloc(self._slots, room * sizeof(Slot))
        if slots == NULL:
            raise MemoryError
        self._slots = slots
        seen = <Slot**>PyMem_Realloc(self._seen, room * sizeof(Slot*))
        if seen == NULL:
            raise MemoryError
        self._seen = seen
        x = <double*>PyMem_Realloc(self._x, room * sizeof(double))
        if x == NULL:
            raise MemoryError
        self._x = x
        self._room = room
        return 0


cdef inline double _scaled(double x, Slot* slot):
    return (x - slot.mean) / pow(slot.var, ROOT) if slot.var != 0.0 else 0.0


cdef inline double _clamped(double x, double bound):
    """Return x within ±bound; a number that is none stays, as in Python's min and max."""
    if x > bound:
        return bound
    if x < -bound:
        return -bound
    return x

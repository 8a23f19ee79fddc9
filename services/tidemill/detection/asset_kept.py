"""Rows of a reference while it is learned: in single precision, about the middle of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Rows whose median is the middle: half of them may be far out.
FIRST = 64


class Kept:
    """Rows of some sensors, kept up to a number; half as large as they came.

    Attributes:
        count: How many there are.
        first: (FIRST, p) those that the middle is not known of yet; none once it is.
        middle: (p,) the median of the first rows.
        away: (n, p) from the middle.
    """

    def __init__(self, rows: int, sensors: int) -> None:
        self.count = 0
        self.first = np.zeros((min(FIRST, rows), sensors))
        self.middle = np.zeros(sensors)
        self.away = np.zeros((rows, sensors), dtype=np.float32)

    def add(self, rows: Numbers) -> None:
        """Take rows, not more than there is room for; not finite is what is missing."""
        begin = min(len(rows), max(0, len(self.first) - self.count))
        if begin:
            self.first[self.count : self.count + begin] = rows[:begin]
            self.count += begin
            if self.count == len(self.first):
                self.middle = _middle(self.first)
                self._put(0, self.first)
                self.first = self.first[:0]
        if begin < len(rows):
            self._put(self.count, rows[begin:])
            self.count += len(rows) - begin

    def _put(self, at: int, rows: Numbers) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            self.away[at : at + len(rows)] = rows - self.middle

    def all(self) -> Numbers:
        """Return all rows; there must be more than the first."""
        return self.middle + self.away[: self.count].astype(np.float64)


def _middle(rows: Numbers) -> Numbers:
    given = [column[np.isfinite(column)] for column in rows.T]
    return np.array([float(np.median(each)) if each.size else 0.0 for each in given])

"""Adaptive conformal calibration: how large a score must be to be rare."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, insort
from math import ceil

from tidemill.contracts.prediction import LEVEL
from tidemill.kernel.errors import InvariantError

WINDOW = 500
FEWEST = 100

STEP = 0.005
# After so many events of delay a step is half as large: what it answers is that old.
DELAY_EVENTS = 100.0

# So much of the level is room to move in where scores are equal.
_ROOM = 0.05

Dumped = tuple[int, float, bytes]


class Calibration:
    """The last 500 scores, and the level at which to read them so that 90 % are covered.

    With a the miss rate aimed at, e the miss (0 or 1) of a prediction's stored region, and d the
    events between prediction and label, each label moves the level by

        a' = a' + g (a - e)        g = .005 / (1 + d / 100)

    and the reach is the (n + 1)(1 - a')-th smallest of the n scores. Where a' is below zero the
    source takes everything; here the largest score is stretched by 1 - a' / a, which is finite
    and overtakes whatever grows.

    Source: Gibbs & Candes (2021), Adaptive conformal inference under distribution shift, eq. 2.

    Attributes:
        labels: Scores added so far; the last 500 are kept.
        alpha: The level a'.
        reach: The score not exceeded at the level; 0 before 100 labels.
    """

    __slots__ = ("_next", "_ordered", "_ring", "alpha", "labels", "reach")

    def __init__(self) -> None:
        self.labels = 0
        self.reach = 0.0
        self.alpha = 1.0 - LEVEL
        self._next = 0
        self._ring = array("d")
        self._ordered = array("d")

    @property
    def is_ready(self) -> bool:
        """Whether labels suffice."""
        return self.labels >= FEWEST

    @property
    def is_least(self) -> bool:
        """Whether the reach is the smallest score, and would be if five more in 100 had to be.

        A level that rose there would change nothing but its way back.
        """
        ordered = self._ordered
        if self.reach > ordered[0]:
            return False
        count = len(ordered)
        rank = ceil((count + 1) * (1.0 - self.alpha + _ROOM))
        return ordered[min(max(rank, 1), count) - 1] == ordered[0]

    def step(self, *, covered: bool, delay: float) -> None:
        """Move the level by what became of a stored region; the next `add` reads it.

        Args:
            delay: Events between the prediction and its label, from 0.
        """
        miss = 1.0 - LEVEL
        self.alpha += STEP / (1.0 + delay / DELAY_EVENTS) * (miss if covered else miss - 1.0)

    def add(self, score: float) -> None:
        """Keep a finite score in place of the oldest, and read the reach anew."""
        ring, ordered = self._ring, self._ordered
        self.labels += 1
        if len(ring) < WINDOW:
            ring.append(score)
        else:
            at = self._next
            del ordered[bisect_left(ordered, ring[at])]
            ring[at] = score
            self._next = at + 1 if at + 1 < WINDOW else 0
        insort(ordered, score)
        if self.labels >= FEWEST:
            self.reach = self._read()

    def _read(self) -> float:
        alpha, ordered = self.alpha, self._ordered
        if alpha < 0.0:
            return ordered[-1] * (1.0 - alpha / (1.0 - LEVEL))
        count = len(ordered)
        rank = ceil((count + 1) * (1.0 - alpha))
        return ordered[min(max(rank, 1), count) - 1]

    def dump(self) -> Dumped:
        """Return the state as plain values, the scores oldest first."""
        ring, at = self._ring, self._next
        scores = ring[at:] + ring[:at]
        return self.labels, self.alpha, struct.pack(f"<{len(scores)}d", *scores)

    @classmethod
    def load(cls, dumped: Dumped) -> Calibration:
        """Return what was dumped.

        Raises:
            InvariantError: No such state.
        """
        labels, alpha, packed = dumped
        count = len(packed) // 8
        if len(packed) % 8 or count != min(labels, WINDOW):
            msg = f"{labels} labels must leave {min(labels, WINDOW)} scores of 8 bytes, found "
            raise InvariantError(f"{msg}{len(packed)} bytes; restore an earlier snapshot")
        found = cls()
        found.labels, found.alpha = labels, alpha
        found._ring = array("d", struct.unpack(f"<{count}d", packed))
        found._ordered = array("d", sorted(found._ring))
        if found.is_ready:
            found.reach = found._read()
        return found

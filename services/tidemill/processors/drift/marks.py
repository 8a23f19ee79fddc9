"""Where the events of an asset stand: a bounded memory, the coarser the further back."""

from __future__ import annotations

from typing import NamedTuple

# Events are remembered whose number is a multiple of 2^level, so many of each level.
LEVELS = 24
EACH = 16


class Mark(NamedTuple):
    """One event: its number among those of the asset, its offset and its time."""

    number: int
    offset: int
    time_us: int


class Marks:
    """Remembers where events stand; what is lost is named by an event before it.

    An event a steps back is found within about a / 8 steps.
    """

    def __init__(self) -> None:
        self._levels: list[list[Mark]] = [[] for _ in range(LEVELS)]

    def note(self, mark: Mark) -> None:
        """Take the newest event."""
        number = mark.number
        lowest = number & -number
        level = min(lowest.bit_length() - 1, LEVELS - 1) if number else LEVELS - 1
        kept = self._levels[level]
        kept.append(mark)
        if len(kept) > EACH:
            del kept[0]

    def find(self, number: int) -> Mark | None:
        """Return the last event known that is not after the one of this number."""
        found = [m for kept in self._levels for m in kept if m.number <= number]
        return max(found, default=None)

    def dump(self) -> list[list[int]]:
        """Return all marks, oldest first."""
        return [list(mark) for mark in sorted(m for kept in self._levels for m in kept)]

    @classmethod
    def load(cls, dumped: list[list[int]]) -> Marks:
        """Return what was dumped."""
        marks = cls()
        for mark in dumped:
            marks.note(Mark(*mark))
        return marks

"""What the drift processor told, given to the ledger entry that each record names."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tidemill.contracts.topics import DRIFT
from tidemill.fold.entry_marks import entry_of
from tidemill.processors.drift.books import TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class _Track:
    """One topic, read forward once; updates that name no entry are others'."""

    def __init__(self, log: Log, topic: str, partition: int) -> None:
        begin, end = log.span(topic, partition)
        self._batches: Iterator[list[Message]] = iter(())
        if begin < end:
            self._batches = log.read(topic, partition, begin, end)
        self._ready: deque[tuple[int, Message]] = deque()
        self._is_whole = begin == 0
        # Nobody else tells of drifts.
        self._unnamed = -1 if topic == DRIFT else None
        self._oldest = self._next()

    def _next(self) -> int | None:
        """Return the entry that the next record names; None where none is left."""
        while not self._ready:
            batch = next(self._batches, None)
            if batch is None:
                return None
            for message in batch:
                mark = entry_of(message)
                mark = self._unnamed if mark is None else mark
                if mark is not None:
                    self._ready.append((mark, message))
        return self._ready[0][0]

    @property
    def has_more(self) -> bool:
        """Whether records are left."""
        return self._next() is not None

    def reaches(self, sequence: int) -> bool:
        """Return whether all that an entry told must still be there."""
        return self._is_whole or (self._oldest is not None and self._oldest < sequence)

    def take(self, sequence: int) -> list[tuple[int, Message]]:
        """Return the next records that name an entry up to this one, and which."""
        taken = []
        while (mark := self._next()) is not None and mark <= sequence:
            taken.append(self._ready.popleft())
        return taken


class Told:
    """All that was told of one partition, entry by entry.

    Attributes:
        odd: Of the entry taken last: records that name an entry which was taken before,
            or none.
    """

    def __init__(self, log: Log, partition: int) -> None:
        self._tracks = {topic: _Track(log, topic, partition) for topic in TOLD}
        self.odd: list[Message] = []

    def pass_over(self, sequence: int) -> None:
        """Leave out what entries up to this one told."""
        for track in self._tracks.values():
            track.take(sequence)

    def take(self, sequence: int) -> dict[str, list[Message]]:
        """Return what an entry told, by topic; no topic of which there is nothing."""
        self.odd = []
        found: dict[str, list[Message]] = {}
        for topic, track in self._tracks.items():
            for mark, message in track.take(sequence):
                if mark == sequence:
                    found.setdefault(topic, []).append(message)
                else:
                    self.odd.append(message)
        return found

    def reaches(self, sequence: int) -> bool:
        """Return whether all that an entry told must still be there."""
        return all(track.reaches(sequence) for track in self._tracks.values())

    @property
    def has_more(self) -> bool:
        """Whether records are left that name later entries."""
        return any(track.has_more for track in self._tracks.values())

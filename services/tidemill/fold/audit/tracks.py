"""One output topic of a partition, read forward once and shared out by source."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tidemill.fold.applying import PROCESSOR
from tidemill.fold.entry_marks import MARKED, entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Headers, Message

# How far a source that is out of order is looked through; so many altered ones in a row.
_LOOKAHEAD = 64
_NOTHING_IS_LOST = -1


class Stored(NamedTuple):
    """One output record and the offset it says it answers; None where it says nothing readable.

    Of an outcome or a receipt `source` is the ledger entry.
    """

    message: Message
    source: int | None


class OutputTrack:
    """One output topic, read forward once and shared out by source offset."""

    def __init__(
        self, log: Log, topic: str, partition: int, source_of: Callable[[Message], int | None]
    ) -> None:
        self._span = (topic, partition)
        self._log = log
        self._source_of = source_of
        self._batches: Iterator[list[Message]] = iter(())
        self._ready: deque[Stored] = deque()
        self._latest = -1
        begin, _ = log.span(topic, partition)
        self._end = begin
        self.read_on()
        self.floor = _NOTHING_IS_LOST if begin == 0 else self._oldest_source()

    def read_on(self) -> bool:
        """Go on to what is committed by now; return whether there is more."""
        topic, partition = self._span
        start, (_, end) = self._end, self._log.span(topic, partition)
        if end <= start:
            return False
        self._batches, self._end = self._log.read(topic, partition, start, end), end
        return True

    def _oldest_source(self) -> int | None:
        """Return the first source that is surely still there; None if nothing is."""
        self._fill(1)
        return next((each.source for each in self._ready if each.source is not None), None)

    def _fill(self, count: int) -> bool:
        """Read ahead so far, if there is so much; return whether there is anything."""
        while len(self._ready) < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._ready.extend(Stored(m, self._source_of(m)) for m in batch if is_ours(m))
        return bool(self._ready)

    def take(self, last: int, at_most: int | None) -> list[Stored]:
        """Return the next records that answer sources up to `last`.

        Args:
            last: The last source of the entry.
            at_most: How many there should be, where that is known. Up to that many, a record
                whose source is unreadable or out of order is counted in: it is altered.
        """
        taken: list[Stored] = []
        while self._fill(_LOOKAHEAD):
            is_due = at_most is None or len(taken) < at_most
            source = self._ready[0].source
            if is_due and source is not None and self._latest < source <= last:
                self._latest = source
            elif source is None or self._is_odd(source, last, is_short=at_most is not None):
                if not is_due:
                    break
            elif source > last:
                break
            taken.append(self._ready.popleft())
        return taken

    def _is_odd(self, source: int, last: int, *, is_short: bool) -> bool:
        """Return whether the next source cannot be what was written, by those around it.

        Where one is still due, that also goes for a source that another record has.
        """
        if source <= self._latest:
            return True
        later = islice(self._ready, 1, _LOOKAHEAD)
        bound = source + is_short
        if any(each.source is not None and self._latest < each.source < bound for each in later):
            return True
        return is_short and source > last and len(self._ready) == 1

    @property
    def has_more(self) -> bool:
        """Whether anything is left."""
        return self._fill(1)

    def take_of(self, last: int) -> list[Stored]:
        """Return the next records up to source `last`, of which several may have one source."""
        taken: list[Stored] = []
        while self._fill(1):
            source = self._ready[0].source
            if source is not None and source > last:
                break
            taken.append(self._ready.popleft())
        return taken

    def rest(self, before: int) -> list[Stored]:
        """Return what is left of records that answer sources before `before`."""
        return self.take(before - 1, None)


def is_ours(message: Message) -> bool:
    """Return whether the learner wrote an output.

    Others set aside records of the same inputs, and tell feedback what became of it.
    """
    if message.topic in MARKED:
        return entry_of(message) is not None
    name = header(message.headers, "tidemill.processor")
    return name is None or name == PROCESSOR.encode()


def header(headers: Headers, name: str) -> bytes | None:
    """Return the last header of a name: a dead letter may hold an earlier one's headers."""
    return next((value for key, value in reversed(headers) if key == name), None)

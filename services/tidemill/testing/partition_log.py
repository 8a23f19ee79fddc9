"""One partition in memory: records, control markers, open and aborted transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.records import Headers


class Fate(Enum):
    """What became of a transaction in one partition."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(slots=True, eq=False)
class Span:
    """The part of a transaction that lies in one partition."""

    first: int
    fate: Fate = Fate.OPEN


@dataclass(frozen=True, slots=True)
class Slot:
    """One offset: a record, or the control marker that ends a transaction here."""

    offset: int
    message: Message | None
    span: Span | None


@dataclass(slots=True)
class PartitionLog:
    """Offsets in order; `begin` is the first retained."""

    topic: str
    partition: int
    begin: int = 0
    end: int = 0
    slots: list[Slot] = field(default_factory=list)
    open_spans: list[Span] = field(default_factory=list)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        *,
        timestamp_ms: int,
        span: Span | None = None,
    ) -> int:
        """Append one record, part of `span` if given; return its offset."""
        where = (self.topic, self.partition, self.end)
        message = Message(*where, key, value, headers, timestamp_ms)
        return self._append(Slot(self.end, message, span))

    def _append(self, slot: Slot) -> int:
        self.slots.append(slot)
        self.end += 1
        return slot.offset

    def open_span(self) -> Span:
        """Begin a transaction's part in this partition: nothing behind it is stable."""
        span = Span(self.end)
        self.open_spans.append(span)
        return span

    def close_span(self, span: Span, fate: Fate) -> None:
        """Write the control marker that ends a transaction here; it takes an offset."""
        span.fate = fate
        self.open_spans.remove(span)
        self._append(Slot(self.end, None, None))

    @property
    def stable_end(self) -> int:
        """The last stable offset: before it every transaction has ended."""
        return min((span.first for span in self.open_spans), default=self.end)

    def committed(self, start: int, stop: int) -> Iterator[Message]:
        """Yield what a read_committed reader sees of start <= offset < stop."""
        stop = min(stop, self.stable_end)
        for slot in self._slots_from(start):
            if slot.offset >= stop:
                return
            is_visible = slot.span is None or slot.span.fate is Fate.COMMITTED
            if slot.message is not None and is_visible:
                yield slot.message

    def _slots_from(self, start: int) -> Iterator[Slot]:
        low, high = 0, len(self.slots)
        while low < high:
            middle = (low + high) // 2
            if self.slots[middle].offset < start:
                low = middle + 1
            else:
                high = middle
        for index in range(low, len(self.slots)):
            yield self.slots[index]

    def delete_before(self, offset: int) -> None:
        """Let retention delete everything before `offset`."""
        self.begin = max(self.begin, min(offset, self.stable_end))
        self.slots = [slot for slot in self.slots if slot.offset >= self.begin]

    def compact(self) -> None:
        """Keep the newest committed record of each key, as a compacted topic would in time."""
        newest = {message.key: message.offset for message in self.committed(0, self.end)}
        stable = self.stable_end
        self.slots = [
            slot
            for slot in self.slots
            if slot.offset >= stable
            or slot.message is None
            or newest.get(slot.message.key) == slot.offset
        ]

"""Bounds of a span: by ledger sequence, by the position of an input, or by Kafka's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.topics import LEDGER
from tidemill.fold.applying import INPUTS
from tidemill.fold.ledger import Entry
from tidemill.fold.ledger_log import Placed
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


@dataclass(frozen=True, slots=True)
class AtSequence:
    """The entry of this number."""

    sequence: int


@dataclass(frozen=True, slots=True)
class AtOffset:
    """The entry that applied this record of an input; of its partition only."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class AtTime:
    """The first record of each input from this time on; `ms` as Kafka's timestamps count.

    Timestamps are taken to grow along a partition.
    """

    ms: int


Bound = AtSequence | AtOffset | AtTime


class Books(NamedTuple):
    """Whose entries are meant: a ledger, and the inputs that its entries name."""

    ledger: str
    inputs: tuple[str, ...]


LEARNERS = Books(LEDGER, INPUTS)


def first_where(
    log: Log, topic: str, partition: int, holds: Callable[[Message], bool | None]
) -> Message | None:
    """Return the first record for which `holds`, which must go on holding behind it.

    A record for which it is None says nothing; the next one is asked.
    """
    low, high = log.span(topic, partition)
    found: Message | None = None
    while low < high:
        middle = (low + high) // 2
        message, answer = _ask(log, (topic, partition), (middle, high), holds)
        if message is None:
            high = middle
        elif answer:
            found, high = message, middle
        else:
            low = message.offset + 1
    return found


def _ask(
    log: Log,
    where: tuple[str, int],
    span: tuple[int, int],
    holds: Callable[[Message], bool | None],
) -> tuple[Message | None, bool]:
    for messages in log.read(*where, *span):
        for message in messages:
            answer = holds(message)
            if answer is not None:
                return message, answer
    return None, False


def first_entry(
    log: Log, partition: int, holds: Callable[[Entry], bool], ledger: str = LEDGER
) -> Placed | None:
    """Return the first ledger entry for which `holds`, which must go on holding behind it."""

    def readable(message: Message) -> bool | None:
        try:
            return holds(Entry.decode(message.value))
        except InvalidRecordError:
            return None

    message = first_where(log, ledger, partition, readable)
    return None if message is None else Placed(message.offset, Entry.decode(message.value))


def first_sequence(log: Log, partition: int, bound: Bound, books: Books = LEARNERS) -> int | None:
    """Return the first entry at or after a bound; None if there is none yet."""
    match bound:
        case AtSequence(sequence):
            return sequence
        case AtOffset(topic, at, offset) if at == partition:
            return _reaching(log, partition, books, {topic: offset + 1})
        case AtTime(ms):
            reached = [
                _reaching(log, partition, books, {t: o + 1})
                for t, o in _at(log, partition, ms, books.inputs)
            ]
            return min((sequence for sequence in reached if sequence is not None), default=None)
    return 0


def last_sequence(log: Log, partition: int, bound: Bound, books: Books = LEARNERS) -> int | None:
    """Return the last entry of a span that ends at a bound; None if nothing ends it.

    A sequence and a position are included; of a time, what lies before it.
    """
    match bound:
        case AtSequence(sequence):
            return sequence
        case AtOffset(topic, at, offset) if at == partition:
            return _reaching(log, partition, books, {topic: offset + 1})
        case AtTime(ms):
            ends = [
                _reaching(log, partition, books, {t: o})
                for t, o in _at(log, partition, ms, books.inputs)
                if o > 0
            ]
            return max((end for end in ends if end is not None), default=None)
    return None


def _reaching(log: Log, partition: int, books: Books, positions: dict[str, int]) -> int | None:
    """Return the first entry whose positions have come so far."""

    def holds(entry: Entry) -> bool:
        reached = entry.positions or {}
        return all(reached.get(topic, 0) >= offset for topic, offset in positions.items())

    placed = first_entry(log, partition, holds, books.ledger)
    return None if placed is None else placed.entry.sequence


def _at(log: Log, partition: int, ms: int, inputs: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return per input the first offset from a time on."""
    offsets = []
    for topic in inputs:
        message = first_where(log, topic, partition, lambda m: m.timestamp_ms >= ms)
        end = log.span(topic, partition)[1]
        offsets.append((topic, end if message is None else message.offset))
    return offsets


def first_with_inputs(log: Log, partition: int, oldest: Placed) -> int:
    """Return the first entry from which on all inputs are retained."""
    lost = 0
    for topic in INPUTS:
        begin, _ = log.span(topic, partition)
        at_start = (oldest.entry.positions or {}).get(topic, 0) if not oldest.entry.runs else 0
        if begin <= at_start:
            continue
        placed = first_entry(log, partition, _having_read(topic, begin))
        lost = max(lost, 1 + (oldest.entry.sequence if placed is None else placed.entry.sequence))
    return lost


def _having_read(topic: str, offset: int) -> Callable[[Entry], bool]:
    return lambda entry: (entry.positions or {}).get(topic, 0) >= offset

"""Finding ledger entries in their topic: the last one, those after a sequence, the terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.topics import LEDGER
from tidemill.fold.ledger import Entry
from tidemill.fold.terms import KIND, Terms
from tidemill.kernel.errors import InvalidRecordError, InvariantError, RetentionError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

# An entry and its transaction's control marker.
OFFSETS_PER_ENTRY = 2
# How the kind of an action that puts terms in force stands in an entry: Avro's length, and text.
# It stands there twice, for a detail has the same name: one spoiled bit does not hide both.
DEFINES = bytes([2 * len(KIND)]) + KIND.encode()


class Placed(NamedTuple):
    """A ledger entry and its offset."""

    offset: int
    entry: Entry


def read_entry(message: Message) -> Placed:
    """Return the entry in a ledger record.

    Raises:
        InvariantError: The record is no entry, or does not match its hash: it was altered.
    """
    try:
        entry = Entry.decode(message.value)
    except InvalidRecordError as error:
        msg = f"{message.position}: a ledger record must be an entry; it was altered: {error}"
        raise InvariantError(msg) from error
    entry.check_follows(None, where=str(message.position))
    return Placed(message.offset, entry)


def last_entry(
    log: Log, partition: int, topic: str = LEDGER
) -> Generator[None, None, Placed | None]:
    """Return the newest entry of a partition; None if there never was one.

    Raises:
        RetentionError: Entries were written but none is retained.
    """
    begin, end = log.span(topic, partition)
    last = yield from entry_before(log, partition, end, topic)
    if last is None and begin > 0:
        msg = (
            f"{topic}-{partition}: entries before offset {begin} are no longer retained and "
            "none follows; restore the topic, or start the plant under a new name"
        )
        raise RetentionError(msg)
    return last


def entry_before(
    log: Log, partition: int, end: int, topic: str = LEDGER
) -> Generator[None, None, Placed | None]:
    """Return the newest retained entry before an offset; None if there is none.

    Raises:
        InvariantError: It was altered.
    """
    begin, _ = log.span(topic, partition)
    step = 16
    start = end
    while start > begin:
        start = max(begin, end - step)
        last = None
        for messages in log.read(topic, partition, start, end):
            last = messages[-1] if messages else last
            yield
        if last is not None:
            return read_entry(last)
        step *= 8
    return None


def last_entry_where(
    log: Log, partition: int, holds: Callable[[Entry], bool], stop: int, *, near: int
) -> Generator[None, None, Placed | None]:
    """Return the last retained entry before an offset for which `holds`, found by halves.

    Args:
        holds: Says of an entry; if it holds, it must have held of all before.
        stop: The offset.
        near: So far back it is looked for first, then in growing steps.

    Raises:
        InvariantError: It was altered.
    """
    low, _ = log.span(LEDGER, partition)
    found: Message | None = None
    high = stop
    while low < high:
        middle = (low + high) // 2 if found else max(low, min(stop - near, high - 1))
        near *= 4
        message = yield from _first_readable(log, partition, middle, high)
        if message is not None and holds(Entry.decode(message.value)):
            found, low = message, message.offset + 1
        else:
            high = middle
    return None if found is None else read_entry(found)


def _first_readable(
    log: Log, partition: int, start: int, stop: int
) -> Generator[None, None, Message | None]:
    """Return the first record that is an entry; who altered others is not asked here."""
    for messages in log.read(LEDGER, partition, start, stop):
        yield
        for message in messages:
            try:
                Entry.decode(message.value)
            except InvalidRecordError:
                continue
            return message
    return None


def entries_after(
    log: Log, partition: int, sequence: int, tail: Placed, *, topic: str = LEDGER
) -> Generator[Placed | None, None, None]:
    """Yield the entries after `sequence` up to `tail`, chain checked; None is a breath.

    Raises:
        RetentionError: An entry is no longer retained.
        InvariantError: One is altered or missing.
    """
    if sequence >= tail.entry.sequence:
        return
    begin, _ = log.span(topic, partition)
    start, previous = tail.offset + 1, None
    distance = OFFSETS_PER_ENTRY * (tail.entry.sequence - sequence) + 8
    first: int | None = None
    while first is None or first > sequence + 1:
        if start == begin:
            msg = (
                f"{topic}-{partition}: entry {sequence + 1} is needed, "
                f"the oldest retained is {first}"
            )
            raise RetentionError(msg)
        start, first = max(begin, tail.offset - distance), None
        for messages in log.read(topic, partition, start, tail.offset + 1):
            yield None
            if messages:
                first = read_entry(messages[0]).entry.sequence
                break
        distance *= 4
    for messages in log.read(topic, partition, start, tail.offset + 1):
        yield None
        for message in messages:
            placed = read_entry(message)
            placed.entry.check_follows(previous, where=str(message.position))
            previous = placed.entry
            if previous.sequence > sequence:
                yield placed


def find_terms(
    log: Log, partition: int, digest: bytes, before: int
) -> Generator[None, None, Terms]:
    """Return the terms with this digest, from the newest entry before an offset that has them.

    Raises:
        RetentionError: No such entry is retained.
        InvariantError: One that may be it was altered.
    """
    found = yield from retained_terms(log, partition, digest, before)
    if found is None:
        raise terms_missing(partition, digest)
    return found


def terms_missing(partition: int, digest: bytes, topic: str = LEDGER) -> RetentionError:
    """Return the error for terms that are nowhere."""
    return RetentionError(
        f"{topic}-{partition}: the definition with digest {digest.hex()} must be retained; "
        "start once with the plant.yaml that was in force"
    )


def retained_terms(
    log: Log, partition: int, digest: bytes, before: int, *, topic: str = LEDGER
) -> Generator[None, None, Terms | None]:
    """Return what `find_terms` does; None if no such entry is retained.

    Entries without terms are passed over by their bytes: it does not matter here if one of them
    was altered.

    Raises:
        InvariantError: An entry that may be the one was altered.
    """
    begin, _ = log.span(topic, partition)
    stop, step = before, 64
    while stop > begin:
        start = max(begin, stop - step)
        candidates: list[Message] = []
        for messages in log.read(topic, partition, start, stop):
            candidates += [message for message in messages if DEFINES in (message.value or b"")]
            yield
        for message in reversed(candidates):
            found = _terms_in(message, digest)
            if found is not None:
                return found
        stop, step = start, step * 2
    return None


def _terms_in(message: Message, digest: bytes) -> Terms | None:
    for action in read_entry(message).entry.actions:
        if action.kind == KIND and action.detail["digest"] == digest.hex():
            return Terms.of(action)
    return None

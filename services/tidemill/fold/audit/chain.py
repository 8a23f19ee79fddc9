"""The ledger of a partition, walked entry by entry; an altered one does not end the walk."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec, schema_id_of
from tidemill.contracts.topics import LEDGER
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.ledger import FIRST, Entry
from tidemill.fold.ledger_log import Placed
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class Walked(NamedTuple):
    """One ledger record; `placed` is None where nothing in it can be relied on."""

    message: Message
    placed: Placed | None
    findings: tuple[Finding, ...]


class _Chain:
    """The last sound entry, and how many altered ones came after it."""

    def __init__(self, *, is_whole: bool) -> None:
        self.last: Placed | None = None
        self.altered = 0
        self._is_whole = is_whole

    @property
    def expected(self) -> int | None:
        """Sequence of the next record; None where the walk began in the middle."""
        if self.last is None:
            return self.altered if self._is_whole else None
        return self.last.entry.sequence + self.altered + 1

    def break_findings(self, message: Message, entry: Entry) -> list[Finding]:
        """Return what is wrong between the entry before and this one."""
        if self.last is None:
            is_linked = self.altered > 0 or entry.sequence > 0 or entry.previous == FIRST
        else:
            is_linked = self.altered > 0 or entry.previous == self.last.entry.hash
        expected = entry.sequence if self.expected is None else self.expected
        if is_linked and entry.sequence == expected:
            return []
        before = "nothing" if self.last is None else f"entry {self.last.entry.sequence}"
        return [
            Finding(
                Kind.LEDGER_GAP,
                Place.of(message),
                entry.sequence,
                f"the entry must be number {expected} and carry the hash of the one before",
                f"it is number {entry.sequence}, behind {before}, and its link "
                + ("holds" if is_linked else "is to another entry")
                + ": entries were removed, added or exchanged here",
            )
        ]


def walk(
    log: Log, partition: int, start: int, stop: int, *, topic: str = LEDGER
) -> Iterator[Walked]:
    """Yield the ledger records with start <= offset < stop, each held against its chain."""
    chain = _Chain(is_whole=start == 0)
    for messages in log.read(topic, partition, start, stop):
        for message in messages:
            entry, wrong = _read(message)
            if entry is None:
                yield Walked(message, None, (_altered(message, chain.expected, wrong),))
                chain.altered += 1
                continue
            findings = chain.break_findings(message, entry)
            chain.last, chain.altered = Placed(message.offset, entry), 0
            yield Walked(message, chain.last, tuple(findings))


def _read(message: Message) -> tuple[Entry | None, str]:
    """Return the entry, or why its record is not what was written."""
    try:
        entry = Entry.decode(message.value)
    except InvalidRecordError as error:
        return None, f"it does not decode: {error}"
    computed = entry.sealed().hash
    if computed != entry.hash:
        return None, f"its SHA-256 is {computed.hex()}, its hash says {entry.hash.hex()}"
    is_newest = schema_id_of(message.value) == codec("LedgerEntry").schema_id
    if is_newest and entry.encode() != message.value:
        return None, "its bytes are not those that were hashed"
    return entry, ""


def _altered(message: Message, expected: int | None, wrong: str) -> Finding:
    must = "a ledger record must be an entry that matches its own hash"
    return Finding(
        Kind.LEDGER_ALTERED, Place.of(message), expected, must, f"{wrong}; it was altered"
    )


def newest_sound(log: Log, partition: int, *, topic: str = LEDGER) -> Placed | None:
    """Return the newest entry that is unaltered by its own hash; None if there is none."""
    begin, end = log.span(topic, partition)
    start, step = end, 16
    while start > begin:
        start, found = max(begin, end - step), None
        for messages in log.read(topic, partition, start, end):
            for message in messages:
                entry, _ = _read(message)
                found = found if entry is None else Placed(message.offset, entry)
        if found is not None:
            return found
        step *= 8
    return None

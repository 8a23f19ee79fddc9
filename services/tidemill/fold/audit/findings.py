"""What an audit reports: findings with the records they name, notes and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.topics import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidemill.kernel.records import Message


class Kind(StrEnum):
    """What is wrong; a closed set."""

    LEDGER_ALTERED = "ledger-altered"
    LEDGER_GAP = "ledger-gap"
    LEDGER_CONTRADICTS = "ledger-contradicts"
    INPUT_ALTERED = "input-altered"
    INPUT_MISSING = "input-missing"
    INPUT_UNAPPLIED = "input-unapplied"
    OUTPUT_ALTERED = "output-altered"
    OUTPUT_MISSING = "output-missing"
    OUTPUT_FOREIGN = "output-foreign"
    SNAPSHOT_REFUSED = "snapshot-refused"
    SNAPSHOT_CONTRADICTS = "snapshot-contradicts"
    SNAPSHOT_MISSING = "snapshot-missing"
    OTHER_ARITHMETIC = "other-arithmetic"
    OTHER_CODE = "other-code"
    FOLD_DIFFERS = "fold-differs"
    SWAP_DIFFERS = "swap-differs"
    EXAMPLE_DIFFERS = "example-differs"
    NOT_REPLAYABLE = "not-replayable"


class Place(NamedTuple):
    """Records `first` to `last` of one partition, both included; both None: no record is there."""

    topic: str
    partition: int
    first: int | None
    last: int | None

    def __str__(self) -> str:
        where = f"{self.topic}-{self.partition}"
        if self.first is None:
            return where
        return f"{where}@{self.first}" + ("" if self.first == self.last else f" to {self.last}")

    def covers(self, topic: str, offset: int) -> bool:
        """Return whether a record lies within."""
        if self.topic != topic or self.first is None or self.last is None:
            return False
        return self.first <= offset <= self.last

    @classmethod
    def of(cls, message: Message) -> Place:
        """Return the place of one record."""
        return cls(message.topic, message.partition, message.offset, message.offset)

    @classmethod
    def spanning(cls, messages: Sequence[Message]) -> tuple[Place, ...]:
        """Return one place for each topic of `messages`, from the first to the last of them."""
        by_topic: dict[str, list[int]] = {}
        for message in messages:
            by_topic.setdefault(message.topic, []).append(message.offset)
        return tuple(
            cls(topic, messages[0].partition, min(offsets), max(offsets))
            for topic, offsets in by_topic.items()
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction between topics, ledger and fold.

    Attributes:
        place: The record at fault, or the run of which one is.
        sequence: The ledger entry concerned; None where no entry accounts for the record.
        must: What must hold.
        found: What was found instead.
        also: Further places, where the evidence leaves more than one.
    """

    kind: Kind
    place: Place
    sequence: int | None
    must: str
    found: str
    also: tuple[Place, ...] = ()

    def __str__(self) -> str:
        places = ", or ".join(str(place) for place in (self.place, *self.also))
        entry = "" if self.sequence is None else f" (ledger entry {self.sequence})"
        return f"{self.kind}: {places}{entry}: {self.must}; {self.found}"

    def names(self, topic: str, offset: int) -> bool:
        """Return whether a record is among those named."""
        return any(place.covers(topic, offset) for place in (self.place, *self.also))

    def document(self) -> dict[str, object]:
        """Return the finding for JSON; `offset` is null where more than one record is named."""
        place = self.place
        is_one = place.first == place.last and not self.also
        return {
            "kind": str(self.kind),
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.first if is_one else None,
            "offsets": None if place.first is None else [place.first, place.last],
            "also": [
                {"topic": p.topic, "partition": p.partition, "offsets": [p.first, p.last]}
                for p in self.also
            ],
            "sequence": self.sequence,
            "must": self.must,
            "found": self.found,
        }


@dataclass(slots=True)
class Findings:
    """What the audit of one partition found.

    Attributes:
        notes: What the audit could not or need not judge, and from where on it can vouch.
        counts: Entries, records and snapshots looked at.
        first: First ledger sequence looked at; None if there was none.
        last: Last ledger sequence looked at.
        ledger: Whose entries they are: a topic.
    """

    partition: int
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    ledger: str = LEDGER

    def add(self, findings: Iterable[Finding]) -> bool:
        """Add findings; return whether there were any."""
        before = len(self.findings)
        self.findings += findings
        return len(self.findings) > before

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def saw(self, sequence: int) -> None:
        """Count an entry."""
        self.counts["entries"] += 1
        self.first = sequence if self.first is None else self.first
        self.last = sequence

    def document(self) -> dict[str, object]:
        """Return all of it for JSON."""
        return {
            "ledger": self.ledger,
            "partition": self.partition,
            "first_sequence": self.first,
            "last_sequence": self.last,
            "counts": dict(sorted(self.counts.items())),
            "findings": [finding.document() for finding in self.findings],
            "notes": self.notes,
        }

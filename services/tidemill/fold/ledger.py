"""The ledger: what each transaction applied, in order, hash-chained per partition."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec, schema_id_of
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tidemill.kernel.records import Emit, Message

FIRST = bytes(32)


@dataclass(frozen=True, slots=True)
class Run:
    """Records `first` to `last` of one input, both included, applied one after another."""

    topic: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Action:
    """What the mesh or a person decided, as opposed to what the inputs say."""

    kind: str
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Changed:
    """A model whose state an entry changed, and where that left it.

    `seen` are the events in its asset's recent past: without a fault, learned from or not.
    """

    stream: str
    asset: str
    model: str
    version: int
    lineage: bytes
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry; fields as in `schemas/LedgerEntry.avsc`.

    `schema_id` is what it was written with, so that its hash can be taken again after the record
    has grown fields; None is the newest.
    """

    processor: str
    kind: str
    sequence: int
    partition: int
    runs: tuple[Run, ...] = ()
    actions: tuple[Action, ...] = ()
    models: tuple[Changed, ...] = ()
    emitted: bytes = b""
    code: bytes = b""
    arithmetic: bytes = b""
    previous: bytes = FIRST
    hash: bytes = b""
    inputs: bytes = b""
    positions: Mapping[str, int] | None = None
    snapshots: tuple[str, ...] = ()
    definition: bytes = b""
    resume: int = 0
    learned: int = 0
    fleet: bytes = b""
    schema_id: int | None = None

    def sealed(self) -> Entry:
        """Return the entry with its hash: SHA-256 of its value without one."""
        return replace(self, hash=hashlib.sha256(replace(self, hash=b"").encode()).digest())

    def encode(self) -> bytes:
        """Return the value of the ledger record."""
        record = asdict(self)
        positions = (self.positions or {}).items()
        record["positions"] = [
            {"topic": topic, "partition": self.partition, "offset": offset}
            for topic, offset in sorted(positions)
        ]
        del record["schema_id"]
        return codec("LedgerEntry").encode(record, as_id=self.schema_id)

    @classmethod
    def decode(cls, value: bytes | None) -> Entry:
        """Return the entry in a ledger record.

        Raises:
            InvalidRecordError: The bytes are no ledger entry.
        """
        record = codec("LedgerEntry").decode(value)
        return cls(**{**record, **_parts(record), "schema_id": schema_id_of(value)})

    def check_follows(self, previous: Entry | None, *, where: str) -> None:
        """Hold the entry against its own hash and against the one before it.

        Args:
            previous: The entry before; None where this is the first that is looked at.
            where: Position of this entry, for the message.

        Raises:
            InvariantError: Altered, out of order, or not chained.
        """
        if self.sealed().hash != self.hash:
            msg = f"{where}: ledger entry {self.sequence} must match its hash; it was altered"
            raise InvariantError(msg)
        if previous is None:
            return
        if self.sequence != previous.sequence + 1 or self.previous != previous.hash:
            msg = (
                f"{where}: ledger entry must follow {previous.sequence} and its hash, "
                f"was {self.sequence}; an entry was altered, removed or added"
            )
            raise InvariantError(msg)


def _parts(record: Mapping[str, Any]) -> dict[str, Any]:  # Any: an Avro record
    return {
        "runs": tuple(Run(**run) for run in record["runs"]),
        "actions": tuple(Action(**action) for action in record["actions"]),
        "models": tuple(Changed(**changed) for changed in record["models"]),
        "positions": {p["topic"]: p["offset"] for p in record["positions"]},
        "snapshots": tuple(record["snapshots"]),
    }


class Digest:
    """SHA-256 over values by topic, topics in order of their names."""

    def __init__(self) -> None:
        self._values: dict[str, list[bytes | None]] = {}

    def add(self, topic: str, values: Iterable[bytes | None]) -> None:
        """Append values of one topic, in order."""
        self._values.setdefault(topic, []).extend(values)

    def add_emits(self, emits: Sequence[Emit]) -> None:
        """Append emissions, in order."""
        for emit in emits:
            self._values.setdefault(emit.topic, []).append(emit.value)

    def parts(self) -> Iterator[bytes]:
        """Yield what is hashed; every value enters with its length, so no two sequences collide."""
        for topic in sorted(self._values):
            values = self._values[topic]
            lengths = ",".join("-" if v is None else str(len(v)) for v in values)
            yield f"{topic}\0{len(values)}\0{lengths}\0".encode()
            yield b"".join(v for v in values if v is not None)

    def result(self) -> bytes:
        """Return the digest."""
        digest = hashlib.sha256()
        for part in self.parts():
            digest.update(part)
        return digest.digest()


class InputDigest:
    """SHA-256 over the applied values, runs in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, messages: Sequence[Message]) -> None:
        """Append one run."""
        part = Digest()
        part.add(messages[0].topic, [message.value for message in messages])
        self._digest.update(part.result())

    def result(self) -> bytes:
        """Return the digest."""
        return self._digest.digest()

"""Snapshots: a model's state at one ledger sequence, signed, in chunks that a topic accepts."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import SNAPSHOTS
from tidemill.kernel.records import Emit
from tidemill.models.pickles import CODEC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidemill.fold.tracked import Tracked
    from tidemill.models.state import ModelKey

CHUNK_BAR = b"|#"
MOST_DIGITS = 9


class SigningKey:
    """An HMAC-SHA-256 key; `name` is the start of its digest, safe to publish."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.name = hashlib.sha256(b"tidemill key\0" + secret).hexdigest()[:16]

    def sign(self, *parts: bytes) -> bytes:
        """Return the signature over `parts`, each with its length."""
        mac = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(8) + part)
        return mac.digest()

    def verify(self, signature: bytes, *parts: bytes) -> bool:
        """Return whether `signature` is this key's over `parts`."""
        return hmac.compare_digest(signature, self.sign(*parts))


class Saved(NamedTuple):
    """Key and value of one snapshot record."""

    key: bytes
    value: bytes


def chunk_key(key: bytes, chunk: int) -> bytes:
    """Return the Kafka key of one chunk of a model's snapshot."""
    return key if chunk == 0 else key + CHUNK_BAR + str(chunk).encode()


def split_key(key: bytes) -> tuple[bytes, int]:
    """Return the model's key and the number of the chunk that a record's key names.

    An asset may have the bar in its name: only a number at the very end is one of a chunk, for a
    key without one ends with the model's name.
    """
    base, bar, number = key.rpartition(CHUNK_BAR)
    is_chunk = bar and number.isdigit() and len(number) < MOST_DIGITS
    return (base, int(number)) if is_chunk else (key, 0)


class State(Protocol):
    """A state as bytes, what it is the state of, and after which ledger entry."""

    @property
    def key(self) -> ModelKey:
        """The model, or what is kept beside models under a name like theirs."""

    @property
    def sequence(self) -> int:
        """The entry."""

    @property
    def state(self) -> bytes:
        """The bytes."""

    @property
    def state_digest(self) -> bytes:
        """Digest of the blueprint that it was made by."""

    @property
    def version(self) -> int:
        """Learning steps."""

    @property
    def lineage(self) -> bytes:
        """Chain digest of what was learned."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A state to save; see `State`."""

    key: ModelKey
    sequence: int
    state: bytes
    state_digest: bytes
    version: int = 0
    lineage: bytes = b""

    @classmethod
    def of(cls, tracked: Tracked, sequence: int, state: bytes) -> Kept:
        """Return a model's, `state` being its bytes."""
        version, lineage = tracked.state.version, tracked.state.lineage
        return cls(tracked.key, sequence, state, tracked.blueprint.digest, version, lineage)


def save(
    kept: State,
    positions: Sequence[Mapping[str, object]],
    *,
    place: tuple[str, int],
    signing: SigningKey,
    chunk_bytes: int,
) -> list[Saved]:
    """Return the snapshot records of a state.

    `place` names plant and partition: signed too, so that a record counts nowhere else.
    """
    data = kept.state
    parts = [data[n : n + chunk_bytes] for n in range(0, len(data), chunk_bytes)]
    key = kept.key.encode()
    records = []
    for n, part in enumerate(parts):
        record: dict[str, object] = {
            "sequence": kept.sequence,
            "plant": place[0],
            "partition": place[1],
            "positions": positions,
            "version": kept.version,
            "lineage": kept.lineage,
            "state_digest": kept.state_digest,
            "codec": CODEC,
            "chunk": n,
            "chunks": len(parts),
            "state": part,
            "signature": b"",
            "signed_by": signing.name,
        }
        own_key = chunk_key(key, n)
        record["signature"] = signing.sign(own_key, codec("Snapshot").encode(record))
        records.append(Saved(own_key, codec("Snapshot").encode(record)))
    return records


class Removed(Protocol):
    """A model that is no more, and how many records its last snapshot took."""

    @property
    def key(self) -> ModelKey:
        """The model."""

    @property
    def chunks(self) -> int:
        """The records."""


def tombstones(gone: Iterable[Removed], partition: int, *, topic: str = SNAPSHOTS) -> list[Emit]:
    """Return the records that delete the snapshots of models."""
    return [
        Emit(topic, partition, chunk_key(each.key.encode(), chunk), None)
        for each in gone
        for chunk in range(each.chunks)
    ]

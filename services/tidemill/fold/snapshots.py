"""Snapshots: a model's state at one ledger sequence, signed, in chunks that a topic accepts."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tidemill.contracts.codec import codec, schema_id_of
from tidemill.contracts.topics import SNAPSHOTS
from tidemill.kernel.errors import InvalidRecordError, SnapshotRefusal
from tidemill.kernel.records import Emit
from tidemill.kernel.reports import Refused
from tidemill.models.pickles import CODEC, dump_state, load_state
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelState

CHUNK_BAR = b"|#"
# In front of the name of a state on a shelf, so that the store may hold others of that name.
SHELVED = b"\0"
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


@dataclass(frozen=True, slots=True)
class Restored:
    """A verified snapshot, not yet parsed; `held` has its bytes."""

    key: ModelKey
    sequence: int
    version: int
    lineage: bytes
    state_digest: bytes
    held: Mapping[bytes, bytes]
    chunks: int = 1

    @property
    def state(self) -> bytes:
        """The state's bytes."""
        return self.held[SHELVED + self.key.encode()]

    def load(self) -> ModelState:
        """Return the state; the signature was verified before.

        Raises:
            InvariantError: Not a model's state.
        """
        return load_state(self.state)


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


def save(
    tracked: Tracked,
    sequence: int,
    positions: Sequence[Mapping[str, object]],
    *,
    place: tuple[str, int],
    signing: SigningKey,
    state: bytes | None = None,
    chunk_bytes: int,
) -> list[Saved]:
    """Return the snapshot records of a model as it stands after ledger entry `sequence`.

    `place` names plant and partition: signed too, so that a record counts nowhere else.
    """
    data = dump_state(tracked.state) if state is None else state
    parts = [data[n : n + chunk_bytes] for n in range(0, len(data), chunk_bytes)]
    key = tracked.key.encode()
    records = []
    for n, part in enumerate(parts):
        record: dict[str, object] = {
            "sequence": sequence,
            "plant": place[0],
            "partition": place[1],
            "positions": positions,
            "version": tracked.state.version,
            "lineage": tracked.state.lineage,
            "state_digest": tracked.blueprint.digest,
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


def tombstones(gone: Iterable[Removed], partition: int) -> list[Emit]:
    """Return the records that delete the snapshots of models."""
    return [
        Emit(SNAPSHOTS, partition, chunk_key(each.key.encode(), chunk), None)
        for each in gone
        for chunk in range(each.chunks)
    ]


class Shelf:
    """Collects snapshot records of one partition: verified ones by model, refused ones by reason.

    Args:
        signing: The key that every record must be signed with.
        plant: Whose states they must be; None takes those of any.
        states: Takes the states' bytes until the shelf is cleared.

    Attributes:
        newest: The newest complete snapshot of each model.
        refused: Every record that was not accepted.
        suspects: Models whose newest record was refused, so that an older state must serve.
    """

    def __init__(
        self,
        signing: SigningKey,
        *,
        plant: str | None = None,
        states: MutableMapping[bytes, bytes] | None = None,
    ) -> None:
        self._states: MutableMapping[bytes, bytes] = {} if states is None else states
        self._signing = signing
        self._plant = plant
        self._chunks: dict[tuple[ModelKey, int], dict[int, bytes]] = {}
        self._more: dict[ModelKey, set[int]] = {}
        self.newest: dict[ModelKey, Restored] = {}
        self.refused: list[Refused] = []
        self.suspects: set[ModelKey] = set()

    def forget_stream(self, stream: str) -> None:
        """Let go of all states of a stream."""
        for key in [key for key in self.newest if key.stream == stream]:
            del self.newest[key]
            self._states.pop(SHELVED + key.encode(), None)

    def clear(self) -> None:
        """Let go of all states; what was taken over of them stays."""
        for key in self.newest:
            self._states.pop(SHELVED + key.encode(), None)

    def add(self, message: Message) -> None:
        """Verify one record and keep it, or note why it is refused; a tombstone forgets."""
        key_bytes = message.key or b""
        try:
            base, chunk = split_key(key_bytes)
            key = ModelKey.decode(base)
        except ValueError as error:
            self._refuse(message, SnapshotRefusal.UNREADABLE, str(error))
            return
        if message.value is None:
            self._forget(key, chunk)
            return
        if chunk > 0:
            self._more.setdefault(key, set()).add(chunk)
        try:
            record = codec("Snapshot").decode(message.value)
        except InvalidRecordError as error:
            self._refuse(message, SnapshotRefusal.UNREADABLE, f"a snapshot must decode: {error}")
            self.suspects.add(key)
            return
        refusal = self._check(
            record, key_bytes, chunk, schema_id=schema_id_of(message.value)
        ) or self._misplaced(record, message.partition)
        if refusal is not None:
            self._refuse(message, *refusal)
            self.suspects.add(key)
            return
        self._keep(key, chunk, record)

    def _forget(self, key: ModelKey, chunk: int) -> None:
        """Note a tombstone: of the model, or of one chunk that it no longer needs."""
        self._more.get(key, set()).discard(chunk)
        if chunk == 0:
            self.newest.pop(key, None)
            self.suspects.discard(key)

    def _refuse(self, message: Message, kind: SnapshotRefusal, reason: str) -> None:
        self.refused.append(Refused(str(message.position), reason, kind))

    def _check(
        self,
        record: dict[str, Any],  # Any: Avro
        key_bytes: bytes,
        chunk: int,
        *,
        schema_id: int,
    ) -> tuple[SnapshotRefusal, str] | None:
        """Return why a record, written with `schema_id`, is not accepted; None if it is."""
        if record["signed_by"] != self._signing.name:
            found = record["signed_by"] or "nobody"
            reason = f"a snapshot must be signed by {self._signing.name}, was by {found}"
            return SnapshotRefusal.UNSIGNED, reason
        unsigned = codec("Snapshot").encode({**record, "signature": b""}, as_id=schema_id)
        if not self._signing.verify(record["signature"], key_bytes, unsigned):
            reason = "a snapshot must match its signature; it was altered"
            return SnapshotRefusal.ALTERED, reason
        if record["chunk"] != chunk or record["codec"] != CODEC:
            return SnapshotRefusal.MISPLACED, f"chunk and codec must be {chunk} and {CODEC}"
        return None

    def _misplaced(
        self,
        record: dict[str, Any],  # Any: Avro
        partition: int,
    ) -> tuple[SnapshotRefusal, str] | None:
        """Return why a record that was signed for another place is not accepted."""
        found = (record["plant"], record["partition"])
        must = (found[0] if self._plant is None else self._plant, partition)
        if found == must:
            return None
        reason = (
            f"a snapshot must be of partition {must[1]} of plant {must[0]}, was of partition "
            f"{found[1]} of {found[0]}"
        )
        return SnapshotRefusal.MISPLACED, reason

    def _keep(self, key: ModelKey, chunk: int, record: dict[str, Any]) -> None:  # Any: Avro
        sequence = record["sequence"]
        known = self.newest.get(key)
        if known is not None and known.sequence > sequence:
            return
        chunks = self._chunks.setdefault((key, sequence), {})
        chunks[chunk] = record["state"]
        if len(chunks) < record["chunks"]:
            return
        del self._chunks[key, sequence]
        self.suspects.discard(key)
        state = b"".join(chunks[n] for n in range(len(chunks)))
        self._states[SHELVED + key.encode()] = state
        self.newest[key] = Restored(
            key=key,
            sequence=sequence,
            version=record["version"],
            lineage=record["lineage"],
            state_digest=record["state_digest"],
            held=self._states,
            chunks=1 + max(self._more.get(key, ()), default=0),
        )

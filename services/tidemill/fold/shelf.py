"""Saved states of one partition, collected from their topic: verified, the newest of each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec, schema_id_of
from tidemill.fold.snapshots import split_key
from tidemill.kernel.errors import InvalidRecordError, SnapshotRefusal
from tidemill.kernel.reports import Refused
from tidemill.models.pickles import CODEC, load_state
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelState

# In front of the name of a state on a shelf, so that the store may hold others of that name.
SHELVED = b"\0"


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

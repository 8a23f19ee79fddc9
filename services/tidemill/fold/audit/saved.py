"""Snapshots and anchors: signed, readable, and what the ledger says of their models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec, schema_id_of
from tidemill.contracts.topics import ANCHORS, LEDGER, SNAPSHOTS
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.retirement import assets_retired
from tidemill.fold.shelf import Shelf
from tidemill.fold.snapshots import split_key
from tidemill.fold.swapping import SWAP, Swap
from tidemill.fold.terms import KIND as TERMS
from tidemill.kernel.errors import InvalidRecordError
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.audit.findings import Findings
    from tidemill.fold.ledger import Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

NO_KEY = (
    "no signing key was given: signatures of snapshots and anchors were not checked, "
    "only that they decode and agree with the ledger"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one snapshot record says of its model."""

    place: Place
    key: ModelKey
    sequence: int
    version: int
    lineage: bytes
    state_digest: bytes
    chunk: int
    chunks: int


class SavedStates:
    """All snapshot and anchor records of one partition, read once.

    Args:
        signing: The key they must be signed with; None checks what can be checked without it.
        until: Records that claim a later ledger sequence are newer than this audit: left out.
        snapshots: Their topic.
        anchors: Theirs; None where there are none.

    Attributes:
        unusable: Keys of models with a record that was refused or left out.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        signing: SigningKey | None,
        *,
        until: int,
        snapshots: str = SNAPSHOTS,
        anchors: str | None = ANCHORS,
    ) -> None:
        self.findings: list[Finding] = []
        self._partition = partition
        self._signing = signing
        self._until = until
        self._claims: dict[int, list[Claim]] = {}
        self._held: dict[bytes, int] = {}
        self._oldest = until + 1
        self._refused: set[bytes] = set()
        self.unusable: set[bytes] = set()
        self._announced: dict[str, int] = {}
        self._lineages: dict[ModelKey, tuple[int, bytes]] = {}
        self._topics = snapshots, anchors
        self.counts = dict.fromkeys([topic for topic in self._topics if topic is not None], 0)
        self._log = log
        self._ends = dict.fromkeys(self.counts, 0)
        self._catch_up()

    def _catch_up(self) -> None:
        """Read what was written since the last look."""
        for topic, seen in self._ends.items():
            begin, end = self._log.span(topic, self._partition)
            for messages in self._log.read(topic, self._partition, max(begin, seen), end):
                for message in messages:
                    self._read(message)
            self._ends[topic] = end

    def _read(self, message: Message) -> None:
        key, chunk = split_key(message.key or b"")
        if message.value is None and chunk:
            return
        if message.value is None and message.topic == self._topics[0]:
            self._held.pop(key, None)
            self._refused.add(key)
            return
        self.counts[message.topic] += 1
        reason = self._refusal(message)
        if reason:
            self._refused.add(key)
            self.unusable.add(key)
            who = "the signing key" if self._signing is None else f"key {self._signing.name}"
            must = f"a snapshot must be unaltered and signed by {who}"
            self.findings.append(
                Finding(Kind.SNAPSHOT_REFUSED, Place.of(message), None, must, reason)
            )
            return
        record = codec("Snapshot").decode(message.value)
        sequence = record["sequence"]
        if sequence > self._until:
            self._refused.add(key)
            self.unusable.add(key)
            return
        claim = Claim(
            place=Place.of(message),
            key=ModelKey.decode(key),
            sequence=sequence,
            version=record["version"],
            lineage=record["lineage"],
            state_digest=record["state_digest"],
            chunk=record["chunk"],
            chunks=record["chunks"],
        )
        self._claims.setdefault(sequence, []).append(claim)
        if message.topic == self._topics[1]:
            self._oldest = min(self._oldest, sequence)
        if message.topic == self._topics[0] and not chunk:
            self._held[key] = sequence

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What was accepted and not yet held against the ledger."""
        return tuple(claim for claims in self._claims.values() for claim in claims)

    def _refusal(self, message: Message) -> str:
        try:
            record = codec("Snapshot").decode(message.value)
        except InvalidRecordError as error:
            return f"it does not decode: {error}"
        is_newest = schema_id_of(message.value) == codec("Snapshot").schema_id
        if is_newest and codec("Snapshot").encode(record) != message.value:
            return "its bytes are not those that were written"
        if self._signing is None:
            return ""
        shelf = Shelf(self._signing)
        shelf.add(message)
        return shelf.refused[0][1] if shelf.refused else ""

    def lose_the_thread(self) -> None:
        """Forget where models stand: an entry in between cannot be relied on."""
        self._lineages.clear()

    def follow(self, entry: Entry) -> list[Finding]:
        """Hold what was saved with an entry against what the entry says of its models."""
        for model in entry.models:
            key = ModelKey(model.stream, model.asset, model.model)
            self._lineages[key] = (model.version, model.lineage)
        gone = assets_retired(entry)
        if gone:
            self._forget(gone)
        elif any(action.kind == TERMS for action in entry.actions):
            self._announced.clear()
        claims = self._claims.pop(entry.sequence, [])
        anchored = {claim.key for claim in claims if claim.place.topic == ANCHORS}
        findings = [finding for claim in claims for finding in self._contradictions(claim, entry)]
        self._announced.update(dict.fromkeys(entry.snapshots, entry.sequence))
        return [*findings, *self._swap_findings(entry, anchored)]

    def _swap_findings(self, entry: Entry, anchored: set[ModelKey]) -> list[Finding]:
        """Hold the swaps of an entry against its models, and the anchors that must be there."""
        findings = []
        begin, _ = self._log.span(ANCHORS, self._partition)
        is_retained = begin == 0 or self._oldest <= entry.sequence
        for swap in (Swap.of(action) for action in entry.actions if action.kind == SWAP):
            name = swap.key.encode().decode()
            place = Place(ANCHORS, self._partition, None, None)
            if self._lineages.get(swap.key, (0, b""))[1] != swap.lineage:
                place = Place(LEDGER, self._partition, None, None)
                must = f"{name} must have the lineage that it was swapped to"
                found = "the entry says another one"
                kind = Kind.LEDGER_CONTRADICTS
            elif (
                is_retained and swap.key not in anchored and swap.key.encode() not in self.unusable
            ):
                must = f"the anchor of {name}, which was swapped with the entry, must be there"
                found, kind = "there is none", Kind.SNAPSHOT_MISSING
            else:
                continue
            findings.append(Finding(kind, place, entry.sequence, must, found))
        return findings

    def _forget(self, assets: set[tuple[str, str]]) -> None:
        """Expect nothing any more of assets that were retired."""
        for name in [*self._announced]:
            key = ModelKey.decode(name.encode())
            if (key.stream, key.asset) in assets:
                del self._announced[name]

    def _contradictions(self, claim: Claim, entry: Entry) -> Iterator[Finding]:
        name = claim.key.encode().decode()
        known = self._lineages.get(claim.key)
        if name not in entry.snapshots:
            must, found = "the entry must announce the snapshot", "it does not"
        elif known is not None and known != (claim.version, claim.lineage):
            must = f"the model must be at version {known[0]}, lineage {known[1].hex()[:16]}"
            found = f"the snapshot says version {claim.version}, {claim.lineage.hex()[:16]}"
        else:
            return
        yield Finding(Kind.SNAPSHOT_CONTRADICTS, claim.place, entry.sequence, must, found)

    def missing(self) -> list[Finding]:
        """Return a finding for every model whose newest snapshot is announced and not there."""
        findings = []
        self._catch_up()
        for name, sequence in self._announced.items():
            key = name.encode()
            if key in self._refused or self._held.get(key, -1) >= sequence:
                continue
            place = Place(self._topics[0], self._partition, None, None)
            must = f"the snapshot of {name} that the entry announces must be there"
            held = self._held.get(key)
            found = "there is none" if held is None else f"the newest is of entry {held}"
            findings.append(Finding(Kind.SNAPSHOT_MISSING, place, sequence, must, found))
        return findings

    def report(self, findings: Findings) -> None:
        """Put counts and what was found so far into a report."""
        findings.add(self.findings)
        for topic, name in zip(self._topics, ("snapshots", "anchors"), strict=True):
            if topic is not None:
                findings.counts[name] += self.counts[topic]
        if self._signing is None and any(self.counts.values()):
            findings.note(NO_KEY)

"""The books of one partition: what a transaction leaves in ledger and snapshots."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, DRIFT_SNAPSHOTS, UPDATES
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.entry_marks import marked
from tidemill.fold.ledger import FIRST, Changed, Digest, Entry, InputDigest, Run
from tidemill.fold.snapshots import Kept, chunk_key, save
from tidemill.kernel.records import Emit
from tidemill.processors.drift.saving import saved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.books import Policy
    from tidemill.fold.ledger import Action
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey
    from tidemill.processors.drift.watching import Watching

PROCESSOR = "drift"
# Folders whose code can change a result, beside those that all ledgers count.
CODE = ("detection", "processors/drift")
# What it tells; each record of it names its ledger entry.
TOLD = (DRIFT, UPDATES)


class Books:
    """Keeps one partition's drift ledger, and says which states are saved with an entry.

    Args:
        watching: The assets.
        tail: The last entry; None before genesis.
        signing: Signs what is saved.
        policy: How far a saved state may lag.
    """

    def __init__(
        self, watching: Watching, tail: Entry | None, *, signing: SigningKey, policy: Policy
    ) -> None:
        self.tail = tail
        self.chunks: dict[ModelKey, int] = {}
        self._watching = watching
        self._signing = signing
        self._policy = policy
        self._begin()

    def _begin(self) -> None:
        self._runs: list[Run] = []
        self._inputs = InputDigest()
        self._emitted = Digest()

    @property
    def sequence(self) -> int:
        """Sequence of the entry being written."""
        return 0 if self.tail is None else self.tail.sequence + 1

    def note(self, messages: Sequence[Message], emits: Sequence[Emit]) -> None:
        """Enter one run and what it caused."""
        self._runs.append(Run(messages[0].topic, messages[0].offset, messages[-1].offset))
        self._inputs.add(messages)
        self._emitted.add_emits(emits)

    def tell(self, emits: Sequence[Emit]) -> list[Emit]:
        """Enter what no record caused; return it as it is written."""
        self._emitted.add_emits(emits)
        return marked(emits, self.sequence, TOLD)

    def seal(
        self,
        positions: Mapping[str, int],
        *,
        kind: str = "APPLIED",
        actions: Sequence[Action] = (),
    ) -> list[Emit]:
        """Close the entry; return it with the states that go with it.

        Where it puts terms in force all states are saved: none is ever folded across a change.
        """
        watching, sequence = self._watching, self.sequence
        due = self._due(is_all=bool(actions))
        noted = [*actions]
        if self._runs and sequence % self._policy.define_every == 0:
            noted.append(watching.terms.action())
        emits = [emit for key in due for emit in self._save(key, sequence, positions)]
        changed = watching.settle()
        entry = Entry(
            processor=PROCESSOR,
            kind=kind,
            sequence=sequence,
            partition=watching.partition,
            runs=tuple(self._runs),
            actions=tuple(noted),
            models=tuple(
                Changed(*key, each.version, each.lineage, each.allowance.events)
                for key, each in changed.items()
            ),
            emitted=self._emitted.result(),
            code=code_digest(CODE),
            arithmetic=arithmetic_digest(),
            previous=FIRST if self.tail is None else self.tail.hash,
            inputs=self._inputs.result(),
            positions=dict(positions),
            snapshots=tuple(key.encode().decode() for key in due),
            definition=watching.terms.digest,
            resume=self._resume(),
            learned=watching.standing.models,
            fleet=watching.standing.digest,
        ).sealed()
        self.tail = entry
        self._begin()
        ledger_key = f"{PROCESSOR}|{watching.partition}".encode()
        return [Emit(DRIFT_LEDGER, watching.partition, ledger_key, entry.encode()), *emits]

    def _due(self, *, is_all: bool) -> list[ModelKey]:
        """Return the states to save now, and take them as saved."""
        watching, lag = self._watching, 0 if is_all else self._policy.snapshot_every
        late = takewhile(
            lambda each: watching.records - each[1].records >= lag, watching.dirty.items()
        )
        due = [key for key, _ in late]
        for key in due:
            del watching.dirty[key]
        return due

    def _resume(self) -> int:
        """Return the entry after which a re-fold starts: before the oldest unsaved change."""
        dirty = self._watching.dirty
        return next(iter(dirty.values())).sequence - 1 if dirty else self.sequence

    def _save(self, key: ModelKey, sequence: int, positions: Mapping[str, int]) -> list[Emit]:
        watching = self._watching
        watched, partition = watching.watched[key], watching.partition
        kept = Kept(
            key,
            sequence,
            saved(watched),
            watched.plan.digest,
            watched.version,
            watched.lineage,
        )
        where = [
            {"topic": topic, "partition": partition, "offset": offset}
            for topic, offset in sorted(positions.items())
        ]
        records = save(
            kept,
            where,
            place=(watching.terms.definition.plant, partition),
            signing=self._signing,
            chunk_bytes=self._policy.chunk_bytes,
        )
        before, self.chunks[key] = self.chunks.get(key, 0), len(records)
        unneeded = [chunk_key(key.encode(), chunk) for chunk in range(len(records), before)]
        return [
            *(Emit(DRIFT_SNAPSHOTS, partition, each.key, each.value) for each in records),
            *(Emit(DRIFT_SNAPSHOTS, partition, each, None) for each in unneeded),
        ]

    def forget(self, gone: Sequence[ModelKey]) -> list[Emit]:
        """Return the records that delete the states of assets watched no more."""
        partition = self._watching.partition
        return [
            Emit(DRIFT_SNAPSHOTS, partition, chunk_key(key.encode(), chunk), None)
            for key in gone
            for chunk in range(self.chunks.pop(key, 0))
        ]

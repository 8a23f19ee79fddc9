"""The books of one partition: what a transaction leaves in ledger, snapshots and anchors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemill.contracts.topics import ANCHORS, LEDGER, SNAPSHOTS
from tidemill.fold.applying import PROCESSOR
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.ledger import FIRST, Action, Changed, Digest, Entry, InputDigest, Run
from tidemill.fold.saving import Saving
from tidemill.fold.swapping import full_actions, refused
from tidemill.fold.terms import KIND as TERMS
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Emit
from tidemill.models.pickles import dump_state
from tidemill.models.state import Anchored

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey

BUDGET = "budget"
# A re-fold walks the ledger from an anchor on: in a crowded partition past the records of others.
WIDE = 200
# What an entry costs that walk, in records.
ENTRY = 10
SMALLEST_CHUNK_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Policy:
    """How often state is saved.

    Attributes:
        snapshot_every: A rebuild folds fewer records than this, or else one transaction's.
        anchor_every: Between two anchors of a model, at most: so many learning steps, so many
            events of its asset, or `WIDE` times as many records of the partition.
        chunk_bytes: Largest part of a snapshot in one record.
        define_every: Entries after which the terms are written again, so that they outlive
            retention.
    """

    snapshot_every: int = 10_000
    anchor_every: int = 10_000
    chunk_bytes: int = 900_000
    define_every: int = 1_000

    def smaller(self) -> Policy:
        """Return the policy with chunks of half the size; a large model never stops the data.

        Raises:
            InvariantError: They would be smaller than a topic must take.
        """
        chunk_bytes = self.chunk_bytes // 2
        if chunk_bytes < SMALLEST_CHUNK_BYTES:
            msg = (
                f"topics must take records of {SMALLEST_CHUNK_BYTES} bytes, the broker refuses "
                "them; raise max.message.bytes with `tidemill topics --execute`"
            )
            raise InvariantError(msg)
        return replace(self, chunk_bytes=chunk_bytes)


class Books:
    """Keeps one partition's ledger and decides which models are saved with an entry.

    Args:
        fold: The models.
        tail: The last entry; None before genesis.
    """

    def __init__(
        self, fold: Fold, tail: Entry | None, *, signing: SigningKey, policy: Policy
    ) -> None:
        self.tail = tail
        self.oversized: list[str] = []
        self.saved_bytes = 0
        self._fold = fold
        self._saving = Saving(fold, signing, policy)
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

    def note_caused(self, emits: Sequence[Emit]) -> None:
        """Enter what an action causes: no record of the inputs does."""
        self._emitted.add_emits(emits)

    def seal(
        self,
        positions: Mapping[str, int],
        *,
        kind: str = "APPLIED",
        actions: Sequence[Action] = (),
        saves: bool = True,
        swapped: Sequence[Tracked] = (),
    ) -> list[Emit]:
        """Close the entry; return it with the snapshots and anchors that go with it.

        Args:
            positions: Next offset of every input topic.
            kind: Of the entry.
            actions: What it puts in force.
            saves: Whether a change of terms saves all models: not if it leaves them as they are.
            swapped: Models with a state that no re-fold leads to: saved, and anchored too.
        """
        fold, sequence = self._fold, self.sequence
        is_all = saves and any(action.kind == TERMS for action in actions)
        due = self._saving.due(is_all, swapped)
        way = sum(positions.values()) + ENTRY * sequence
        anchored = self._choose_anchors(due, {tracked.key for tracked in swapped}, way)
        states = {tracked.key: dump_state(tracked.state) for tracked in due}
        told = [*full_actions(fold.full), *refused(fold.updating.refused_by(sequence))]
        noted = [*actions, *told, *self._enforce_budgets(due, states)]
        if self._runs and sequence % self._saving.policy.define_every == 0:
            noted.append(fold.terms.action())
        saved = [
            emit
            for tracked in due
            for emit in self._saving.save(
                tracked,
                sequence,
                positions,
                topics=(SNAPSHOTS, ANCHORS) if tracked.key in anchored else (SNAPSHOTS,),
                state=states[tracked.key],
            )
        ]
        self.saved_bytes = sum(len(emit.value or b"") for emit in saved)
        entry = self._entry(kind, due, positions, actions=noted)
        self.tail = entry
        fold.fleet.rest(states)
        fold.fleet.changed.clear()
        fold.full.clear()
        self._begin()
        key = f"{PROCESSOR}|{fold.partition}".encode()
        return [Emit(LEDGER, fold.partition, key, entry.encode()), *saved]

    def _entry(
        self,
        kind: str,
        saved: Sequence[Tracked],
        positions: Mapping[str, int],
        *,
        actions: Sequence[Action],
    ) -> Entry:
        fold = self._fold
        standing = fold.fleet.standing()
        return Entry(
            processor=PROCESSOR,
            kind=kind,
            sequence=self.sequence,
            partition=fold.partition,
            runs=tuple(self._runs),
            actions=tuple(actions),
            models=self._changed(),
            emitted=self._emitted.result(),
            code=code_digest(),
            arithmetic=arithmetic_digest(),
            previous=FIRST if self.tail is None else self.tail.hash,
            inputs=self._inputs.result(),
            positions=dict(positions),
            snapshots=tuple(tracked.key.encode().decode() for tracked in saved),
            definition=fold.terms.digest,
            resume=self._resume(),
            learned=standing.models,
            fleet=standing.digest,
        ).sealed()

    def _enforce_budgets(
        self, due: Sequence[Tracked], states: dict[ModelKey, bytes]
    ) -> list[Action]:
        """Stop the growth of models over budget, as an action that a replay repeats here."""
        actions = []
        for tracked in due:
            budget = self._fold.plans[tracked.key.stream].budget_bytes
            size = len(states[tracked.key])
            if size <= budget or tracked.state.at_budget:
                continue
            tracked.state.stop_growing()
            states[tracked.key] = dump_state(tracked.state)
            name = tracked.key.encode().decode()
            self.oversized.append(f"{name}: {size} bytes of state, budget {budget}")
            detail = {"model": name, "bytes": str(size), "budget": str(budget)}
            actions.append(Action(BUDGET, detail))
        return actions

    def _choose_anchors(
        self, due: Sequence[Tracked], swapped: Collection[ModelKey], way: int
    ) -> set[ModelKey]:
        """Note and return which of the models to be saved are also due for an anchor."""
        chosen = set()
        for tracked in due:
            state = tracked.state
            now = Anchored(state.version, state.recent.count, way)
            if self._is_anchor_due(state.anchored, now) or tracked.key in swapped:
                state.anchored = now
                chosen.add(tracked.key)
        return chosen

    def _is_anchor_due(self, last: Anchored | None, now: Anchored) -> bool:
        """Return whether a re-fold from the last anchor would take long by now.

        Labels may be rare: then events are what it takes, of the asset and of all others.
        """
        if last is None:
            return True
        every = self._saving.policy.anchor_every
        is_far = max(now.version - last.version, now.seen - last.seen) >= every
        return is_far or now.way - last.way >= WIDE * every

    def _changed(self) -> tuple[Changed, ...]:
        return tuple(
            Changed(*key, tracked.state.version, tracked.state.lineage, tracked.state.recent.count)
            for key, tracked in self._fold.fleet.changed.items()
        )

    def _resume(self) -> int:
        """Return the entry after which a re-fold starts: before the oldest unsaved change."""
        dirty = self._fold.fleet.dirty
        return next(iter(dirty.values()))[0] - 1 if dirty else self.sequence

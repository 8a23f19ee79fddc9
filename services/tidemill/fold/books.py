"""The books of one partition: what a transaction leaves in ledger, snapshots and anchors."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import ANCHORS, LEDGER, SNAPSHOTS
from tidemill.fold.applying import PROCESSOR
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.ledger import FIRST, Action, Changed, Digest, Entry, InputDigest, Run
from tidemill.fold.snapshots import chunk_key, save
from tidemill.fold.terms import KIND as TERMS
from tidemill.kernel.records import Emit
from tidemill.models.pickles import dump_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey

BUDGET = "budget"
# So many models are saved in one transaction without a thought.
CROWD = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """How often state is saved.

    Attributes:
        snapshot_every: A rebuild folds fewer records than this, or else one transaction's.
        anchor_every: Learning steps of a model between two anchors, at most.
        chunk_bytes: Largest part of a snapshot in one record.
        define_every: Entries after which the terms are written again, so that they outlive
            retention.
    """

    snapshot_every: int = 10_000
    anchor_every: int = 100_000
    chunk_bytes: int = 900_000
    define_every: int = 1_000


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
        self._records = fold.records
        self._fold = fold
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

    def seal(
        self,
        positions: Mapping[str, int],
        *,
        kind: str = "APPLIED",
        actions: Sequence[Action] = (),
        saves: bool = True,
    ) -> list[Emit]:
        """Close the entry; return it with the snapshots and anchors that go with it.

        Args:
            positions: Next offset of every input topic.
            kind: Of the entry.
            actions: What it puts in force.
            saves: Whether a change of terms saves all models: not if it leaves them as they are.
        """
        fold, sequence = self._fold, self.sequence
        due = self._due(saves and any(action.kind == TERMS for action in actions))
        anchored = self._choose_anchors(due)
        states = {tracked.key: dump_state(tracked.state) for tracked in due}
        noted = [*actions, *self._enforce_budgets(due, states)]
        if self._runs and sequence % self._policy.define_every == 0:
            noted.append(fold.terms.action())
        saved = [
            emit
            for tracked in due
            for emit in self._save(
                tracked, states[tracked.key], positions, is_anchor=tracked.key in anchored
            )
        ]
        self.saved_bytes = sum(len(emit.value or b"") for emit in saved)
        entry = self._entry(kind, due, positions, actions=noted)
        self.tail = entry
        fold.fleet.rest(states)
        fold.fleet.changed.clear()
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

    def _due(self, is_all: bool) -> list[Tracked]:
        """Return the models to save now: heirs, and those that lag, or all when the terms change.

        A re-fold never has to cross a change of terms that dropped models, nor to start an heir.
        Nor is a state of an asset ever newer than those of its type: what it taught them could not
        be found out from there any more.
        """
        fleet, records = self._fold.fleet, self._fold.records
        lag = 0 if is_all else self._policy.snapshot_every
        ahead = self._ahead(lag)
        due = list(fleet.heirs.values())
        fleet.heirs.clear()
        for heir in due:
            fleet.saved(heir.key)
        for key, (_, before) in fleet.dirty.items():
            if records - before < lag and len(due) >= ahead:
                break
            tracked = fleet.get(key)
            assert tracked is not None
            due.append(tracked)
        due += self._of_types(due)
        for tracked in due:
            fleet.saved(tracked.key)
        return due

    def _of_types(self, due: Sequence[Tracked]) -> list[Tracked]:
        """Return the changed models of asset types to save beside those of their assets."""
        fold, chosen = self._fold, {tracked.key for tracked in due}
        streams = sorted({key.stream for key in chosen if fold.plans[key.stream].starts_from_type})
        return [
            tracked
            for stream in streams
            for tracked in fold.fleet.of(stream, ASSET_TYPE).models
            if tracked.key in fold.fleet.dirty and tracked.key not in chosen
        ]

    def _ahead(self, lag: int) -> int:
        """Return how many models to save at least, so that a crowd is not due all at once.

        From half the bound on, the crowd is shared among the entries that are left before it.
        """
        dirty, records = self._fold.fleet.dirty, self._fold.records
        size = records - self._records
        self._records = records
        if len(dirty) <= CROWD:
            return 0
        oldest = records - next(iter(dirty.values()))[1]
        left = lag - oldest
        if oldest < lag / 2 or left <= 0 or not size:
            return 0
        return max(CROWD, ceil(len(dirty) * size / left))

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

    def _choose_anchors(self, due: Sequence[Tracked]) -> set[ModelKey]:
        """Note and return which of the models to be saved are also due for an anchor."""
        chosen = set()
        for tracked in due:
            state = tracked.state
            if state.anchored < 0 or state.version - state.anchored >= self._policy.anchor_every:
                state.anchored = state.version
                chosen.add(tracked.key)
        return chosen

    def _save(
        self, tracked: Tracked, state: bytes, positions: Mapping[str, int], *, is_anchor: bool
    ) -> list[Emit]:
        partition = self._fold.partition
        saved = save(
            tracked,
            self.sequence,
            [
                {"topic": topic, "partition": partition, "offset": offset}
                for topic, offset in sorted(positions.items())
            ],
            place=(self._fold.terms.definition.plant, partition),
            signing=self._signing,
            state=state,
            chunk_bytes=self._policy.chunk_bytes,
        )
        topics = (SNAPSHOTS, ANCHORS) if is_anchor else (SNAPSHOTS,)
        emits = [Emit(topic, partition, key, value) for topic in topics for key, value in saved]
        key, before = tracked.key.encode(), tracked.chunks
        tracked.chunks = len(saved)
        unneeded = [chunk_key(key, chunk) for chunk in range(len(saved), before)]
        return [*emits, *(Emit(SNAPSHOTS, partition, key, None) for key in unneeded)]

    def _changed(self) -> tuple[Changed, ...]:
        return tuple(
            Changed(*key, tracked.state.version, tracked.state.lineage, tracked.state.recent.count)
            for key, tracked in self._fold.fleet.changed.items()
        )

    def _resume(self) -> int:
        """Return the entry after which a re-fold starts: before the oldest unsaved change."""
        dirty = self._fold.fleet.dirty
        return next(iter(dirty.values()))[0] - 1 if dirty else self.sequence

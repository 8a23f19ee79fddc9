"""The replica: models rebuilt from the topics, in recorded order, checked against the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.fold.applying import Fold
from tidemill.fold.books import BUDGET
from tidemill.fold.crossing import Anchored, cross
from tidemill.fold.cursors import Cursor
from tidemill.fold.ledger import Digest, InputDigest
from tidemill.fold.ledger_log import entry_before, find_terms
from tidemill.fold.retirement import KIND as RETIRE
from tidemill.fold.retirement import Retirement
from tidemill.fold.swapping import notes_full
from tidemill.fold.terms import KIND, Terms
from tidemill.kernel.errors import InvariantError
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tidemill.fold.crossing import Swaps
    from tidemill.fold.idle import IdleModels
    from tidemill.fold.ledger import Action, Entry, Run
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.seen import Witness
    from tidemill.fold.shelf import Restored
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message


SKIP = "skip"
ROLLBACK = "rollback"
INPUTS_DIFFER = "the inputs are not those that were applied"
ALL_RETAINED: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """One ledger entry folded again.

    Attributes:
        emits: What the fold emitted; not all of what was emitted then if `is_partial`.
        inputs: The records applied, in order.
        differences: What contradicts the ledger, in words; empty if nothing does.
        gone: Runs left out because their records are no longer retained.
    """

    placed: Placed
    emits: list[Emit]
    inputs: list[Message]
    is_partial: bool
    differences: tuple[str, ...]
    gone: tuple[Run, ...] = ()


class Replica:
    """Folds ledger entries of one partition again.

    One replica serves recovery, audit and explanation: it starts from the states it is given,
    which may be of different age, and every model skips the entries its state has already.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        known: Terms at hand, by digest; others are looked up in the ledger.
        idle: Where models go that are not needed for now.
        witness: Is shown every prediction that is made again.
        swaps: Where the states of models come from that were swapped for their re-folds.

    Attributes:
        doubts: By model, and None for outputs, the first step that contradicts the ledger. A
            change of terms that drops a model settles its doubt: nothing of it goes on but the
            version, which the entry of that change says anew.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        known: Mapping[bytes, Terms],
        idle: IdleModels | None = None,
        *,
        witness: Witness | None = None,
        swaps: Swaps | None = None,
    ) -> None:
        self.fold: Fold | None = None
        self._swaps: Swaps = Anchored(log, partition, None) if swaps is None else swaps
        self._log = log
        self._partition = partition
        self._known = dict(known)
        self._idle = idle
        self._witness = witness
        self.doubts: dict[ModelKey | None, Step] = {}
        self._states: dict[ModelKey, Restored] = {}
        self._unread: set[ModelKey] = set()
        self._cursors: dict[str, Cursor] = {}

    def start_from(self, states: Mapping[ModelKey, Restored]) -> None:
        """Take over verified snapshots; they are parsed once the terms are known."""
        self._states = dict(states)
        self._unread = set(states)

    def forget_states(self, sequence: int) -> None:
        """Let go of the states up to an entry: what of them was needed is in the fold."""
        self._states = {k: each for k, each in self._states.items() if each.sequence > sequence}

    def become(self, digest: bytes, before: int, sequence: int) -> Generator[None, None, Fold]:
        """Come under the terms with this digest at an entry, searching the ledger before an offset.

        States that do not fit them wait for the terms they fit: a change of terms, at an entry
        `sequence`, replaces models.
        """
        if self.fold is not None and self.fold.terms.digest == digest:
            return self.fold
        terms = self._known.get(digest)
        if terms is None:
            terms = yield from find_terms(self._log, self._partition, digest, before)
            self._known[digest] = terms
        if self.fold is None:
            self.fold = Fold(terms, self._partition, self._idle, witness=self._witness)
            self.fold.is_replica = True
            self._load(self.fold, 0)
        else:
            before_it = {key: _fitting(self.fold, key) for key in self.doubts if key is not None}
            self.fold.adopt(terms, sequence)
            self.doubts = {
                key: step
                for key, step in self.doubts.items()
                if key is not None and _fitting(self.fold, key) == before_it[key]
            }
            self._load(self.fold, sequence)
        return self.fold

    def _load(self, fold: Fold, sequence: int) -> None:
        """Take over the states from `sequence` on that fit the terms and are not there yet."""
        for key, restored in self._states.items():
            if restored.sequence < sequence or _fitting(fold, key) != restored.state_digest:
                continue
            if fold.fleet.since(key) != restored.sequence:
                fold.fleet.lay(restored)
            self._unread.discard(key)

    def check_states(self) -> None:
        """Refuse states that fitted no terms up to the end.

        Raises:
            InvariantError: There is one.
        """
        for key in sorted(self._unread):
            msg = (
                f"the snapshot of {key.encode().decode()} at ledger entry "
                f"{self._states[key].sequence} must fit the definition in force and River's "
                "version, it was made by others; install the release of River that made it"
            )
            raise InvariantError(msg)

    def step(
        self, placed: Placed, ends: Mapping[str, int], begins: Mapping[str, int] = ALL_RETAINED
    ) -> Generator[None, None, Step]:
        """Fold one entry.

        Args:
            placed: The next entry, its chain already checked.
            ends: Per input topic, up to which offset the inputs may be read; one that is not
                named is followed as it grows.
            begins: Per input topic, from which offset on inputs are retained. A run that begins
                before is left out; the models must come out as the ledger says all the same.

        Raises:
            InvariantError: An input is missing.
        """
        entry = placed.entry
        fold = yield from self._come_under_terms(placed)
        inputs: list[Message] = []
        emits: list[Emit] = []
        digest_in, digest_out = InputDigest(), Digest()
        gone = tuple(run for run in entry.runs if run.first < begins.get(run.topic, 0))
        fold.is_partial = bool(gone)
        for run in entry.runs:
            if run in gone:
                continue
            cursor = self._cursor(run.topic, ends)
            messages = yield from cursor.take(run.first, run.last)
            caused = fold.apply(messages, entry.sequence)
            digest_in.add(messages)
            digest_out.add_emits(caused)
            inputs += messages
            emits += caused
        decided = yield from cross(fold, entry, self._swaps)
        digest_out.add_emits(decided)
        emits += decided
        self._act(fold, entry)
        strays = _model_differences(fold, entry)
        differences = [*strays.values()]
        if not gone and digest_in.result() != entry.inputs:
            differences.insert(0, INPUTS_DIFFER)
        doubtful: list[ModelKey | None] = [*strays]
        if not fold.is_partial and digest_out.result() != entry.emitted:
            differences.append("the outputs are not those that were emitted")
            doubtful.append(None)
        if not fold.is_partial and not notes_full(entry, fold.full):
            differences.append("the updates that found no room for a correction are others")
            doubtful.append(None)
        fold.full.clear()
        step = Step(placed, emits, inputs, fold.is_partial, tuple(differences), gone)
        for key in doubtful:
            self.doubts.setdefault(key, step)
        return step

    def _come_under_terms(self, placed: Placed) -> Generator[None, None, Fold]:
        """Return the fold as an entry finds it: where terms change, models are replaced."""
        entry = placed.entry
        defining = [action for action in entry.actions if action.kind == KIND]
        if defining and not entry.runs:
            if self.fold is None:
                before = yield from entry_before(self._log, self._partition, placed.offset)
                if before is not None:
                    yield from self.become(before.entry.definition, placed.offset, entry.sequence)
            terms = Terms.of(defining[0])
            self._known[terms.digest] = terms
        if self.fold is not None:
            self.fold.fleet.changed.clear()
            self.fold.fleet.rest()
        return (yield from self.become(entry.definition, placed.offset + 1, entry.sequence))

    def _cursor(self, topic: str, ends: Mapping[str, int]) -> Cursor:
        cursor = self._cursors.get(topic)
        if cursor is None:
            cursor = Cursor(self._log, topic, self._partition, ends.get(topic))
            self._cursors[topic] = cursor
        return cursor

    def _act(self, fold: Fold, entry: Entry) -> None:
        for action in entry.actions:
            if action.kind == BUDGET:
                key = ModelKey.decode(action.detail["model"].encode())
                tracked = fold.fleet.get(key)
                if tracked is not None and tracked.since < entry.sequence:
                    tracked.state.stop_growing()
                    tracked.is_stored = False
            elif action.kind == SKIP:
                self._cursors.pop(action.detail["topic"], None)
            elif action.kind == RETIRE:
                self._retire(fold, Retirement.of(action), entry.sequence)
            elif action.kind == ROLLBACK:
                _check_rolled_back(fold, action, entry)

    def _retire(self, fold: Fold, retirement: Retirement, sequence: int) -> None:
        """Let go of an asset's models; what was doubted of them before settles."""
        retirement.apply(fold, sequence)
        name = (retirement.stream, retirement.asset)
        self.doubts = {
            key: step
            for key, step in self.doubts.items()
            if key is not None and (key.stream, key.asset) != name
        }


def _check_rolled_back(fold: Fold, action: Action, entry: Entry) -> None:
    """Refuse to cross a roll-back: what the model had learned before is nowhere any more."""
    name = action.detail["model"]
    since = fold.fleet.since(ModelKey.decode(name.encode()))
    if since is None or since < entry.sequence:
        msg = (
            f"ledger entry {entry.sequence}: {name} went back to an older state there, its inputs "
            "were no longer retained; start at this entry or later, from its anchor"
        )
        raise InvariantError(msg)


def _fitting(fold: Fold, key: ModelKey) -> bytes | None:
    """Return the digest that a state of the model must have; None if there is no such model."""
    blueprint = fold.fleet.blueprint(key)
    return None if blueprint is None else blueprint.digest


def _model_differences(fold: Fold, entry: Entry) -> dict[ModelKey, str]:
    differences = {}
    expected = {ModelKey(m.stream, m.asset, m.model): m for m in entry.models}
    for key, said in expected.items():
        since = fold.fleet.since(key)
        if since is not None and since >= entry.sequence:
            continue
        tracked = fold.fleet.get(key)
        found = (tracked.state.version, tracked.state.lineage) if tracked else (0, b"")
        seen = tracked.state.recent.count if tracked else 0
        if (*found, seen) != (said.version, said.lineage, said.seen):
            differences[key] = (
                f"model {key.encode().decode()} is at version {found[0]}, lineage "
                f"{found[1].hex()[:16]} after {seen} events; the ledger says version "
                f"{said.version}, {said.lineage.hex()[:16]}, {said.seen} events"
            )
    for key in sorted(fold.fleet.changed.keys() - expected.keys()):
        differences[key] = f"model {key.encode().decode()} changed, the ledger says it did not"
    return differences

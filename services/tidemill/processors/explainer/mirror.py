"""The explainer's replica of one partition: follows the ledger, explains, and can be saved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from tidemill.contracts.topics import EXPLAINER_SNAPSHOTS, LEDGER
from tidemill.fold.audit.starting import drained
from tidemill.fold.crossing import Anchored
from tidemill.fold.explaining import Explaining
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.replica import ROLLBACK, SKIP, Replica
from tidemill.fold.retirement import KIND as RETIRE
from tidemill.fold.retirement import assets_retired
from tidemill.fold.saving import Saving
from tidemill.fold.snapshots import Kept, tombstones
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.views import VIEW, Views
from tidemill.models.state import ModelKey
from tidemill.processors.explainer.falling import fallen
from tidemill.processors.explainer.mismatch import mismatch
from tidemill.processors.explainer.place import KEY as PLACE
from tidemill.processors.explainer.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from tidemill.attribution.explained import Explained
    from tidemill.fold.applying import Fold
    from tidemill.fold.books import Policy
    from tidemill.fold.idle import IdleModels
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.replica import Step
    from tidemill.fold.seen import Seen
    from tidemill.fold.shelf import Restored
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.tracked import AssetModels, Tracked
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message

_CROSSED_ONCE = frozenset({RETIRE, ROLLBACK, SKIP})
# Inputs are followed as they grow.
FOLLOWED: Mapping[str, int] = {}


class _Gone:
    """A saved state whose model is no more."""

    def __init__(self, key: ModelKey, chunks: int) -> None:
        self.key = key
        self.chunks = chunks


class Mirror:
    """One partition's models as the ledger says they were, and what their answers are made of.

    Args:
        log: The topics.
        breathe: Called after each explanation.

    Attributes:
        last: The last entry that was followed.
        explained: Explanations made since the mirror was, by whether they are exact.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        idle: IdleModels,
        *,
        signing: SigningKey,
        policy: Policy,
        breathe: Callable[[], None] | None = None,
    ) -> None:
        self.log = log
        self.partition = partition
        self._signing = signing
        self._policy = policy
        self._saving: Saving | None = None
        listen = WeakMethod(self._listen)  # or the whole replica would wait for the collector
        self._explaining = Explaining(listener=lambda *what: _heard(listen, *what), breathe=breathe)
        self._gone: dict[ModelKey, int] = {}
        self._must_save_all = False
        self._saved: dict[ModelKey, int] = {}
        self._taken: dict[ModelKey, Restored] = {}
        self.views = Views()
        swaps = Anchored(log, partition, signing)
        self.replica = Replica(log, partition, {}, idle, witness=self._explaining, swaps=swaps)
        self.last: Placed | None = None
        self.explained: Counter[bool] = Counter()

    def _listen(self, seen: Seen, asset: AssetModels, explained: Explained) -> None:
        assert self.replica.fold is not None
        self.explained[explained.exact] += 1
        self.views.add(seen, asset, explained, self.replica.fold.records)

    def start_from(
        self,
        states: Mapping[ModelKey, Restored],
        place: Placed,
        refused: Collection[ModelKey] = (),
    ) -> None:
        """Take over the states that were saved, and the views among them.

        Args:
            refused: Records that nobody can use: they are deleted with the next transaction.
        """
        self._gone = {key: 1 for key in sorted(refused) if key not in states}
        models = {}
        for key, restored in states.items():
            if key == PLACE:
                continue
            self._saved[key] = restored.chunks
            if key.model == VIEW:
                self.views.restore(restored)
            else:
                models[key] = restored
        self.replica.start_from(models)
        self.last = place

    def take_over(
        self, states: Mapping[ModelKey, Restored], leftover: Mapping[ModelKey, Restored]
    ) -> None:
        """Start from states of the learner's; the first transaction saves them here.

        Args:
            leftover: Saved here before, and worth nothing any more.
        """
        self._taken = dict(states)
        self._gone = {key: state.chunks for key, state in leftover.items() if key not in states}
        self._gone.pop(PLACE, None)
        self._must_save_all = True
        self.replica.start_from(states)

    def first_save(self) -> list[Emit]:
        """Return what saves the states that were taken over, and where the mirror stands."""
        if self.last is None:
            return []
        positions = {LEDGER: self.last.offset + 1}
        assert self.replica.fold is not None
        saving = self._saving_of(self.replica.fold)
        emits = []
        for key, restored in sorted(self._taken.items()):
            kept = saving.keep(restored, positions, topic=EXPLAINER_SNAPSHOTS)
            self._saved[key] = len(kept)
            emits += kept
        self._taken = {}
        self.replica.forget_states(self.last.entry.sequence)
        return [*emits, *self.save(positions)]

    def fold_again(self, placed: Placed) -> Generator[None, None, Step]:
        """Fold an entry whose explanations were committed before."""
        step = yield from self._step(placed)
        self._explaining.take()
        self.views.take()
        self._check(step)
        self.last = placed
        return step

    def follow(self, messages: Sequence[Message]) -> list[Emit]:
        """Follow the ledger over its next entries; return what they are explained by.

        Raises:
            InvariantError: The ledger is not chained, or what it says is not what comes out.
        """
        emits = []
        for message in messages:
            placed = read_entry(message)
            before = None if self.last is None else self.last.entry
            placed.entry.check_follows(before, where=str(message.position))
            step = drained(self._step(placed))
            self._check(step)
            emits += [*self._explaining.take(), *self.views.take()]
            self._note(placed.entry)
            self.last = placed
        return emits

    def _step(self, placed: Placed) -> Generator[None, None, Step]:
        """Fold an entry; models that went back with it stand there at once."""
        entry = placed.entry
        states = yield from fallen(self.log, entry, self._signing)
        if states:
            fold = yield from self.replica.become(
                entry.definition, placed.offset + 1, entry.sequence
            )
            for state in states:
                fold.fleet.restore(state.key, state.load(), entry.sequence)
            step = yield from self.replica.step(placed, FOLLOWED)
            for state in states:
                tracked = fold.fleet.get(state.key)
                assert tracked is not None
                fold.fleet.learned(tracked, entry.sequence, fold.records)
            return step
        return (yield from self.replica.step(placed, FOLLOWED))

    def _check(self, step: Step) -> None:
        """Hold that the models and what they said are those of the ledger, to the last bit."""
        if step.differences:
            raise mismatch(self.log, self.partition, step)

    def _note(self, entry: Entry) -> None:
        """Save all models with what no re-fold should have to cross, and forget those that went.

        Which ones went is asked at once: one of that name may be there again with the next entry.
        """
        kinds = {action.kind for action in entry.actions}
        if not (kinds & _CROSSED_ONCE or (TERMS in kinds and not entry.runs)):
            return
        self._must_save_all = True
        fold = self.replica.fold
        assert fold is not None
        retired = {ModelKey(*name, VIEW) for name in assets_retired(entry)}
        for key in sorted({*self._saved, *self.views.keys()}):
            if key.model == VIEW:
                is_there = key.stream in fold.plans and key not in retired
            else:
                is_there = fold.fleet.since(key) is not None
            if not is_there:
                self.views.drop(key)
                self._gone[key] = max(self._gone.get(key, 0), self._saved.pop(key, 0))

    def save(self, positions: Mapping[str, int]) -> list[Emit]:
        """Return the records that let another worker go on from here."""
        assert self.last is not None
        fold, entry = self.replica.fold, self.last.entry
        assert fold is not None
        is_all, self._must_save_all = self._must_save_all, False
        saving = self._saving_of(fold)
        gone, self._gone = self._gone, {}
        emits = tombstones(
            [_Gone(key, chunks) for key, chunks in gone.items() if chunks],
            self.partition,
            topic=EXPLAINER_SNAPSHOTS,
        )
        due = saving.due(is_all)
        emits += [
            emit
            for tracked in due
            for emit in saving.save(
                tracked, entry.sequence, positions, topics=(EXPLAINER_SNAPSHOTS,)
            )
        ]
        self._saved.update({tracked.key: tracked.chunks for tracked in due})
        emits += self._save_views(saving, due, positions, is_all=is_all)
        fold.fleet.rest()
        place = Place(entry.sequence, self.last.offset + 1, entry.hash.hex(), self._resume(fold))
        kept = Kept(PLACE, entry.sequence, place.encode(), fold.terms.digest)
        return [*emits, *saving.keep(kept, positions, topic=EXPLAINER_SNAPSHOTS)]

    def _saving_of(self, fold: Fold) -> Saving:
        if self._saving is None:
            self._saving = Saving(fold, self._signing, self._policy)
        return self._saving

    def _save_views(
        self,
        saving: Saving,
        due: Sequence[Tracked],
        positions: Mapping[str, int],
        *,
        is_all: bool,
    ) -> list[Emit]:
        assert self.last is not None
        assert self.replica.fold is not None
        lag = 0 if is_all else self._policy.snapshot_every
        models = [tracked.key for tracked in due]
        emits = []
        for key in self.views.due(models, records=self.replica.fold.records, lag=lag):
            view = self.views[key]
            kept = Kept(key, self.last.entry.sequence, view.importance.encode(), view.made_of)
            saved = saving.keep(kept, positions, topic=EXPLAINER_SNAPSHOTS)
            self._saved[key] = len(saved)
            emits += saved
        return emits

    def _resume(self, fold: Fold) -> int:
        """Return the entry after which a re-fold starts: before the oldest unsaved change."""
        assert self.last is not None
        dirty = [next(iter(d.values()))[0] for d in (fold.fleet.dirty, self.views.dirty) if d]
        return min(dirty) - 1 if dirty else self.last.entry.sequence


def _heard(listen: WeakMethod[Any], *what: Any) -> None:  # Any: what a listener is told
    hears = listen()
    if hears is not None:
        hears(*what)

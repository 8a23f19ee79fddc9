"""A re-fold: models of one asset folded again from older states, as their corrections have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.topics import UPDATES
from tidemill.fold.applying import INPUTS
from tidemill.fold.bases import NoBaseError
from tidemill.fold.books import BUDGET
from tidemill.fold.editing import Editing
from tidemill.fold.extracts import Extract
from tidemill.fold.ledger_log import (
    OFFSETS_PER_ENTRY,
    entries_after,
    entry_before,
    find_terms,
    last_entry,
    last_entry_where,
)
from tidemill.fold.model_fold import ModelFold, plans_of
from tidemill.fold.replica import ROLLBACK
from tidemill.fold.retirement import assets_retired
from tidemill.fold.swapping import COMPENSATE, SWAP, Compensation, Swap, Why, full_in, refused_in
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.kernel.errors import DependencyUnavailableError, RetentionError
from tidemill.kernel.reports import WhyCompensated
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from tidemill.fold.bases import Ask, Base, Bases
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.meanwhile import Live
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelState

RETRY_AFTER_S = 0.1


@dataclass(slots=True)
class Refolded:
    """What a re-fold leads to.

    Attributes:
        states: By model; its controls are not those of now.
        failed: Why a model could not be folded again.
        events: Records of the asset that were applied.
        bases: The entries that models were folded from.
        idle: By model, retractions of what there is not; of those that waited.
    """

    states: dict[ModelKey, ModelState] = field(default_factory=dict)
    failed: dict[ModelKey, Why] = field(default_factory=dict)
    events: int = 0
    bases: dict[ModelKey, int] = field(default_factory=dict)
    idle: dict[ModelKey, tuple[int, ...]] = field(default_factory=dict)


class Refolding:
    """Folds models of one asset again, from their bases up to a ledger entry or the present.

    Args:
        log: The topics.
        partition: The partition number.
        asks: The models, all of one asset.
        bases: Chooses from where.
        terms: Those in force.
        live: What is applied meanwhile; the walk ends at its end.
        most: Records of the asset to apply, at most.

    Attributes:
        result: What it has led to.
        laps: How often it set out to read up to the present: more than a few if it falls behind.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        asks: Sequence[Ask],
        *,
        bases: Bases,
        terms: Terms,
        live: Live,
        most: int,
    ) -> None:
        self.result = Refolded()
        self.laps = 0
        self._log = log
        self._partition = partition
        self._asks = {ask.key: ask for ask in asks}
        self._name = (asks[0].key.stream, asks[0].key.asset)
        self._bases = bases
        self._terms = terms
        self._known = {terms.digest: terms}
        self._live = live
        self._most = most
        needle = self._name[1].encode()
        self._inputs = {topic: Extract(log, topic, partition, needle) for topic in INPUTS}
        self._editings = {ask.key: Editing(ask.asked) for ask in asks}
        self._folds: dict[ModelKey, ModelFold] = {}

    def run(self) -> Generator[None, None, Refolded]:
        """Fold, with a breath now and then; return what it leads to at the end of all there is.

        Raises:
            InvariantError: What must be read was altered.
        """
        try:
            yield from self._run()
        finally:
            for each in self._inputs.values():
                each.close()
        return self.result

    def _run(self) -> Generator[None, None, None]:
        chosen: dict[ModelKey, Base] = {}
        for key, ask in self._asks.items():
            try:
                base = yield from self._bases.choose(ask, self._editings[key], self._live.start)
            except NoBaseError as error:
                self._fail(key, error.why)
                continue
            except RetentionError as error:
                self._fail(key, _not_retained(error))
                continue
            chosen[key] = base
            self.result.bases[key] = base.sequence
        if not chosen:
            return
        try:
            yield from self._walk(chosen)
        except RetentionError as error:
            for key in self._left:
                self._fail(key, _not_retained(error))
        for key in self._left:
            self.result.states[key] = self._folds[key].state
            self.result.idle[key] = self._editings[key].idle

    @property
    def _left(self) -> list[ModelKey]:
        return [key for key in self._asks if key not in self.result.failed]

    def _fail(self, key: ModelKey, why: Why) -> None:
        self.result.failed[key] = why

    def _walk(self, chosen: Mapping[ModelKey, Base]) -> Generator[None, None, None]:
        """Follow the ledger to its end, then what was applied meanwhile, until nothing is left."""
        at = min(base.sequence for base in chosen.values())
        while self._left:
            if at < self._live.start:
                self.laps += 1
                at = yield from self._follow(at, chosen)
                continue
            found = self._live.next()
            if found is None:
                break
            entry, runs = found
            self._begin(self._terms, chosen)
            yield from self._apply(entry, runs)
            at = entry.sequence
        self._begin(self._terms, chosen)

    def _follow(self, at: int, chosen: Mapping[ModelKey, Base]) -> Generator[None, None, int]:
        """Fold what the ledger has after an entry; return the last entry folded."""
        tail = yield from self._tail(self._live.start)
        for placed in entries_after(self._log, self._partition, at, tail):
            yield
            if placed is None:
                continue
            if not self._folds:
                terms = yield from self._terms_before(placed)
                self._begin(terms, chosen)
            yield from self._step(placed.entry)
            at = placed.entry.sequence
            if not self._left:
                break
        return at

    def _tail(self, sequence: int) -> Generator[None, None, Placed]:
        """Return an entry of the ledger that must be there."""
        tail = yield from last_entry(self._log, self._partition)
        if tail is not None and tail.entry.sequence > sequence:
            near = OFFSETS_PER_ENTRY * (tail.entry.sequence - sequence) + 8
            tail = yield from last_entry_where(
                self._log,
                self._partition,
                lambda entry: entry.sequence <= sequence,
                tail.offset,
                near=near,
            )
        if tail is None or tail.entry.sequence < sequence:
            msg = f"ledger entry {sequence} of partition {self._partition}"
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)
        return tail

    def _terms_before(self, placed: Placed) -> Generator[None, None, Terms]:
        """Return the terms that an entry finds in force, or puts in force at genesis."""
        defining = [action for action in placed.entry.actions if action.kind == TERMS]
        digest = placed.entry.definition
        if defining:
            before = yield from entry_before(self._log, self._partition, placed.offset)
            if before is None:
                return Terms.of(defining[0])
            digest = before.entry.definition
        if digest not in self._known:
            where = (self._log, self._partition, digest, placed.offset)
            self._known[digest] = yield from find_terms(*where)
        return self._known[digest]

    def _begin(self, terms: Terms, chosen: Mapping[ModelKey, Base]) -> None:
        """Set up the models, unless they are."""
        if self._folds:
            return
        self._check_terms(terms, self.result.bases)
        for key in self._left:
            fold = ModelFold(terms, self._partition, key, self._editings[key])
            fold.begin(chosen[key])
            self._folds[key] = fold

    def _check_terms(self, terms: Terms, since: Mapping[ModelKey, int]) -> None:
        """Give up the models that these terms do not have as they are now."""
        plans = plans_of(terms)
        for key in self._left:
            plan = plans.get(key.stream)
            digests = {each.name: each.digest for each in plan.blueprints} if plan else {}
            if digests.get(key.model) != self._asks[key].blueprint.digest:
                after = f"after ledger entry {since[key]}"
                words = f"{after} it began anew with another definition"
                self._fail(key, Why(WhyCompensated.CHANGED, words))

    def _step(self, entry: Entry) -> Generator[None, None, None]:
        """Fold one entry of the ledger; one that does not name the asset is not read."""
        runs: list[list[Message]] = []
        if any((model.stream, model.asset) == self._name for model in entry.models):
            for run in entry.runs:
                found = yield from self._inputs[run.topic].take(run.first, run.last)
                runs.append(found)
        yield from self._apply(entry, runs)

    def _apply(self, entry: Entry, runs: Iterable[list[Message]]) -> Generator[None, None, None]:
        """Apply the asset's records of an entry, and what was decided with it."""
        defining = [action for action in entry.actions if action.kind == TERMS]
        if defining and not entry.runs:
            self._adopt(Terms.of(defining[0]), entry.sequence)
        folds = [self._folds[key] for key in self._left if self._folds[key].since < entry.sequence]
        full = {key: full_in(entry, key) for key in self._left}
        passed_over = refused_in(entry)
        for message in (message for run in runs for message in run):
            if message.topic == UPDATES and message.offset in passed_over:
                continue
            own = [fold.take(message, entry.sequence, full[fold.key]) for fold in folds]
            self.result.events += any(own)
            yield
        if self.result.events > self._most:
            words = f"more than {self._most:,} events would have to be folded again"
            for key in self._left:
                self._fail(key, Why(WhyCompensated.ALLOWANCE, words))
        self._act(entry)

    def _adopt(self, terms: Terms, sequence: int) -> None:
        self._known[terms.digest] = self._terms = terms
        self._check_terms(terms, dict.fromkeys(self._asks, sequence))
        for key in self._left:
            self._folds[key].adopt(terms, sequence)

    def _act(self, entry: Entry) -> None:
        where = f"ledger entry {entry.sequence}"
        if self._name in assets_retired(entry):
            for key in self._left:
                self._fail(key, Why(WhyCompensated.CHANGED, f"it began anew after {where}"))
        for action in entry.actions:
            if action.kind not in {BUDGET, ROLLBACK, COMPENSATE, SWAP}:
                continue
            key = ModelKey.decode(action.detail["model"].encode())
            if key not in self._left or self._folds[key].since >= entry.sequence:
                continue
            if action.kind == ROLLBACK:
                words = f"it fell back to an older state with {where}"
                self._fail(key, Why(WhyCompensated.CHANGED, words))
            elif action.kind == BUDGET:
                self._folds[key].state.stop_growing()
            elif action.kind == SWAP:
                self._folds[key].drop(Swap.of(action).idle)
            else:
                self._folds[key].compensate(Compensation.of(action), entry.sequence)


def _not_retained(error: RetentionError) -> Why:
    return Why(WhyCompensated.NO_BASE, f"it cannot be folded again: {error}")

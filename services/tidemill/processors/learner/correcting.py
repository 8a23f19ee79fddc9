"""Corrections put in force: models with any are folded again beside the data, then swapped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.fold.anchors import Anchors
from tidemill.fold.bases import Ask, Bases
from tidemill.fold.meanwhile import Live
from tidemill.fold.refolding import Refolding
from tidemill.fold.swapping import COMPENSATE, Compensation, Swap, Why
from tidemill.kernel.reports import Corrections, WhyCompensated
from tidemill.models.controls import REACH, Pending
from tidemill.models.state import ModelKey
from tidemill.processors.learner.job import Job
from tidemill.processors.learner.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.books import Books
    from tidemill.fold.ledger import Action, Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message
    from tidemill.models.controls import Edit

# After so many laps a re-fold works longer at a time, eight slices at most.
LAPS = 2
MOST_DOUBLED = 3


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much one correction may cost; beyond it, it is compensated.

    Attributes:
        events: Records of the asset that are folded again.
        seconds: Of work.
    """

    events: int = REACH
    seconds: float = 60.0


class Correcting:
    """Puts the corrections of one partition in force.

    Args:
        fold: The models.
        books: Its ledger.
        log: The topics.
        signing: Verifies anchors.
        clock: Monotonic seconds.
        allowance: What one re-fold may cost.

    Attributes:
        done: Corrections put in force since the task was opened, once per model.
        compensated: Those that were compensated, by why.
        seconds: Of work.
    """

    def __init__(
        self,
        fold: Fold,
        books: Books,
        *,
        log: Log,
        signing: SigningKey,
        clock: Callable[[], float],
        allowance: Allowance,
    ) -> None:
        self._fold = fold
        self._books = books
        self._log = log
        self._clock = clock
        self._allowance = allowance
        plant = fold.terms.definition.plant
        anchors = Anchors(log, fold.partition, signing, plant=plant)
        self._bases = Bases(log, fold.partition, anchors, allowance.events)
        self._waiting: dict[tuple[str, str], None] = {}
        self.find()
        self._job: Job | None = None
        self.done = 0
        self.compensated: Counter[str] = Counter()
        self.seconds = 0.0
        self._last_compensated = ""
        self._room = Room()

    @property
    def is_busy(self) -> bool:
        """Whether corrections wait."""
        return bool(self._waiting)

    @property
    def counts(self) -> Corrections:
        """What became of corrections since the task was opened."""
        return Corrections(
            self.done,
            dict(self.compensated),
            self.seconds,
            len(self._waiting),
            self._last_compensated,
            self._room.held,
            self._room.crowded,
        )

    def find(self) -> None:
        """Find all corrections that wait; looks at every model."""
        keys = self._fold.fleet.waiting()
        self._waiting = dict.fromkeys((key.stream, key.asset) for key in keys)

    def note(self, messages: Sequence[Message]) -> None:
        """Take a run that is being applied."""
        if self._job is not None:
            self._job.live.note(messages)

    def look(self, changed: Mapping[ModelKey, Tracked]) -> None:
        """Find corrections among the models that a transaction changed."""
        for key, tracked in changed.items():
            controls = tracked.state.controls
            self._room.note(key, controls)
            if controls is not None and controls.pending:
                self._waiting[key.stream, key.asset] = None

    def close(self, entry: Entry) -> None:
        """Take the entry of the runs noted."""
        for done in (Compensation.of(a) for a in entry.actions if a.kind == COMPENSATE):
            self._count(done)
        if self._job is not None:
            self._job.live.close(entry)

    def work(self, budget_s: float) -> bool:
        """Work on for a while; return whether a re-fold has come to an end: it is to be taken now.

        A re-fold that fell behind what is applied meanwhile works longer, until it catches up.
        """
        job = self._job or self._begin()
        if job is None:
            return False
        started = now = self._clock()
        until = started + budget_s * (1 << min(max(0, job.laps - LAPS), MOST_DOUBLED))
        is_done = False
        while not is_done:
            is_done = job.step()
            now = self._clock()
            if now >= until:
                break
        job.spent_s += now - started
        self.seconds += now - started
        if not is_done and job.spent_s > self._allowance.seconds:
            words = f"it would take more than {self._allowance.seconds:g} s of work"
            job.give_up(Why(WhyCompensated.ALLOWANCE, words))
            return True
        return is_done

    def _begin(self) -> Job | None:
        """Start the next re-fold, if one is due."""
        while self._waiting:
            name = next(iter(self._waiting))
            asks = self._asks(name)
            if asks:
                return self._start(name, asks)
            del self._waiting[name]
        return None

    def _asks(self, name: tuple[str, str]) -> list[Ask]:
        """Return the models of an asset whose corrections wait."""
        plan = self._fold.plans.get(name[0])
        keys = [ModelKey(*name, each.name) for each in plan.blueprints] if plan else []
        found = [self._fold.fleet.get(key) for key in keys]
        is_heir = plan is not None and plan.starts_from_type
        return [
            Ask.of(tracked, tracked.state.decided.pending, is_heir=is_heir)
            for tracked in found
            if tracked is not None and tracked.state.has_pending
        ]

    def _start(self, name: tuple[str, str], asks: Sequence[Ask]) -> Job:
        fold, tail = self._fold, self._books.tail
        assert tail is not None
        live = Live(name[1].encode(), tail.sequence)
        offsets = {ask.key: tuple(e.offset for e in ask.asked if is_waiting(e)) for ask in asks}
        self._job = Job(name, offsets, live)
        refolding = Refolding(
            self._log,
            fold.partition,
            asks,
            bases=self._bases,
            terms=fold.terms,
            live=live,
            most=self._allowance.events,
        )
        self._job.start(refolding)
        return self._job

    def take_over(self, positions: Mapping[str, int]) -> list[Emit]:
        """Swap the models of a re-fold that has come to an end; return what is to be committed."""
        job, fold, books = self._job, self._fold, self._books
        assert job is not None
        self.let_go()
        found = job.found
        emits: list[Emit] = []
        actions: list[Action] = []
        swapped: list[Tracked] = []
        for key, offsets in job.offsets.items():
            tracked = fold.fleet.get(key)
            assert tracked is not None
            if key in found.failed:
                done = Compensation(key, offsets, found.failed[key])
                emits += fold.compensate(key, offsets, done.why.words, books.sequence)
                actions.append(done.action())
                self._count(done)
                continue
            idle = tuple(each for each in offsets if each in found.idle[key])
            emits += fold.swap(key, found.states[key], offsets, books.sequence, idle=idle)
            lineage = tracked.state.lineage
            swap = Swap(key, offsets, lineage, found.bases[key], found.events, idle)
            actions.append(swap.action())
            swapped.append(tracked)
            self.done += len(offsets)
        books.note_caused(emits)
        self._waiting.pop(job.name, None)
        self.look(fold.fleet.changed)
        return [*emits, *books.seal(positions, kind="ACTION", actions=actions, swapped=swapped)]

    def _count(self, done: Compensation) -> None:
        kind, words = done.why
        self.compensated[kind.value] += len(done.offsets)
        self._last_compensated = f"{done.key.encode().decode()}: {kind.value}: {words}"

    def give_up(self, why: str) -> None:
        """Compensate what is being folded again: that raised what no re-fold may raise."""
        if self._job is not None:
            self._job.give_up(Why(WhyCompensated.ERROR, why))

    def let_go(self) -> None:
        """Let go of a re-fold under way, and of its readers."""
        if self._job is not None:
            self._job.close()
            self._job = None


def is_waiting(asked: Pending | Edit) -> bool:
    """Return whether a correction is not in force yet."""
    return isinstance(asked, Pending)

"""One asset of one stream, watched: what is known of its signals, its episodes, its question."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from tidemill.contracts.topics import EVENTS, EXPLANATIONS, OUTCOMES, PREDICTIONS, UPDATES
from tidemill.detection.asset import AssetCheck
from tidemill.detection.signals import Signals
from tidemill.processors.drift.answering import answered
from tidemill.processors.drift.episodes import Episodes, Place, Said
from tidemill.processors.drift.holding import Allowance, Clock, first_due
from tidemill.processors.drift.marks import Mark, Marks
from tidemill.processors.drift.plans import OF_MODELS, Kind
from tidemill.processors.drift.question import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.detection.asset_changes import Change as AssetChange
    from tidemill.processors.drift.episodes import Record
    from tidemill.processors.drift.plans import Plan
    from tidemill.processors.drift.reading import Reading

# References that pass before sensors are looked at afresh that none held for.
PATIENCE = 4
NONE: frozenset[int] = frozenset()
KINDS = {PREDICTIONS: Kind.PREDICTION, OUTCOMES: Kind.ERROR, EXPLANATIONS: Kind.EXPLANATION}


@dataclass(slots=True)
class Watched:
    """What is watched of one asset.

    Attributes:
        version: Records taken in; `lineage` is the chain digest of their values.
        ids: Of the last events, oldest first: one that comes again says nothing new.
        structure: That of the model whose predictions came last; None before.
        unknown: Answers to what nobody asked, or is over.
        afresh: Number of the event from which on sensors together that no reference held for learn
            another one; 0 where one holds.
    """

    plan: Plan
    asset: str
    partition: int
    version: int = 0
    lineage: bytes = b""
    clock: Clock = field(default_factory=Clock)
    allowance: Allowance = field(default_factory=Allowance)
    ids: dict[str, None] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    structure: int | None = None
    question: Question | None = None
    unknown: int = 0
    afresh: int = 0
    signals: dict[Kind, Signals] = field(init=False)
    check: AssetCheck | None = field(init=False)
    episodes: Episodes = field(init=False)

    def __post_init__(self) -> None:
        watches = self.plan.watches.items()
        self.signals = {kind: Signals(each) for kind, each in watches if each}
        self.check = None if self.plan.asset is None else AssetCheck(self.plan.asset)
        self.episodes = Episodes(self.plan, self.asset)

    def take(self, topic: str, readings: Sequence[Reading]) -> list[Said]:
        """Take what records of one topic say, in order; return what they led to."""
        if topic == UPDATES:
            return [said for reading in readings for said in answered(self, reading)]
        if topic == EVENTS:
            return self._events(readings)
        kind = KINDS[topic]
        if kind is not Kind.PREDICTION:
            return self._signals(kind, topic, readings)
        found: list[Said] = []
        for structure, alike in groupby(readings, key=lambda reading: reading.structure):
            part = list(alike)
            if self.structure is not None and structure != self.structure:
                found += self.renew(OF_MODELS, part[0].index, part[0].time_us)
            self.structure = structure
            found += self._signals(kind, topic, part)
        return found

    def _signals(self, kind: Kind, topic: str, readings: Sequence[Reading]) -> list[Said]:
        if kind not in self.signals or not readings:
            return []
        values = np.array([reading.values for reading in readings], dtype=np.float64).T
        stamps = np.array([float(reading.time_us) for reading in readings])
        found = []
        for change in self.signals[kind].update(values, stamps):
            reading = readings[change.event]
            record = self.episodes.turned(kind, change, self._place(topic, reading))
            if record is not None:
                found.append(Said(reading.index, record))
        return found

    def _place(self, topic: str, reading: Reading) -> Place:
        return Place(topic, self.partition, reading.offset, reading.time_us)

    def _counting(self, given: Sequence[Reading]) -> tuple[list[Reading], list[tuple[int, int]]]:
        """Return the events that say something new, and the event time reached after each.

        Those that came before, and those that are later than the stream allows, are at fault.
        """
        stream, clock = self.plan.stream, self.clock
        late_us = None if stream.lateness_s is None else int(stream.lateness_s * 1e6)
        readings, reached = [], []
        for reading in given:
            is_late = late_us is not None and reading.time_us < clock.reached_us - late_us
            if reading.event_id in self.ids or is_late:
                continue
            if reading.event_id is not None and stream.duplicates_within:
                self.ids[reading.event_id] = None
                if len(self.ids) > stream.duplicates_within:
                    del self.ids[next(iter(self.ids))]
            reached += clock.after([reading.time_us])
            clock = Clock(*reached[-1])
            readings.append(reading)
        return readings, reached

    def _events(self, given: Sequence[Reading]) -> list[Said]:
        """Take events; the sensors together first, as they decide how long references last."""
        readings, reached = self._counting(given)
        found: list[Said] = []
        at = 0
        while at < len(readings):
            found += self._expired(readings[at], reached[at])
            stop = len(readings)
            if self.afresh:
                found += self._afresh(readings[at])
                stop = min(stop, at + self.afresh - self.allowance.events) if self.afresh else stop
            if self.question is not None:
                ahead = reached[at:stop]
                stop = at + first_due(self.question, ahead, self.allowance, self.plan)
            at = self._stretch(readings, reached, (at, stop), found)
        return found

    def _expired(self, reading: Reading, reached: tuple[int, int]) -> list[Said]:
        """Settle a question that is due before an event, which then belongs to what follows."""
        question = self.question
        if question is None or first_due(question, [reached], self.allowance, self.plan):
            return []
        found, place = [], self._place(EVENTS, reading)
        if not question.verdict and reached[0] < question.until_us:
            # The share is used up: models go on, and it can still be answered.
            update = question.free(place, reached[0])
            return [Said(reading.index, update, is_update=True)]
        if not question.verdict:
            record = self.settled(question, "TIMED_OUT", reading.time_us)
            found.append(Said(reading.index, record))
        found += self.release(question, place, reading.index, reached[0])
        if not question.verdict and self.is_out():
            kept = self._unmoved()
            found += self.renew(tuple(Kind), reading.index, reading.time_us, kept=kept)
        return found

    def _unmoved(self) -> frozenset[int]:
        """Return the sensors that stand within references of their own.

        Nobody's word says that these changed: they stay watched.
        """
        alone = self.signals.get(Kind.FEATURE)
        if alone is None:
            return NONE
        every = enumerate(map(alone.standing, range(len(alone.rows))))
        return frozenset(n for n, each in every if each.is_watched and not each.out)

    def _afresh(self, reading: Reading) -> list[Said]:
        """Let the sensors together learn another reference, where they waited long enough."""
        if self.allowance.events < self.afresh:
            return []
        return self.renew((Kind.MULTIVARIATE,), reading.index, reading.time_us)

    def is_out(self) -> bool:
        """Return whether the sensors together have left their reference."""
        return self.check is not None and self.check.status == "OPEN"

    def _stretch(
        self,
        readings: Sequence[Reading],
        reached: Sequence[tuple[int, int]],
        span: tuple[int, int],
        found: list[Said],
    ) -> int:
        """Take events up to where the sensors together change; return the number of the next."""
        at, stop = span
        changes: list[AssetChange] = []
        if self.check is not None:
            rows = np.array([reading.values for reading in readings[at:stop]], dtype=np.float64)
            count, changes = self.check.advance(rows)
            stop = at + count
        for n in range(at, stop):
            # A clock that was set back is no reason to ask of all that was before.
            time_us = max(readings[n].time_us, reached[n][0])
            self.marks.note(Mark(self.allowance.events, readings[n].offset, time_us))
            self.allowance.events += 1
        if self.question is not None and self.question.is_held:
            self.allowance.held += stop - at
        self.clock = Clock(*reached[stop - 1])
        found += self._signals(Kind.FEATURE, EVENTS, readings[at:stop])
        for change in changes:
            found += self._together(change, readings[stop - 1])
        return stop

    def _together(self, change: AssetChange, reading: Reading) -> list[Said]:
        """Tell what the sensors together have come to; an open episode asks."""
        assert self.check is not None
        place = self._place(EVENTS, reading)
        if change.status == "CALM":
            record = self.episodes.end(Kind.MULTIVARIATE.value, reading.time_us)
            found = [] if record is None else [Said(reading.index, record)]
            if self.question is not None:
                self.question.over_us = self.clock.reached_us
                if self.question.verdict:
                    found += self.release(
                        self.question, place, reading.index, self.clock.reached_us
                    )
            return found
        begin = None if change.started is None else self.marks.find(change.started)
        now_us = max(reading.time_us, self.clock.reached_us)
        started = now_us if begin is None else min(begin.time_us, now_us)
        record = self.episodes.opened(change, self.check, place, started=started)
        if change.status == "NOT_STATIONARY":
            self.afresh = self.allowance.events + PATIENCE * self.check.settings.reference
        if change.status != "OPEN":
            return [Said(reading.index, record)]
        if self.question is not None:
            # It is not over after all: one answer is for both.
            self.question.came_back(record["drift_id"])
            return [Said(reading.index, record)]
        since = 1 if change.started is None else change.event - change.started + 1
        record["held"] = is_held = self.allowance.has_room(self.plan, since)
        until_us = self.clock.reached_us + self.plan.timeout_us
        self.question = Question(record, started, max(until_us, started), is_held)
        found = [Said(reading.index, record)]
        if is_held:
            self.allowance.held += since
            found.append(Said(reading.index, self.question.hold(place), is_update=True))
        return found

    def settled(self, question: Question, status: str, time_us: int) -> Record:
        """Return the record of how a question was settled; a fault lasts until it is over."""
        key = self.episodes.find(question.drift_id)
        if key is not None:
            return self.episodes.answer(key, status, time_us)
        return {**question.record, "status": status, "changed": time_us}

    def release(self, question: Question, place: Place, index: int, reached_us: int) -> list[Said]:
        """Let go of a question, and of what was held for it."""
        self.question = None
        update = question.ended(place, reached_us)
        return [] if update is None else [Said(index, update, is_update=True)]

    def renew(
        self, kinds: tuple[Kind, ...], index: int, time_us: int, *, kept: frozenset[int] = NONE
    ) -> list[Said]:
        """Begin references anew, but those of some sensors; what was held against them is over."""
        for kind in kinds:
            if kind in self.signals:
                numbers = range(len(self.plan.names[kind]))
                stay = kept if kind is Kind.FEATURE else NONE
                self.signals[kind].renew(n for n in numbers if n not in stay)
        if Kind.MULTIVARIATE in kinds and self.check is not None:
            self.check.renew()
            self.afresh = 0
        return [Said(index, record) for record in self.episodes.end_all(kinds, time_us, kept)]

    def begin_models_anew(self) -> list[Said]:
        """Begin the references of what models say anew: they are others from now on."""
        self.structure = None
        return self.renew(OF_MODELS, 0, max(self.clock.reached_us, 0))

    def close(self) -> list[Said]:
        """Return what ends all that stands, where the asset is watched no more as it was.

        What was held is learned, unless it was a fault.
        """
        now_us, question = max(self.clock.reached_us, 0), self.question
        found = self.renew(tuple(Kind), 0, now_us)
        newest = self.marks.find(self.allowance.events - 1)
        if question is not None and newest is not None:
            place = Place(EVENTS, self.partition, newest.offset, now_us)
            # Behind all that the same event led to.
            update = question.ended(place, now_us, index=2)
            if update is not None:
                found.append(Said(0, update, is_update=True))
        self.question = None
        return found

"""A scenario through the processors in memory: the demo's own pieces without a broker."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from labeller.no_ends import NoEnds
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    EVENTS,
    FEEDBACK,
    LABELS,
    PREDICTIONS,
    UPDATES,
)
from tidemill.demo.feeding import Feed
from tidemill.demo.happenings import Reading, Timeline
from tidemill.demo.operators import Operators
from tidemill.demo.reasons import ExplanationTally
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import SCORES
from tidemill.demo.shortcut import FeedbackTally
from tidemill.demo.tally import Tally
from tidemill.demo.truths import truths_of
from tidemill.demo.watching import takes_of
from tidemill.fold.applying import Fold
from tidemill.fold.explaining import Explaining
from tidemill.fold.terms import Terms
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.records import Message
from tidemill.processors.feedback.cases import Case
from tidemill.processors.feedback.processor import Feedback
from tidemill.processors.feedback.trust import Limits
from tidemill.processors.labeller.streams import label_streams
from tidemill.processors.labeller.task import Labeller
from tidemill.processors.labeller.trail import Starts, Trail
from tidemill.testing.memory_pending import MemoryPending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.demo.happenings import Happening
    from tidemill.demo.scenario import Scenario
    from tidemill.kernel.records import Emit
    from tidemill.processors.feedback.saying import Said

READINGS = 6_000
SEED = 7
MINUTE_MS = 60_000
REST_EVERY = 50


def timeline(scenario: Scenario, readings: int = READINGS) -> Timeline:
    """Return when what is planted comes in a run of so many readings."""
    return Timeline(
        drift_at=6 * readings // 10,
        fault_from=2 * readings // 10,
        fault_to=3 * readings // 10,
        step_us=scenario.step_us(300.0),
    )


def happenings(name: str, count: int = READINGS, *, seed: int = SEED) -> Iterator[Happening]:
    """Yield the first of what happens in a scenario."""
    scenario = SCENARIOS[name]
    return islice(scenario.simulate(seed, timeline(scenario, count)), count)


def readings(name: str, count: int = READINGS) -> list[Reading]:
    """Return the readings among the first of what happens."""
    return [each for each in happenings(name, count) if isinstance(each, Reading)]


class Play:
    """Plays a scenario on one partition; `tally` and `set_aside` say what came of it."""

    def __init__(self, name: str, *, explains: bool = False, count: int = READINGS) -> None:
        scenario = SCENARIOS[name]
        plant = scenario.read()
        (self.stream,) = plant.definition.streams
        times = timeline(scenario, count)
        feedback = None
        if scenario.shortcut is not None:
            breaks_us = times.time_us(times.drift_at)
            feedback = FeedbackTally(scenario.shortcut, breaks_us=breaks_us, apart=scenario.apart)
        self._explaining = Explaining() if explains else None
        self.tally = Tally(
            SCORES[self.stream.kind],
            truths_of(self.stream),
            ExplanationTally() if explains else None,
            feedback,
        )
        self.set_aside: list[str] = []
        self.predictions: list[dict[str, Any]] = []
        self.explanations: list[dict[str, Any]] = []
        self.feed = Feed(plant, self, self.tally)  # type: ignore[arg-type]  # sends like a Sender
        self.operators = Operators(self, feedback) if feedback else None  # type: ignore[arg-type]  # as above
        terms = Terms(plant.definition, plant.writer_schemas)
        self._fold = Fold(terms, 0, witness=self._explaining)
        self._labeller = _labeller(plant.definition)
        self._feedback = Feedback(0, plant.definition, _Cases(self.predictions), Limits())
        self._takes = takes_of(self.tally, has_labels=self._labeller is not None)
        self._offsets: dict[str, int] = {}

    def run(self, happenings: Iterable[Happening]) -> None:
        """Let everything happen, each record worked off at once."""
        for number, happening in enumerate(happenings):
            self.feed.send(happening)
            if number % REST_EVERY == 0:
                self.rest()

    def rest(self) -> None:
        """Let the labeller forget what is over."""
        if self._labeller is not None:
            positions = {topic: self._offsets.get(topic, 0) for topic in (PREDICTIONS, LABELS)}
            for emit in self._labeller.rest(positions, ()):
                self._written(emit)

    def note_steps(self) -> None:
        """Note how far the champions have come, as the last predictions say."""
        for record in self.predictions:
            self.tally.labels.steps[record["asset"]] = record["version"]

    def send(self, topic: str, *, key: str, value: bytes, partition: int | None = None) -> None:
        """Have one record worked off; see `tidemill.runtime.sending.Sender`."""
        assert partition in {None, 0}
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        time_ms = len(self.predictions) * MINUTE_MS
        message = Message(topic, 0, offset, key.encode(), value, (), time_ms)
        for emit in self._worked_off(message):
            self._written(emit)

    def _worked_off(self, message: Message) -> Iterable[Emit]:
        match message.topic:
            case topic if topic in {EVENTS, UPDATES}:
                return self._fold.apply([message], message.offset)
            case topic if topic == FEEDBACK:
                return self._feedback.process_batch([message])
            case topic if self._labeller is not None and topic in {PREDICTIONS, LABELS}:
                return self._labeller.process_batch([message])
        return ()

    def _written(self, emit: Emit) -> None:
        if emit.topic.endswith(SUFFIX):
            self.set_aside.append(emit.topic)
        if emit.topic in self._takes:
            message = SimpleNamespace(value=lambda: emit.value, headers=lambda: emit.headers)
            self._takes[emit.topic](message)
        if emit.topic == PREDICTIONS:
            self.predictions.append(codec("Prediction").decode(emit.value))
            self._explain()
        assert emit.value is not None
        self.send(emit.topic, key=(emit.key or b"").decode(), value=emit.value)

    def _explain(self) -> None:
        if self._explaining is None or self.tally.explanations is None:
            return
        for emit in self._explaining.take():
            reason = codec("Explanation").decode(emit.value)
            self.explanations.append(reason)
            self.tally.explanations.note_explanation(reason)


class _Cases:
    """Finds cases among what was predicted; see `tidemill.processors.feedback.cases.Cases`."""

    def __init__(self, predictions: list[dict[str, Any]]) -> None:
        self._predictions = predictions

    def find(self, said: Said) -> Case:
        """Return the case on the event that is named."""
        assert said.event is not None
        wanted = said.event._asdict()
        (found,) = (each for each in self._predictions if each["source"] == wanted)
        return Case(found)

    def features(self, _case: Case, stream: StreamDefinition) -> dict[str, Any]:  # Any: as learned
        """Return a case in which every sensor reads the same."""
        return {feature.name: 50.0 for feature in stream.features}

    def newest_us(self, _partition: int, _asset: str, _stream: str) -> int:
        """Return when the newest event was, of whatever asset."""
        return int(self._predictions[-1]["time"])

    def drift(self, _partition: int, _asset: str, _drift_id: str) -> list[Any]:
        """Return no episode of drift: there are none in this plant."""
        return []


def _labeller(definition: PlantDefinition) -> Labeller | None:
    streams = label_streams(definition)
    if not streams:
        return None
    store = MemoryPending(1, {name: stream.ttl_us for name, stream in streams.items()})
    store.remembered = 0
    generation = store.generation()
    store.finish(generation, 0, 0, 0)
    trail = Trail([Starts(0, 0, 0, 0)])
    place = (generation, 0)
    return Labeller(store, place, streams, trail=trail, ends=NoEnds(), room=READINGS)

"""A scenario through the fold in memory: the demo's own pieces without a broker."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.targets import LabelTarget
from tidemill.contracts.topics import EVENTS, LABELS, PREDICTIONS, UPDATES
from tidemill.demo.encoding import Encoder
from tidemill.demo.happenings import Reading, Timeline
from tidemill.demo.joining import Joiner
from tidemill.demo.reasons import ExplanationTally
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import SCORES
from tidemill.demo.tally import Tally
from tidemill.demo.truths import truths_of
from tidemill.fold.applying import Fold
from tidemill.fold.explaining import Explaining
from tidemill.fold.terms import Terms
from tidemill.kernel.deadletters import REASON_HEADER
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.happenings import Happening, LabResult
    from tidemill.demo.scenario import Scenario

READINGS = 6_000
SEED = 7


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
    """Plays a scenario; `tally` and `set_aside` say what came of it."""

    def __init__(self, name: str, *, explains: bool = False) -> None:
        plant = SCENARIOS[name].read()
        (self.stream,) = plant.definition.streams
        self._explaining = Explaining() if explains else None
        self.tally = Tally(
            SCORES[self.stream.kind],
            truths_of(self.stream),
            ExplanationTally() if explains else None,
        )
        self.set_aside: list[str] = []
        self.predictions: list[dict[str, Any]] = []
        self.explanations: list[dict[str, Any]] = []
        self._encoder = Encoder(plant)
        terms = Terms(plant.definition, plant.writer_schemas)
        self._fold = Fold(terms, 0, witness=self._explaining)
        self._offsets = dict.fromkeys((EVENTS, UPDATES, LABELS), 0)
        self._decode = codec("Prediction").decode
        target = self.stream.target
        self._joiner = None
        if isinstance(target, LabelTarget):
            self._joiner = Joiner(self.stream, target.ttl_s, self.tally, self._send)

    def run(self, happenings: Iterator[Happening]) -> None:
        """Let everything happen, each record folded at once."""
        for happening in happenings:
            if isinstance(happening, Reading):
                self._read(happening)
            else:
                self._label(happening)

    def _read(self, reading: Reading) -> None:
        self.tally.note_sent(reading)
        if self._joiner is not None:
            self._joiner.note_sent(reading)
        self._send(EVENTS, key=reading.asset, value=self._encoder.encode(reading))

    def _label(self, result: LabResult) -> None:
        assert self._joiner is not None
        self.tally.labels.sent += 1
        record = {
            "event_id": result.event_id,
            "asset": result.asset,
            "value": result.value,
            "revision": 0,
            "time": result.time_us,
        }
        self._joiner.note_label(record, self._next(LABELS))

    def _next(self, topic: str) -> dict[str, object]:
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        return {"topic": topic, "partition": 0, "offset": offset}

    def _send(self, topic: str, *, key: str, value: bytes) -> None:
        offset = self._next(topic)["offset"]
        assert isinstance(offset, int)
        for emit in self._fold.apply([Message(topic, 0, offset, key.encode(), value)], offset):
            if emit.topic != PREDICTIONS:
                self.set_aside.append(emit.topic)
                self.tally.note_dead(dict(emit.headers)[REASON_HEADER].decode())
                continue
            record = self._decode(emit.value)
            self.predictions.append(record)
            self.tally.note_prediction(record)
            if self._joiner is not None:
                self._joiner.note_prediction(record)
        if self._explaining is not None and self.tally.explanations is not None:
            for emit in self._explaining.take():
                reason = codec("Explanation").decode(emit.value)
                self.explanations.append(reason)
                self.tally.explanations.note_explanation(reason)

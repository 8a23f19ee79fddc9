"""The pump in a well: its sensor is noticed at once, and what follows waits for nobody's pace."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.events import EventReader
from tidemill.contracts.topics import DRIFT, EVENTS, UPDATES
from tidemill.demo.encoding import Encoder
from tidemill.demo.happenings import EPOCH_US
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.simulators import wells
from tidemill.fold.gate import Gate
from tidemill.fold.terms import Terms
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Message
from tidemill.processors.drift.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.kernel.records import Emit

PLANT = SCENARIOS["pumps"].read()
BATCH = 500


@cache
def events() -> tuple[Message, ...]:
    """Return all events of the pump."""
    encoder = Encoder(PLANT)
    values = [encoder.encode(each) for each in wells.simulate()]
    return tuple(Message(EVENTS, 0, n, b"", value, (), 0) for n, value in enumerate(values))


def answer(episode: str) -> Message:
    """Return the instruction that an answer becomes."""
    cause = {"topic": "operator.feedback", "partition": 0, "offset": 0, "index": 0}
    update = {
        "update_id": "u",
        "cause": cause,
        "asset": wells.ASSET,
        "stream": "pump",
        "kind": "FAULT",
        "origin": "eva",
        "target_id": episode,
        "time": EPOCH_US,
    }
    return Message(UPDATES, 0, 0, b"", codec("Update").encode(update), (), 0)


class Watch:
    """The drift processor's part of the story."""

    def __init__(self) -> None:
        self._watching = Watching(Terms(PLANT.definition, PLANT.writer_schemas), 0)
        self._sequence = 0
        self.episodes: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []

    def take(self, messages: Sequence[Message]) -> None:
        """Take records in, batch by batch."""
        for start in range(0, len(messages), BATCH):
            self._sequence += 1
            for emit in self._watching.apply(messages[start : start + BATCH], self._sequence):
                self._note(emit)

    def _note(self, emit: Emit) -> None:
        if emit.topic == UPDATES:
            self.updates.append(codec("Update").decode(emit.value))
        assert emit.topic in {DRIFT, UPDATES}
        if emit.topic == DRIFT:
            record = codec("Drift").decode(emit.value)
            if record["kind"] == "MULTIVARIATE":
                self.episodes.append(record)


@pytest.mark.parametrize("answered_after", [700, 2_000, wells.PRESENT])
def test_a_loose_sensor_is_asked_about_and_released_as_a_fault_whenever_it_is_answered(
    answered_after: int,
) -> None:
    watch = Watch()
    split = wells.PAST + answered_after
    watch.take(events()[:split])
    (opened, *_) = watch.episodes
    watch.take([answer(opened["drift_id"])])
    watch.take(events()[split:])

    assert {each["drift_id"] for each in watch.episodes} == {opened["drift_id"]}
    assert {each["status"] for each in watch.episodes} == {"OPEN", "FAULT", "CLOSED"}
    assert (opened["held"], opened["ranked"][0]["signal"]) == (True, wells.SENSOR)
    hold, release = watch.updates
    assert (hold["kind"], hold["origin"]) == ("HOLD", opened["drift_id"])
    assert (release["kind"], release["target_id"]) == ("RELEASE", opened["drift_id"])
    assert release["label"] == "fault"
    began = (release["span"]["from"] - EPOCH_US) // wells.STEP_US
    ended = (release["span"]["to"] - EPOCH_US) // wells.STEP_US
    assert wells.LOOSE_FROM - 10 <= began <= wells.LOOSE_FROM
    assert wells.LOOSE_TO < ended < wells.PRESENT


def test_the_past_lies_before_the_demo_and_nothing_in_it_is_loose() -> None:
    readings = list(wells.simulate())
    gate = Gate(PLANT.definition.streams[0].sensors)
    reader = EventReader(PLANT.definition, PLANT.writer_schemas)
    loose = [n for n in range(-wells.PAST, wells.PRESENT) if wells.is_loose(n)]

    assert [each.time_us < EPOCH_US for each in readings].count(True) == wells.PAST
    assert loose == list(range(wells.LOOSE_FROM, wells.LOOSE_TO))
    assert len({each.event_id for each in readings}) == len(readings)
    sound = 0
    for message, each in zip(events(), readings, strict=True):
        if each.is_broken:
            with pytest.raises(InvalidRecordError):
                reader.read(message.value)
            continue
        event = reader.read(message.value)
        assert (event.event_id, event.asset) == (each.event_id, wells.ASSET)
        sound += gate.check(event.values).is_learnable
    assert 0.98 < sound / len(readings) < 1.0

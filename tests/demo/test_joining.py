"""The demo's labels become examples as a labeller's would: once, from what was stored."""

from __future__ import annotations

from typing import Any

import pytest

from demo.given import ASSET, prediction, reading
from demo.test_books import LATE, stream, tally
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import LABELS, UPDATES
from tidemill.demo.happenings import EPOCH_US
from tidemill.demo.joining import FLAGGED, TOO_LATE, Joiner
from tidemill.demo.scores import RegressionScore


class Desk:
    """A joiner, what it wrote, and its tally."""

    def __init__(self) -> None:
        self.tally = tally(RegressionScore, LATE)
        self.written: list[dict[str, Any]] = []
        self.joiner = Joiner(stream(LATE), LATE.ttl_s, self.tally, self._write)

    def _write(self, topic: str, *, key: str, value: bytes) -> None:
        assert (topic, key) == (UPDATES, ASSET)
        self.written.append(codec("Update").decode(value))

    def sample(self, number: int, load: float | None = 7.0) -> None:
        sampled = reading(number, is_sampled=True, load=load)
        self.tally.note_sent(sampled)
        self.joiner.note_sent(sampled)

    def predict(self, number: int, **fields: Any) -> None:
        record = prediction(number, 4.0, **fields)
        self.tally.note_prediction(record)
        self.joiner.note_prediction(record)

    def label(self, number: int, offset: int, *, after_s: float = 30.0) -> None:
        self.tally.labels.sent += 1
        time_us = EPOCH_US + round(1e6 * (number + after_s))
        record = {"event_id": f"e{number}", "asset": ASSET, "value": 6.0, "revision": 0}
        position = {"topic": LABELS, "partition": 0, "offset": offset}
        self.joiner.note_label({**record, "time": time_us}, position)


def test_an_example_holds_what_was_seen_and_said_and_the_labels_position_is_its_cause() -> None:
    desk = Desk()
    desk.sample(3)
    desk.predict(3, version=5)
    assert desk.written == []
    desk.label(3, 8)

    (example,) = desk.written
    assert example["cause"] == {"topic": LABELS, "partition": 0, "offset": 8, "index": 0}
    assert (example["kind"], example["label"], example["features"]) == (
        "EXAMPLE", 6.0, {"load": 7.0},
    )  # fmt: skip
    assert (example["stored"]["value"], example["stored"]["version"]) == (4.0, 5)
    assert example["event"] == {"topic": "sensor.events", "partition": 0, "offset": 3}
    assert example["label_time"] == example["time"] == EPOCH_US + 33_000_000


def test_a_label_before_its_prediction_waits_and_the_event_is_the_cause() -> None:
    desk = Desk()
    for number in (1, 2):
        desk.sample(number)
    desk.predict(2)
    desk.label(1, 4)
    desk.label(2, 5)
    desk.predict(1)

    causes = [(each["cause"]["topic"], each["cause"]["offset"]) for each in desk.written]
    assert causes == [(LABELS, 5), ("sensor.events", 1)]


def test_a_label_teaches_up_to_its_time_to_live_and_no_longer() -> None:
    desk = Desk()
    for number, after_s in ((1, 60.0), (2, 60.001)):
        desk.sample(number)
        desk.predict(number)
        desk.label(number, number, after_s=after_s)

    assert [each["event_id"] for each in desk.written] == ["e1"]
    assert desk.tally.labels.untaught == {TOO_LATE: 1}


@pytest.mark.parametrize(("quality", "taught"), [("MISSING", 1), ("OUT_OF_RANGE", 0), ("STUCK", 0)])
def test_a_label_of_a_flagged_event_teaches_nothing(quality: str, taught: int) -> None:
    desk = Desk()
    desk.sample(1, load=None)
    desk.predict(1, quality=[quality])
    desk.label(1, 1)

    assert len(desk.written) == taught
    assert desk.tally.labels.untaught[FLAGGED] == 1 - taught


def test_every_label_is_scored_against_the_stored_prediction_taught_or_not() -> None:
    desk = Desk()
    desk.sample(1)
    desk.predict(1)
    desk.label(1, 1, after_s=999.0)

    assert desk.tally.assets[ASSET].cells()[:2] == ("1", "2.00")


def test_labels_balance_only_when_each_example_is_learned_once_and_none_is_set_aside() -> None:
    desk = Desk()
    desk.sample(1)
    desk.predict(1)
    desk.label(1, 1)
    labels = desk.tally.labels
    assert (labels.open, labels.is_balanced, desk.tally.is_settled) == (1, False, False)
    labels.steps[ASSET] = 1
    assert (labels.open, labels.is_balanced, desk.tally.is_balanced) == (0, True, True)
    labels.steps[ASSET] = 2
    assert not desk.tally.is_balanced
    labels.steps[ASSET] = 1
    labels.set_aside = 1
    assert not desk.tally.is_balanced

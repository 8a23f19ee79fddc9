"""Predictions are looked for from the newest on, and never without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from feedback.stage import ASSET, Stage, prediction
from tidemill.contracts.topics import EVENTS
from tidemill.fold.why.many import backwards
from tidemill.processors.feedback import finding
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.testing.cluster import MemoryCluster

PIECE = 10


class CountingLog(MemoryLog):
    """Counts what is read."""

    def __init__(self, cluster: MemoryCluster) -> None:
        super().__init__(cluster)
        self.count = 0

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        for messages in super().read(topic, partition, start, stop):
            self.count += len(messages)
            yield messages


@pytest.fixture
def piecewise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the last 50 records only, ten at a time."""

    def by_pieces(log: Log, topic: str, partition: int) -> Iterator[list[Message]]:
        return backwards(log, topic, partition, PIECE)

    monkeypatch.setattr(finding, "CHUNK", PIECE)
    monkeypatch.setattr(finding, "LOOKED_AT", 5 * PIECE)
    monkeypatch.setattr(finding, "backwards", by_pieces)


def counting(stage: Stage) -> CountingLog:
    """Have a stage read by a log that counts."""
    log = stage.log = CountingLog(stage.cluster)
    stage.processor = stage.make()
    return log


@pytest.mark.usefixtures("piecewise")
def test_an_id_is_looked_for_from_the_newest_on_and_not_for_ever() -> None:
    stage = Stage()
    log = counting(stage)

    assert stage.say("near", "RIGHT", event_id="e95").statuses[-1] == "COUNTED"
    assert log.count == PIECE
    far = stage.say("far", "RIGHT", event_id="e49")
    assert log.count == 6 * PIECE
    assert "none of the last 50 on this partition has that id" in far.reason
    place = {"topic": EVENTS, "partition": 0, "offset": 49}
    assert stage.say("placed", "RIGHT", event_id="e49", event=place).statuses[-1] == "COUNTED"


@pytest.mark.usefixtures("piecewise")
def test_of_an_event_that_came_again_the_first_is_meant_where_it_is_near() -> None:
    copies = [prediction(n, event_id="twice", quality=["DUPLICATE"]) for n in range(100, 120, 5)]
    first = prediction(99, event_id="twice")
    others = [prediction(n) for n in range(120, 160)]
    near = Stage([first, *copies])
    far = Stage([first, *copies, *others, *others])

    def lesson(stage: Stage) -> int:
        (update,) = stage.say("f", "CORRECTED", value="jam", event_id="twice").updates
        return int(update["event"]["offset"])

    assert lesson(near) == 99
    assert not far.say("f", "CORRECTED", value="jam", event_id="twice").updates


def test_an_id_of_another_asset_is_not_meant() -> None:
    stage = Stage([prediction(0), prediction(1, "plant/other", event_id="e0")])

    said = stage.say("f", "CORRECTED", value="jam", event_id="e0", asset=ASSET)

    assert said.updates[0]["event"]["offset"] == 0

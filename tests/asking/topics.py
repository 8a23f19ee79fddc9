"""Topics as lists of records, and records of the sample plant to put there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STREAM = "pump"
START_US = 1_767_225_600_000_000
START_MS = START_US // 1000
LINEAGE = bytes(32)


@dataclass
class Topics:
    """A log of lists; a gap of one offset behind every third record, as control markers leave."""

    records: defaultdict[tuple[str, int], list[Message]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def put(
        self, topic: str, value: bytes, partition: int = 0, *, at_ms: int | None = None
    ) -> Message:
        """Append a record, written at a time; by default a second after the one before."""
        there = self.records[topic, partition]
        time_ms = START_MS + 1000 * len(there) if at_ms is None else at_ms
        offset = len(there) + len(there) // 3
        there.append(Message(topic, partition, offset, None, value, (), time_ms))
        return there[-1]

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        there = self.records[topic, partition]
        return (there[0].offset, there[-1].offset + 1) if there else (0, 0)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        found = [m for m in self.records[topic, partition] if start <= m.offset < stop]
        yield []
        for n in range(0, len(found), 7):
            yield found[n : n + 7]


def prediction(event_id: str, asset: str = "north/1", **fields: Any) -> dict[str, Any]:
    """Return a prediction of 1.0 on an event at sensor.events-0@0, or what `fields` say."""
    return {
        "event_id": event_id,
        "asset": asset,
        "stream": STREAM,
        "time": START_US,
        "source": {"topic": EVENTS, "partition": 0, "offset": 0},
        "model": f"{STREAM}/champion",
        "version": 7,
        "lineage": LINEAGE,
        "value": 1.0,
        **fields,
    }


def put_predictions(topics: Topics, *predictions: Mapping[str, Any], partition: int = 0) -> None:
    """Append predictions, each on the next event and a second later than the one before."""
    for said in predictions:
        n = len(topics.records[PREDICTIONS, partition])
        place = {"topic": EVENTS, "partition": partition, "offset": n}
        record = {**said, "source": place}
        if said["time"] == START_US:
            record["time"] = START_US + n * 1_000_000
        topics.put(PREDICTIONS, codec("Prediction").encode(record), partition)


def interval(low: float, high: float) -> dict[str, Any]:
    """Return an interval as predictions have it."""
    return {"low": low, "high": high, "level": 0.9, "method": "adaptive conformal", "labels": 500}

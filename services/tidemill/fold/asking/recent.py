"""The newest predictions of the plant: the cases that may be asked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.why.many import CHUNK, backwards
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

# Of all partitions together: about 100 MB.
MOST = 100_000
# Flags that stand for no fault of the event; a label to any other prediction is not learned.
_HARMLESS = frozenset({"MISSING", "FROZEN"})


class Case(NamedTuple):
    """A prediction, as far as asking needs it; `time_us` is event time, `at_ms` when written."""

    source: Position
    event_id: str
    asset: str
    stream: str
    time_us: int
    at_ms: int
    model: str
    version: int
    value: float | None
    probabilities: Mapping[str, float] | None
    outcome: object
    interval: Mapping[str, Any] | None  # Any: Avro values
    class_set: Sequence[str] | None
    quality: frozenset[str]

    @property
    def width(self) -> float | None:
        """Of the interval, in the unit of the value; None where there is none."""
        return None if self.interval is None else self.interval["high"] - self.interval["low"]

    @property
    def is_learnable(self) -> bool:
        """Whether a label to it is learned."""
        return self.quality <= _HARMLESS


@dataclass(frozen=True, slots=True)
class Last:
    """How much of the past: so many predictions, or so much event time before the newest."""

    events: int | None = None
    micros: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """The cases of a range, by partition and place.

    Attributes:
        is_cut: Whether there were more than could be held; the oldest are left out.
    """

    cases: tuple[Case, ...]
    is_cut: bool = False

    @property
    def since_ms(self) -> int:
        """When the first of them was written."""
        return min((case.at_ms for case in self.cases), default=0)


def recent_cases(log: Log, partitions: Sequence[int], last: Last, *, most: int = MOST) -> Range:
    """Return the newest predictions of all partitions.

    Args:
        most: Cases held, over all partitions.
    """
    pieces = {number: _pieces(log, number) for number in partitions}
    if last.events is not None:
        return _newest(pieces, min(last.events, most), is_cut=last.events > most)
    assert last.micros is not None
    firsts = {number: next(found, []) for number, found in pieces.items()}
    newest = max((case.time_us for cases in firsts.values() for case in cases), default=0)
    room, kept, is_cut = max(1, most // len(partitions)), [], False
    for number, found in pieces.items():
        own, is_more = _since(firsts[number], found, newest - last.micros, room)
        kept += own
        is_cut |= is_more
    return Range(tuple(kept), is_cut)


def _since(
    first: list[Case], pieces: Iterator[list[Case]], since_us: int, room: int
) -> tuple[list[Case], bool]:
    """Return a partition's cases from a time on, and whether there were more than `room`.

    Ends at the first piece that has none of them: event time may run back and forth a little.
    """
    kept: deque[Case] = deque()
    piece: list[Case] | None = first
    while piece is not None:
        found = [case for case in piece if case.time_us >= since_us]
        kept.extendleft(reversed(found))
        if len(kept) > room:
            return list(kept)[-room:], True
        if not found:
            break
        piece = next(pieces, None)
    return list(kept), False


def _newest(pieces: Mapping[int, Iterator[list[Case]]], count: int, *, is_cut: bool) -> Range:
    """Return the `count` cases written last."""
    kept: list[Case] = []
    for found in pieces.values():
        own: deque[Case] = deque()
        while len(own) < count and (piece := next(found, None)) is not None:
            own.extendleft(reversed(piece))
        kept += list(own)[-count:]
    written = sorted(kept, key=lambda case: (case.at_ms, case.source))[-count:]
    return Range(tuple(sorted(written, key=lambda case: case.source)), is_cut)


def _pieces(log: Log, partition: int) -> Iterator[list[Case]]:
    """Yield a partition's cases from the end on; no piece is empty."""
    for messages in backwards(log, PREDICTIONS, partition, CHUNK):
        cases = [case for message in messages if (case := _case(message)) is not None]
        if cases:
            yield cases


def _case(message: Message) -> Case | None:
    try:
        said = codec("Prediction").decode(message.value)
    except InvalidRecordError:
        return None
    source = said["source"]
    return Case(
        source=Position(EVENTS, source["partition"], source["offset"]),
        event_id=said["event_id"],
        asset=said["asset"],
        stream=said["stream"],
        time_us=said["time"],
        at_ms=message.timestamp_ms,
        model=said["model"],
        version=said["version"],
        value=said["value"],
        probabilities=said["probabilities"],
        outcome=said["outcome"],
        interval=said["interval"],
        class_set=said["class_set"],
        quality=frozenset(said["quality"]),
    )

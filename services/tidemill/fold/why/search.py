"""Finding the prediction on an event: by the event's id, or by where the event stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import PREFIX, codec
from tidemill.contracts.prediction import text
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.audit.bounds import first_where
from tidemill.fold.audit.outputs import dead_source, prediction_source
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidemill.contracts.answer import Record
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

_POSITION = re.compile(re.escape(EVENTS) + r"-(?P<partition>\d+)@(?P<offset>\d+)", re.ASCII)
# How an event is called where its stream names no field for the id.
_CALLED = re.compile(re.escape(EVENTS) + r"-(?P<partition>\d+)-(?P<offset>\d+)", re.ASCII)
_DUPLICATE = "DUPLICATE"


class Found(NamedTuple):
    """A prediction and its record."""

    message: Message
    prediction: Record

    @property
    def source(self) -> Position:
        """Where the event stands."""
        return Position(**self.prediction["source"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """The event asked for.

    Attributes:
        name: Its id; or its position, as `sensor.events-0@123`.
        asset: Only this asset's.
        position: Where it stands, if the name says so.
    """

    name: str
    asset: str | None = None

    @property
    def position(self) -> Position | None:
        """Where the event stands; None where only its id is known."""
        return _read_position(_POSITION, self.name)

    @property
    def likely(self) -> Position | None:
        """Where an event with such an id stands, if its stream has no ids of its own."""
        return _read_position(_CALLED, self.name)


def _read_position(form: re.Pattern[str], name: str) -> Position | None:
    found = form.fullmatch(name)
    return found and Position(EVENTS, int(found["partition"]), int(found["offset"]))


def find_predictions(
    log: Log,
    partitions: Sequence[int],
    wanted: Wanted,
    on_record: Callable[[int, int], None] | None = None,
) -> list[Found]:
    """Return the predictions on the event, in order of partition and offset.

    Predictions are passed over by their bytes; only those with the id are decoded. Of an asset
    there are some on one partition only: the others are not searched any more.

    Args:
        on_record: Told of partition and offset, now and then.
    """
    position = wanted.position or wanted.likely
    if position is not None and position.partition in partitions:
        at = _of_event(log, position)
        if at is not None and _is_wanted(at, wanted):
            return [at]
    if wanted.position is not None:
        return []
    found: list[Found] = []
    for partition in partitions:
        found += _with_id(log, partition, wanted, on_record)
        if found and wanted.asset is not None:
            break
    return found


def _is_wanted(found: Found, wanted: Wanted) -> bool:
    is_named = wanted.position is not None or found.prediction["event_id"] == wanted.name
    return is_named and wanted.asset in {None, found.prediction["asset"]}


def _of_event(log: Log, event: Position) -> Found | None:
    """Return the prediction on the event at a position."""
    message = first_answering(log, PREDICTIONS, event)
    return message and Found(message, codec("Prediction").decode(message.value))


def first_answering(log: Log, topic: str, event: Position) -> Message | None:
    """Return the record of an output topic that answers an event, if one does.

    Outputs stand in the order of their events.
    """
    source = prediction_source if topic == PREDICTIONS else explanation_source

    def reaches(message: Message) -> bool | None:
        offset = source(message)
        return None if offset is None else offset >= event.offset

    message = first_where(log, topic, event.partition, reaches)
    return message if message is not None and source(message) == event.offset else None


def explanation_source(message: Message) -> int | None:
    """Return the offset of the event that an explanation answers; None where it is none."""
    try:
        return int(codec("Explanation").decode(message.value)["source"]["offset"])
    except InvalidRecordError:
        return None


def _with_id(
    log: Log, partition: int, wanted: Wanted, on_record: Callable[[int, int], None] | None
) -> Iterator[Found]:
    needle = text(wanted.name) + (b"" if wanted.asset is None else text(wanted.asset))
    begin, end = log.span(PREDICTIONS, partition)
    for messages in log.read(PREDICTIONS, partition, begin, end):
        if on_record is not None and messages:
            on_record(partition, messages[-1].offset)
        for message in messages:
            if message.value is not None and message.value.startswith(needle, PREFIX.size):
                found = _decoded(message)
                if found is not None:
                    yield found


def _decoded(message: Message) -> Found | None:
    try:
        return Found(message, codec("Prediction").decode(message.value))
    except InvalidRecordError:
        return None


def originals(found: Sequence[Found]) -> list[Found]:
    """Return the predictions that are not on an event that came again."""
    first = [each for each in found if _DUPLICATE not in each.prediction["quality"]]
    return first or list(found[:1])


def why_unknown(log: Log, partitions: Sequence[int], wanted: Wanted) -> str:
    """Return why there is no prediction on an event, as far as the topics say."""
    for partition in partitions:
        letter = _dead(log, partition, wanted)
        if letter is not None:
            return f"it was set aside: {letter.position}; `tidemill dlq list` says why"
    position = wanted.position
    if position is not None:
        return why_not_at(log, position)
    gone = [n for n in partitions if log.span(PREDICTIONS, n)[0] > 0]
    if gone:
        numbers = ", ".join(map(str, gone))
        return f"older predictions are no longer retained (partition {numbers})"
    return "it was never sent, or the learner has not come to it yet"


def why_not_at(log: Log, event: Position) -> str:
    """Return why there is no prediction on the event at a position, and no dead letter of it."""
    begin, end = log.span(EVENTS, event.partition)
    if event.offset >= end:
        return f"{EVENTS}-{event.partition} ends before offset {end}"
    if event.offset < begin:
        return f"{EVENTS}-{event.partition} is retained from offset {begin} on only"
    later = first_where(log, PREDICTIONS, event.partition, lambda m: _is_later(m, event.offset))
    if later is None:
        return "the learner has not come to it yet"
    if log.span(PREDICTIONS, event.partition)[0] > 0:
        return "its prediction is no longer retained"
    return "no event stands there, but a marker of a transaction or an aborted record"


def _is_later(message: Message, offset: int) -> bool | None:
    source = prediction_source(message)
    return None if source is None else source > offset


def _dead(log: Log, partition: int, wanted: Wanted) -> Message | None:
    """Return the dead letter that holds the event."""
    position = wanted.position
    if position is not None and position.partition != partition:
        return None
    name = text(wanted.name)
    begin, end = log.span(EVENTS + SUFFIX, partition)
    for messages in log.read(EVENTS + SUFFIX, partition, begin, end):
        for message in messages:
            if position is None:
                is_it = message.value is not None and name in message.value
            else:
                is_it = dead_source(message) == position.offset
            if is_it:
                return message
    return None

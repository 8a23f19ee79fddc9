"""The label of one event: in an instruction, in the event itself, or in a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.answer import Outcome
from tidemill.contracts.codec import codec
from tidemill.contracts.events import EventReader
from tidemill.contracts.hot import varint
from tidemill.contracts.prediction import text
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Position
from tidemill.models.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.contracts.answer import Record
    from tidemill.contracts.events import Event
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.terms import Terms
    from tidemill.fold.why.search import Found
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.models.outputs import Label

EXAMPLE = "EXAMPLE"
# Flags that stand for no fault of the event.
_HARMLESS = frozenset({"MISSING", "FROZEN"})


class Labels:
    """Looks up labels of one stream's events on one partition.

    Args:
        terms: In force when the event was applied.
    """

    def __init__(self, log: Log, partition: int, terms: Terms, plan: StreamPlan) -> None:
        self._log = log
        self._partition = partition
        self._plan = plan
        self._reader = EventReader(terms.definition, terms.schemas)

    def event(self, position: Position) -> Event | None:
        """Return the event at a position; None where it is gone or cannot be read."""
        begin, _ = self._log.span(EVENTS, self._partition)
        if position.offset < begin:
            return None
        for message in self._messages(EVENTS, position.offset, position.offset + 1):
            return self._read(message)
        return None

    def label(self, found: Found, event: Event | None) -> Outcome | None:
        """Return what came of an event, as far as it is known: instructions overrule."""
        example = self._example(found)
        if example is not None:
            return example
        if event is None or self._plan.label_field is None:
            return None
        if self._plan.senses.looks_ahead:
            return self._later(found, event)
        key = self._key_of(event.values.get(self._plan.label_field))
        return None if key is None else Outcome(key, found.source)

    def _key_of(self, raw: object) -> float | str | None:
        """Return a label as predictions name it; None where there is none."""
        if raw is None:
            return None
        task = self._plan.task
        try:
            label = task.read_label(raw)
        except InvalidRecordError:
            return None
        return None if label is None else task.key(label)

    def _example(self, found: Found) -> Outcome | None:
        """Return the label of the newest revision that an instruction carries."""
        prediction, source = found.prediction, found.source
        named = text(prediction["event_id"])
        placed = text(EVENTS) + varint(source.partition) + varint(source.offset)
        newest: Outcome | None = None
        begin, end = self._log.span(UPDATES, self._partition)
        for message in self._messages(UPDATES, begin, end):
            value = message.value or b""
            if named not in value and placed not in value:
                continue
            update = _update(message)
            if update is None or not _is_about(update, prediction, source):
                continue
            key = self._key_of(update["label"])
            if key is not None and (newest is None or update["revision"] >= newest.revision):
                newest = Outcome(key, message.position, update["revision"])
        return newest

    def _later(self, found: Found, event: Event) -> Outcome | None:
        """Return the reading that a prediction looked ahead to, as the fold takes it."""
        first = found.prediction
        if not (_is_unflagged(first) and self._lesson(event)[0]):
            return None
        senses, recent = self._plan.senses, Recent()
        senses.remember(recent, {}, first["time"], None)
        senses.wait(recent, {}, first["time"], None)
        for prediction, message in self._followers(found):
            later = self._read(message)
            is_learnable, y = (False, None) if later is None else self._lesson(later)
            if not is_learnable:
                continue
            ripe = senses.ripe(recent, prediction["time"], y)
            if ripe:
                return Outcome(self._plan.task.key(ripe[0].y), message.position)
            if not recent.waiting:
                return None
            senses.remember(recent, {}, prediction["time"], None)
        return None

    def _lesson(self, event: Event) -> tuple[bool, Label | None]:
        """Return whether an event can be learned from, and the label in it."""
        try:
            checked, y = self._plan.read(event.values)
        except InvalidRecordError:
            return False, None
        return checked.is_learnable, y

    def _followers(self, found: Found) -> Iterator[tuple[Record, Message]]:
        """Yield the later predictions of the asset without a fault, and their events."""
        first = found.prediction
        _, end = self._log.span(EVENTS, self._partition)
        events = self._messages(EVENTS, found.source.offset + 1, end)
        _, end = self._log.span(PREDICTIONS, self._partition)
        about = text(first["asset"]) + text(first["stream"])
        for message in self._messages(PREDICTIONS, found.message.offset + 1, end):
            if about not in (message.value or b""):
                continue
            prediction = codec("Prediction").decode(message.value)
            is_same = all(prediction[name] == first[name] for name in ("asset", "stream"))
            if not (is_same and _is_unflagged(prediction)):
                continue
            offset = prediction["source"]["offset"]
            event = next((each for each in events if each.offset >= offset), None)
            if event is not None:
                yield prediction, event

    def _messages(self, topic: str, start: int, stop: int) -> Iterator[Message]:
        for messages in self._log.read(topic, self._partition, start, stop):
            yield from messages

    def _read(self, message: Message) -> Event | None:
        try:
            return self._reader.read(message.value)
        except InvalidRecordError:
            return None


def _is_unflagged(prediction: Record) -> bool:
    return _HARMLESS.issuperset(prediction["quality"])


def _update(message: Message) -> dict[str, Any] | None:  # Any: Avro values
    try:
        return codec("Update").decode(message.value)
    except InvalidRecordError:
        return None


def _is_about(update: Record, prediction: Record, source: Position) -> bool:
    """Return whether an instruction carries the label of an event."""
    is_same = all(update[name] == prediction[name] for name in ("asset", "stream"))
    if not is_same or update["kind"] != EXAMPLE:
        return False
    if update["event"] is not None:
        return Position(**update["event"]) == source
    return bool(update["event_id"] == prediction["event_id"])

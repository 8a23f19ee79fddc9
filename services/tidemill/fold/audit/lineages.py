"""Lineage as evidence: it covers the bytes of what was learned, so a chain that breaks accuses."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.instructions import NOT_OURS, is_at_fault
from tidemill.fold.spans import leaves_no_trace
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidemill.fold.audit.applied import Applied
    from tidemill.fold.audit.outputs import Answers
    from tidemill.fold.ledger import Entry
    from tidemill.kernel.records import Message, Position

# Hashes tried for one link of a chain.
MOST_STEPS = 20_000


@dataclass(slots=True)
class Evidence:
    """What the lineages of one entry say of its inputs.

    Attributes:
        cleared: Records whose bytes are in a chain that agrees, or in a dead letter.
        accused: Records whose dead letter holds other bytes.
        broken: For each link of a chain that does not agree, the records it may be.
    """

    cleared: set[Position] = field(default_factory=set)
    accused: list[Message] = field(default_factory=list)
    broken: list[list[Message]] = field(default_factory=list)


class Lesson(NamedTuple):
    """A record that a model may have learned; an update names the position that caused it.

    `is_sure`: whether it goes into the lineage once it is applied.
    """

    message: Message
    source: tuple[str, int] | None = None
    cause: tuple[int, int] = (-1, -1)
    is_sure: bool = True


@dataclass(slots=True)
class _Thread:
    """One model: its last lineage that is known, and what it may have learned since."""

    lineage: bytes | None
    since: int
    waiting: list[Lesson] = field(default_factory=list)


class LineageReader:
    """Follows the chains of one entry through its inputs and its stored predictions.

    Args:
        entry: The entry, unaltered.
        answers: Its outputs, as emitted.
        before: Lineages of models before this entry, as far as they are known.
    """

    def __init__(self, entry: Entry, answers: Answers, before: Mapping[ModelKey, bytes]) -> None:
        self._entry = entry
        self._before = before
        self._learning_types = {m.stream for m in entry.models if m.asset == ASSET_TYPE}
        self._threads: dict[ModelKey, _Thread] = {}
        self._seen: list[Message] = []
        self._evidence = Evidence()
        self._predictions = {
            stored.source: codec("Prediction").decode(stored.message.value)
            for stored in answers.by_topic[PREDICTIONS]
        }
        self._dead = {
            (topic.removesuffix(SUFFIX), stored.source): stored.message.value
            for topic, each in answers.by_topic.items()
            for stored in each
            if topic.endswith(SUFFIX)
        }

    def read(self, applied: Applied) -> Evidence:
        """Return what the chains say of the records applied."""
        for run in applied.runs:
            for message in run:
                self._observe(message)
        for changed in self._entry.models:
            if changed.asset == ASSET_TYPE:
                continue  # what taught it does not name it
            key = ModelKey(changed.stream, changed.asset, changed.model)
            self._hold(key, changed.lineage)
        return self._evidence

    def _observe(self, message: Message) -> None:
        source = (message.topic, message.offset)
        if source in self._dead:
            if self._dead[source] == message.value:
                self._evidence.cleared.add(message.position)
            else:
                self._evidence.accused.append(message)
        elif message.topic == EVENTS:
            self._observe_event(message)
        elif message.topic == UPDATES:
            self._observe_update(message)
        self._seen.append(message)

    def _observe_event(self, message: Message) -> None:
        prediction = self._predictions.get(message.offset)
        if prediction is None:
            return
        for name, lineage in said(prediction):
            key = ModelKey(prediction["stream"], prediction["asset"], name)
            self._hold(key, lineage)
            self._threads[key].waiting.append(Lesson(message))

    def _observe_update(self, message: Message) -> None:
        try:
            update = codec("Update").decode(message.value)
        except InvalidRecordError:
            return
        if update["kind"] in NOT_OURS:
            return
        cause = update["cause"]
        source, position = (cause["topic"], cause["partition"]), (cause["offset"], cause["index"])
        about = (update["stream"], update["asset"])
        for changed in self._entry.models:
            if (changed.stream, changed.asset) != about:
                continue
            if update["model"] in {None, changed.model}:
                thread = self._thread(ModelKey(*about, changed.model))
                lesson = Lesson(message, source, position, is_sure=_is_sure(update))
                thread.waiting.append(lesson)

    def _thread(self, key: ModelKey) -> _Thread:
        thread = self._threads.get(key)
        if thread is None:
            thread = self._threads[key] = _Thread(self._before.get(key), 0)
        return thread

    def _hold(self, key: ModelKey, lineage: bytes) -> None:
        """Hold what a model learned since against the lineage it has now."""
        thread = self._thread(key)
        if thread.lineage is not None:
            options = choices(thread.waiting)
            learned = None if options is None else chained(thread.lineage, options, lineage)
            if learned is not None:
                self._evidence.cleared.update(message.position for message in learned)
            elif options is not None and not self._follows_its_type(key):
                self._accuse(thread)
        self._threads[key] = _Thread(lineage, len(self._seen))

    def _follows_its_type(self, key: ModelKey) -> bool:
        """Return whether a model may be a copy of another one until it learns."""
        return key not in self._before and key.stream in self._learning_types

    def _accuse(self, thread: _Thread) -> None:
        """Note whoever may have broken the chain: also an update that now names another asset."""
        updates = [m for m in self._seen[thread.since :] if m.topic == UPDATES]
        waiting = [lesson.message for lesson in thread.waiting]
        known = {message.position for message in waiting}
        others = [message for message in updates if message.position not in known]
        self._evidence.broken.append([*waiting, *others])


def said(prediction: Mapping[str, Any]) -> list[tuple[str, bytes]]:  # Any: an Avro record
    """Return every model of a prediction with its lineage, champion first."""
    return [(each["model"], each["lineage"]) for each in (prediction, *prediction["shadows"])]


def choices(waiting: Sequence[Lesson]) -> list[list[Message]] | None:
    """Return every part of the waiting records that a model can have learned; None: too many.

    An event is learned or, at fault or without label, not. An update is learned unless its cause
    was applied before; up to which cause that is, is not known here.
    """
    causes: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for lesson in waiting:
        if lesson.source is not None:
            causes.setdefault(lesson.source, [(-1, -1)]).append(lesson.cause)
    has_events = any(lesson.source is None for lesson in waiting)
    unsure = [n for n, lesson in enumerate(waiting) if not lesson.is_sure]
    count = math.prod(len(marks) for marks in causes.values()) * (1 + has_events) << len(unsure)
    if count * len(waiting) > MOST_STEPS:
        return None
    return [
        [each for each in learned if each not in left_out]
        for is_event_learned in ((True, False) if has_events else (True,))
        for marks in product(*(sorted(set(marks)) for marks in causes.values()))
        for left_out in _parts([waiting[n].message for n in unsure])
        for learned in [
            _learned(
                waiting, dict(zip(causes, marks, strict=True)), is_event_learned=is_event_learned
            )
        ]
    ]


def _parts(messages: Sequence[Message]) -> list[list[Message]]:
    """Return every part of some records."""
    return [
        [message for n, message in enumerate(messages) if chosen >> n & 1]
        for chosen in range(1 << len(messages))
    ]


def _is_sure(update: Mapping[str, Any]) -> bool:  # Any: an Avro record
    """Return whether an update goes into a model's lineage whenever it is applied.

    What waits for a re-fold does not; nor does the label of a prediction that was at fault.
    """
    if update["kind"] == "EXAMPLE":
        return not is_at_fault(update) and update["replaced"] is None
    return update["kind"] not in {"VETO", "UNVETO", "RETRACT"} and not leaves_no_trace(update)


def _learned(
    waiting: Sequence[Lesson],
    marks: dict[tuple[str, int], tuple[int, int]],
    *,
    is_event_learned: bool,
) -> list[Message]:
    learned = []
    for message, source, cause, _ in waiting:
        if source is None:
            if is_event_learned:
                learned.append(message)
        elif cause > marks[source]:
            marks[source] = cause
            learned.append(message)
    return learned


def chained(
    before: bytes, options: Iterable[Sequence[Message]], after: bytes
) -> Sequence[Message] | None:
    """Return the option that leads from one lineage to the next; None if none does."""
    for option in options:
        lineage = before
        for message in option:
            lineage = hashlib.sha256(lineage + (message.value or b"")).digest()
        if lineage == after:
            return option
    return None

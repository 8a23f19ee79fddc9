"""One partition of the alerts processor: what people must hear of, told once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import OF_ALARMS
from tidemill.contracts.heads import first_texts
from tidemill.contracts.topics import (
    ALARM_STATES,
    ALARMS,
    ALERTS_CLOCK,
    DRIFT,
    FEEDBACK,
    PREDICTIONS,
    RECEIPTS,
    TOPICS,
)
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.deciding import Handled, Noted
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Emit
from tidemill.processors.alerts.book import Book
from tidemill.processors.alerts.limits import STEPS, Limits
from tidemill.processors.alerts.meeting import (
    HEARTBEAT,
    SILENCE,
    on_drift,
    on_letter,
    on_refusal,
    on_return,
    on_word,
)
from tidemill.processors.alerts.standing import (
    At,
    Standing,
    decode_standing,
    later,
    told,
)
from tidemill.processors.alerts.states import NORMAL, State
from tidemill.processors.alerts.watching import (
    Tick,
    endings,
    forgotten,
    found_open,
    silences,
    tick_of,
    unwatched,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.kernel.records import Message

PROCESSOR = "alerts"
DEAD = tuple(topic.name for topic in TOPICS if topic.name.endswith(SUFFIX))
REFUSED = "REFUSED"
# An event of a prediction: it, its asset, its stream.
_HEAD = 3


class Alerts:
    """One partition; see `tidemill.kernel.deciding.Decider`.

    Args:
        partition: The partition of all its topics.
        allowed: How long, in ms, assets of a stream may be silent; those that are watched.
        limits: What is an alarm.
        remembered: Where conditions stood.
    """

    def __init__(
        self,
        partition: int,
        allowed: Mapping[str, int],
        limits: Limits,
        remembered: Iterable[Standing] = (),
    ) -> None:
        self._partition = partition
        self._allowed = allowed
        self._limits = limits
        self._book = Book(remembered)
        self._heard_ms = 0

    def __len__(self) -> int:
        return len(self._book)

    @property
    def reached(self) -> Mapping[str, int]:
        """The last offset that a decision is remembered of; see `Decider`."""
        found: dict[str, int] = {}
        for standing in self._book:
            for topic, offset in standing.offsets.items():
                found[topic] = max(offset, found.get(topic, 0))
        return found

    def decide(self, message: Message) -> Handled:
        """Return what becomes of a record; see `tidemill.kernel.deciding.Decider`."""
        at = At(message.position, message.timestamp_ms)
        before = self._book.caused(message.position)
        if message.topic == ALERTS_CLOCK:
            try:
                return self._ticked(tick_of(message.value, at, self._heard_ms), before)
            except InvalidRecordError:
                pass  # somebody else's, like any record that cannot be read
        changed = self._met(message, at)
        is_new = changed is not None and not self._book.is_done(changed.name, at)
        return self._handled(before, [changed] if changed is not None and is_new else [])

    def note(self, messages: Sequence[Message]) -> Noted:
        """Take note of records of which nothing is told; see `tidemill.kernel.deciding.Decider`."""
        entries: dict[bytes, bytes] = {}
        for number, message in enumerate(messages):
            if self._book.has_told(message):
                return Noted(number, entries)
            at = At(message.position, message.timestamp_ms)
            changed = self._met(message, at)
            if changed is None or self._book.is_done(changed.name, at):
                continue
            if changed.said:
                return Noted(number, entries)
            self._book.keep(changed)
            entries[key_of(self._partition, changed.name)] = changed.encode()
        return Noted(len(messages), entries)

    def _met(self, message: Message, at: At) -> Standing | None:
        try:
            return self._changed(message, at)
        except InvalidRecordError:
            return on_letter(self._book, message, at, self._limits)

    def _changed(self, message: Message, at: At) -> Standing | None:
        topic, book = message.topic, self._book
        if topic == PREDICTIONS:
            return self._seen(message, at)
        if topic == DRIFT:
            return on_drift(book, codec("Drift").decode(message.value), at)
        if topic == RECEIPTS:
            receipt = codec("Receipt").decode(message.value)
            if receipt["status"] != REFUSED:
                return None
            return on_refusal(book, receipt, at, self._limits)
        if topic == FEEDBACK:
            return self._said(message, at)
        return on_letter(book, message, at, self._limits)

    def _said(self, message: Message, at: At) -> Standing | None:
        try:
            said = codec("Feedback").decode(message.value)
        except InvalidRecordError:
            return None  # a dead letter of the feedback processor's
        if said["kind"] not in OF_ALARMS:
            return None
        return on_word(self._book, said, at, self._limits)

    def _seen(self, message: Message, at: At) -> Standing | None:
        """Return what a prediction makes of the silence of its asset."""
        head = first_texts(message.value, _HEAD)
        self._heard_ms = max(self._heard_ms, at.ms)
        if len(head) < _HEAD:
            return on_letter(self._book, message, at, self._limits)
        event, asset, stream = (text.decode(errors="replace") for text in head)
        limit_ms = self._allowed.get(stream)
        if limit_ms is None:
            return None
        name = f"{SILENCE}|{stream}|{asset}"
        if self._book.is_done(name, at):
            return None
        before = self._book.get(name)
        self._book.meet(name, at, event=event)
        if before is not None and before.phase.is_active:
            return on_return(self._book, before, at, limit_ms)
        written = self._book.written(name)
        if written is not None and at.ms - written.last_ms < limit_ms // STEPS:
            return None
        standing = self._book.get(name) or Standing(name, SILENCE, asset, stream)
        return standing.noted(at, last_ms=max(at.ms, standing.last_ms))

    def _ticked(self, tick: Tick, before: Sequence[Standing]) -> Handled:
        changes: dict[str, Standing] = {}
        is_begun = tick.is_read(DRIFT) or self._book.written(HEARTBEAT) is not None
        for changed in (
            *(found_open(self._book, tick) if is_begun else ()),
            *endings(self._book, tick, self._limits),
            *silences(self._book, tick, self._allowed, self._limits),
            *unwatched(self._book, tick, self._allowed),
        ):
            if not self._book.is_done(changed.name, tick.at):
                changes.setdefault(changed.name, changed)
        heartbeat = self._heartbeat(tick, changes) if is_begun else None
        if heartbeat is not None:
            changes[HEARTBEAT] = heartbeat
        over = forgotten(self._book, tick, self._allowed, self._limits)
        gone = [name for name in over if name not in changes]
        return self._handled(before, list(changes.values()), gone)

    def _heartbeat(self, tick: Tick, changes: Mapping[str, Standing]) -> Standing | None:
        """Return that all was looked at, with what was found, where it is time to say so."""
        last = self._book.get(HEARTBEAT) or Standing(
            HEARTBEAT, HEARTBEAT, alarm_id=f"heartbeat-{self._partition}"
        )
        if self._book.is_done(HEARTBEAT, tick.at):
            return None
        if last.revision >= 0 and tick.at.ms - last.since_ms < self._limits.heartbeat_ms:
            return None
        now = {**{each.name: each for each in self._book}, **changes}
        watched = sum(e.kind == SILENCE and e.stream in self._allowed for e in now.values())
        standing = [each for each in now.values() if each.phase != NORMAL]
        open_ = sum(each.phase.state is State.UNACKNOWLEDGED for each in standing)
        found = f"{len(standing)} alarms, {open_} unacknowledged" if standing else "all normal"
        lags = sorted(tick.lag.items())
        behind = [topic if lag is None else f"{lag} of {topic}" for topic, lag in lags if lag != 0]
        note = f"checked {watched} assets, {found}"
        note += f"; not yet read: {', '.join(behind)}" if behind else ""
        return told(
            replace(
                last,
                since_ms=tick.at.ms,
                revision=last.revision + 1,
                count=len(standing),
                note=note,
            ),
            tick.at,
        )

    def _handled(
        self, before: Sequence[Standing], now: Sequence[Standing], gone: Sequence[str] = ()
    ) -> Handled:
        """Return what becomes of a record; what it had changed already is told again."""
        emits = [
            Emit(ALARMS, self._partition, each.asset.encode() if each.asset else None, each.said)
            for each in (*before, *now)
            if each.said
        ]
        over = [key_of(self._partition, name) for name in gone]
        if not now:
            return Handled(emits, forgotten=over, is_repeated=bool(before))
        entries = [(key_of(self._partition, each.name), each.encode()) for each in now]
        (key, value), *more = entries
        return Handled(emits, key, value, over, more=dict(more))

    def keep(self, handled: Handled) -> None:
        """Take note of decisions that are remembered."""
        if handled.key is not None:
            for value in (handled.value, *handled.more.values()):
                self._book.keep(decode_standing(value))
        for key in handled.forgotten:
            self._book.forget(key.decode().partition("|")[2])


def key_of(partition: int, name: str) -> bytes:
    """Return under which a condition is remembered."""
    return f"{partition}|{name}".encode()


class AlertsFactory:
    """Opens partitions of the alerts processor; see `tidemill.kernel.deciding.DeciderFactory`.

    Args:
        definition: The plant.
        limits: What is an alarm.
    """

    name = PROCESSOR
    from_end = frozenset({ALERTS_CLOCK, FEEDBACK, RECEIPTS, PREDICTIONS, *DEAD})
    batched = frozenset({FEEDBACK, RECEIPTS, PREDICTIONS, *DEAD})
    clock = ALERTS_CLOCK
    table = ALARM_STATES

    def __init__(self, definition: PlantDefinition, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._allowed = {
            stream.name: round(stream.alerts.silence_s * 1000)
            for stream in definition.streams
            if stream.alerts.silence_s is not None
        }
        # Predictions tell of silence alone, and are many.
        heard = (PREDICTIONS,) if self._allowed else ()
        self.inputs: tuple[str, ...] = (ALERTS_CLOCK, DRIFT, FEEDBACK, RECEIPTS, *heard, *DEAD)

    def valid(self, before: bytes, then: bytes) -> bytes:
        """Return the second decision, unless all that it takes account of the first one did too."""
        return later(before, then)

    def open(self, partition: int, remembered: Mapping[bytes, bytes]) -> Alerts:
        """Return the decider of a partition whose conditions stand so."""
        standings = [decode_standing(value) for value in remembered.values()]
        return Alerts(partition, self._allowed, self._limits, standings)

"""One partition of predictions and labels, joined in a store outside Kafka."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from tidemill.contracts.pending import MOST_JOINED, MOST_WAITING, Progress, Verdict
from tidemill.contracts.topics import LABELS, PREDICTIONS
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.reports import Report
from tidemill.processors.labeller.examples import Completed, example
from tidemill.processors.labeller.labels import LabelReader, unpack
from tidemill.processors.labeller.predictions import PredictionReader
from tidemill.processors.labeller.trail import Starts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tidemill.contracts.pending import Kept, Met, PendingStore, Tidied
    from tidemill.kernel.records import Emit, Message
    from tidemill.processors.labeller.labels import ReadLabel
    from tidemill.processors.labeller.streams import LabelStream, Record
    from tidemill.processors.labeller.trail import Trail

PROCESSOR = "labeller"
INPUTS = (PREDICTIONS, LABELS)
KEPT, BARE, REVISED, DROPPED = "kept", "without_features", "revised", "dropped"


class Ends(Protocol):
    """Where topics end, at the partition of a task."""

    def written(self) -> tuple[int, int]:
        """Return where updates and dead letters end."""

    def labels(self) -> int:
        """Return the offset behind the last label, committed or not."""

    def events(self) -> int:
        """Return the offset behind the last event, committed or not."""


class Labeller:
    """One partition of the labeller.

    Args:
        store: Where cases wait.
        place: Lease of the partition, and its number.
        streams: Those whose labels come apart from their events, by name.
        trail: What of the partition is still needed.
        ends: Where other topics of the partition end.
        room: See `tidemill.contracts.pending.Progress`.
        applied: What of predictions and labels the store had applied when the task was opened. Up
            to there others may have decided already, so no stretch of the trail begins before.

    Attributes:
        refolded: Records that opening it read again.
    """

    def __init__(
        self,
        store: PendingStore,
        place: tuple[str, int],
        streams: Mapping[str, LabelStream],
        *,
        trail: Trail,
        ends: Ends,
        room: int,
        applied: tuple[int, int] = (0, 0),
    ) -> None:
        self.refolded = 0
        self._store = store
        self._lease, self._partition = place
        self._streams = streams
        self._predictions = PredictionReader(streams)
        self._labels = LabelReader(streams.values())
        self._trail = trail
        self._ends = ends
        self._room = room
        self._applied = applied
        self._turn: int | None = None
        self._following = 0
        self._counts: Counter[str] = Counter()
        self._labelled_as: Counter[str] = Counter()
        self._foreign_keys = 0
        self._dead = 0
        self._last_dead = ""
        self._left: Tidied | None = None
        self._aside: set[tuple[int, int]] = set()

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Apply records of one input, in order; see `tidemill.kernel.processor.Task`."""
        self._aside.clear()
        if records[0].topic == PREDICTIONS:
            return self._predicted(records)
        return self._labelled(records)

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:  # noqa: ARG002 - as tasks are asked
        """Return nothing: what is kept is kept outside."""
        return []

    @property
    def mark(self) -> str:
        """What is still needed; see `tidemill.kernel.processor.Marked`."""
        return self._trail.encode()

    def rest(self, positions: Mapping[str, int], ended: Collection[str]) -> list[Emit]:
        """Free what is over; return the labels given up, as dead letters."""
        predictions, labels = positions[PREDICTIONS], positions[LABELS]
        is_new = predictions >= self._applied[0] and labels >= self._applied[1]
        if self._trail.is_due and is_new:
            self._trail.begin(Starts(predictions, labels, *self._ends.written()))
        # Asked after the answer that named the turn: what was there then has been read.
        is_through = LABELS in ended and self._turn is not None and labels >= self._ends.labels()
        through = self._turn if is_through else None
        caught_up = PREDICTIONS in ended and self._following >= self._ends.events()
        given_up = self._trail.given_up
        progress = Progress(predictions, labels, through, caught_up, given_up, self._room)
        self._left = tidied = self._store.tidy(self._lease, self._partition, progress)
        self._turn = tidied.turn
        self._counts[DROPPED] += tidied.dropped
        self._trail.drop(*tidied.oldest)
        if tidied.given_up:
            self._trail.given_up += 1
        self._aside.clear()
        return [each for letter in tidied.given_up for each in self._unknown(unpack(letter))]

    def report(self) -> Report:
        """Return what was done and what is held; see `tidemill.kernel.reports.Reporting`."""
        left = self._left
        waiting = {} if left is None else {PREDICTIONS: left.predictions, LABELS: left.labels}
        return Report(
            foreign_keys=self._foreign_keys,
            dead=self._dead,
            last_dead=self._last_dead,
            labelled=dict(self._labelled_as),
            kept=dict(self._counts),
            waiting=waiting,
            refolded=self.refolded,
        )

    def _predicted(self, records: Sequence[Message]) -> list[Emit]:
        kept: list[Kept] = []
        messages: list[Message] = []
        for message in records:
            read = self._predictions.read(message)
            if read.kept is not None:
                kept.append(read.kept)
                messages.append(message)
                self._trail.note()
            self._counts[BARE] += read.is_bare
            self._counts[Verdict.REPEATED.value] += read.is_again
        following = records[-1].offset + 1
        self._following = self._predictions.following(records[-1])
        met = self._store.keep(self._lease, self._partition, kept, following)
        self._counts[KEPT] += len(kept)
        emits = []
        for each in met:
            if each.verdict is Verdict.REPEATED:
                self._counts[KEPT] -= 1
                self._counts[each.verdict.value] += 1
                continue
            half = kept[each.number].half
            emits += self._met(each, unpack(each.other), (half, messages[each.number], 0))
        return emits

    def _met(self, met: Met, message: Message, joined: tuple[bytes, Message, int]) -> list[Emit]:
        """Return what comes of a label that waited; the definition may read it no longer."""
        try:
            label = self._labels.read(message)
        except InvalidRecordError as error:
            return self._set_aside(message, error)
        return self._come_of(met, message, label, joined)

    def _labelled(self, records: Sequence[Message]) -> list[Emit]:
        emits: list[list[Emit]] = [[] for _ in records]
        read: list[tuple[int, ReadLabel]] = []
        for number, message in enumerate(records):
            try:
                label = self._labels.read(message)
            except InvalidRecordError as error:
                emits[number] += self._set_aside(message, error)
                continue
            read.append((number, label))
            self._trail.note()
            self._foreign_keys += message.key != label.record["asset"].encode()
        held = [label.held for _, label in read]
        following = records[-1].offset + 1
        for each in self._store.hold(self._lease, self._partition, held, following):
            number, label = read[each.number]
            message, index = records[number], len(emits[number])
            emits[number] += self._come_of(each, message, label, (each.other, message, index))
        return [emit for caused in emits for emit in caused]

    def _come_of(
        self, met: Met, message: Message, label: ReadLabel, joined: tuple[bytes, Message, int]
    ) -> list[Emit]:
        """Return what comes of one label; `joined` is the half, the cause, and which of it."""
        if met.verdict is Verdict.LATE:
            return self._set_aside(message, _late(label.record, met.stream))
        if met.verdict is Verdict.CROWDED:
            return self._set_aside(message, _crowded(met.stream))
        if met.verdict is Verdict.UNFIT:
            return self._set_aside(message, self._unfit(label.record["value"], met.stream))
        if met.verdict is not Verdict.JOINED:
            self._labelled_as[met.verdict.value] += 1
            return []
        self._labelled_as[REVISED if met.replaced else met.verdict.value] += 1
        half, cause, index = joined
        done = Completed(met.partition, half, label.record, met.replaced, (cause, index))
        return [example(done)]

    def _unfit(self, value: object, stream: str) -> InvalidRecordError:
        """Return why a stream cannot read a label that another can."""
        try:
            self._streams[stream].text(value)
        except InvalidRecordError as error:
            return error
        msg = f"a label of {stream} must be of its kind, as the definition stood when it came"
        return InvalidRecordError(DeadLetterReason.DOMAIN, msg)

    def _unknown(self, message: Message) -> list[Emit]:
        msg = (
            "the event of a label must have been predicted, that of this one was not, or is over "
            "by more than its ttl"
        )
        return self._set_aside(message, InvalidRecordError(DeadLetterReason.UNKNOWN_EVENT, msg))

    def _set_aside(self, message: Message, error: InvalidRecordError) -> list[Emit]:
        """Return the dead letter of a label: one of a batch, of however many streams it is."""
        place = message.partition, message.offset
        if place in self._aside:
            return []
        self._aside.add(place)
        self._dead += 1
        self._last_dead = f"{message.position}: {error}"
        return [dead_letter(message, error, PROCESSOR)]


def _late(record: Record, stream: str) -> InvalidRecordError:
    name = record["event_id"] or record["time"]
    msg = f"a label must be no later than the ttl of {stream} allows, that of {name} was"
    return InvalidRecordError(DeadLetterReason.LATE, msg)


def _crowded(stream: str) -> InvalidRecordError:
    """Return what is wrong with one label more of an event; no stream where none was predicted."""
    if stream:
        msg = f"an event may have {MOST_JOINED} labels of different revisions, this is one more"
        return InvalidRecordError(DeadLetterReason.DOMAIN, msg)
    msg = f"{MOST_WAITING} labels of an event may wait for its prediction, this is one more"
    return InvalidRecordError(DeadLetterReason.UNKNOWN_EVENT, msg)

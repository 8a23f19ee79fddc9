"""The outputs of each ledger entry: predictions and dead letters, given to it by their source."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.applying import PROCESSOR
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.ledger import Digest
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tidemill.fold.ledger import Entry
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Headers, Message

# How far a source that is out of order is looked through; so many altered ones in a row.
_LOOKAHEAD = 64
_NOTHING_IS_LOST = -1


class Stored(NamedTuple):
    """One output record and the offset it says it answers; None where it says nothing readable."""

    message: Message
    source: int | None


@dataclass(frozen=True, slots=True)
class Answers:
    """The outputs of one entry.

    Attributes:
        by_topic: Per output topic, what stands there for the entry, in order.
        is_retained: Whether all of them must still be there.
        digest: What the entry must carry.
    """

    by_topic: dict[str, tuple[Stored, ...]]
    is_retained: bool
    digest: bytes


class OutputTrack:
    """One output topic, read forward once and shared out by source offset."""

    def __init__(
        self, log: Log, topic: str, partition: int, source_of: Callable[[Message], int | None]
    ) -> None:
        self._span = (topic, partition)
        self._log = log
        self._source_of = source_of
        self._batches: Iterator[list[Message]] = iter(())
        self._ready: deque[Stored] = deque()
        self._latest = -1
        begin, _ = log.span(topic, partition)
        self._end = begin
        self.read_on()
        self.floor = _NOTHING_IS_LOST if begin == 0 else self._oldest_source()

    def read_on(self) -> bool:
        """Go on to what is committed by now; return whether there is more."""
        topic, partition = self._span
        start, (_, end) = self._end, self._log.span(topic, partition)
        if end <= start:
            return False
        self._batches, self._end = self._log.read(topic, partition, start, end), end
        return True

    def _oldest_source(self) -> int | None:
        """Return the first source that is surely still there; None if nothing is."""
        self._fill(1)
        return next((each.source for each in self._ready if each.source is not None), None)

    def _fill(self, count: int) -> bool:
        """Read ahead so far, if there is so much; return whether there is anything."""
        while len(self._ready) < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._ready.extend(Stored(m, self._source_of(m)) for m in batch if is_ours(m))
        return bool(self._ready)

    def take(self, last: int, at_most: int | None) -> list[Stored]:
        """Return the next records that answer sources up to `last`.

        Args:
            last: The last source of the entry.
            at_most: How many there should be, where that is known. Up to that many, a record
                whose source is unreadable or out of order is counted in: it is altered.
        """
        taken: list[Stored] = []
        while self._fill(_LOOKAHEAD):
            is_due = at_most is None or len(taken) < at_most
            source = self._ready[0].source
            if is_due and source is not None and self._latest < source <= last:
                self._latest = source
            elif source is None or self._is_odd(source, last, is_short=at_most is not None):
                if not is_due:
                    break
            elif source > last:
                break
            taken.append(self._ready.popleft())
        return taken

    def _is_odd(self, source: int, last: int, *, is_short: bool) -> bool:
        """Return whether the next source cannot be what was written, by those around it.

        Where one is still due, that also goes for a source that another record has.
        """
        if source <= self._latest:
            return True
        later = islice(self._ready, 1, _LOOKAHEAD)
        bound = source + is_short
        if any(each.source is not None and self._latest < each.source < bound for each in later):
            return True
        return is_short and source > last and len(self._ready) == 1

    @property
    def has_more(self) -> bool:
        """Whether anything is left."""
        return self._fill(1)

    def rest(self, before: int) -> list[Stored]:
        """Return what is left of records that answer sources before `before`."""
        return self.take(before - 1, None)


def is_ours(message: Message) -> bool:
    """Return whether the learner wrote an output; others set aside records of the same inputs."""
    name = header(message.headers, "tidemill.processor")
    return name is None or name == PROCESSOR.encode()


def header(headers: Headers, name: str) -> bytes | None:
    """Return the last header of a name: a dead letter may hold an earlier one's headers."""
    return next((value for key, value in reversed(headers) if key == name), None)


def prediction_source(message: Message) -> int | None:
    """Return the offset of the event that a prediction answers."""
    try:
        source = codec("Prediction").decode(message.value)["source"]
    except InvalidRecordError:
        return None
    if source["topic"] != EVENTS or source["partition"] != message.partition:
        return None
    return int(source["offset"])


def dead_source(message: Message) -> int | None:
    """Return the offset of the record that a dead letter holds."""
    text = header(message.headers, "__streams.errors.offset")
    return int(text) if text is not None and text.isdigit() else None


_SOURCES: dict[str, Callable[[Message], int | None]] = {
    PREDICTIONS: prediction_source,
    EVENTS + SUFFIX: dead_source,
    UPDATES + SUFFIX: dead_source,
}
_INPUT_OF = {PREDICTIONS: EVENTS, EVENTS + SUFFIX: EVENTS, UPDATES + SUFFIX: UPDATES}


class Outputs:
    """All outputs of one partition of the learner."""

    def __init__(self, log: Log, partition: int) -> None:
        self._partition = partition
        self._tracks = {
            topic: OutputTrack(log, topic, partition, source) for topic, source in _SOURCES.items()
        }
        self._lost: set[str] = set()

    def lose_the_thread(self) -> None:
        """Leave out what stands before the next entry's outputs: it cannot be accounted for."""
        self._lost = set(self._tracks)

    def follow(self, entry: Entry, events: int | None) -> Answers:
        """Return the outputs of the next entry.

        Args:
            entry: The entry.
            events: How many sensor events it applied; None where that is not known.
        """
        answers = self._gather(entry, events, {})
        if answers.digest == entry.emitted:
            return answers
        has_more = [track.read_on() for track in self._tracks.values()]
        return self._gather(entry, events, answers.by_topic) if any(has_more) else answers

    def _gather(
        self, entry: Entry, events: int | None, had: Mapping[str, tuple[Stored, ...]]
    ) -> Answers:
        """Take what is left of an entry's outputs, behind those it `had`."""
        dead_topics = (EVENTS + SUFFIX, UPDATES + SUFFIX)
        by_topic = {t: (*had.get(t, ()), *self._take(entry, t, None)) for t in dead_topics}
        predicted = had.get(PREDICTIONS, ())
        due = None
        if events is not None:
            due = max(0, events - len(by_topic[EVENTS + SUFFIX]) - len(predicted))
        by_topic[PREDICTIONS] = (*predicted, *self._take(entry, PREDICTIONS, due))
        digest = Digest()
        for topic, stored in by_topic.items():
            if stored:
                digest.add(topic, [each.message.value for each in stored])
        is_retained = all(self._reaches(entry, topic) for topic in by_topic)
        return Answers(by_topic, is_retained, digest.result())

    def _take(self, entry: Entry, topic: str, due: int | None) -> tuple[Stored, ...]:
        runs = [run for run in entry.runs if run.topic == _INPUT_OF[topic]]
        if not runs:
            return ()
        if topic in self._lost:
            self._lost.discard(topic)
            self._tracks[topic].take(runs[0].first - 1, None)
        stop = (entry.positions or {}).get(_INPUT_OF[topic], 0)
        return tuple(self._tracks[topic].take(max(runs[-1].last, stop - 1), due))

    def _reaches(self, entry: Entry, topic: str) -> bool:
        firsts = [run.first for run in entry.runs if run.topic == _INPUT_OF[topic]]
        floor = self._tracks[topic].floor
        return not firsts or (floor is not None and firsts[0] >= floor)

    @property
    def has_more(self) -> bool:
        """Whether outputs are left, once what no entry accounts for was taken."""
        known = (track for topic, track in self._tracks.items() if topic not in self._lost)
        return any(track.has_more for track in known)

    def foreign(self, positions: Mapping[str, int]) -> list[Finding]:
        """Return a finding for every output that no entry accounts for, `positions` the tail's."""
        found = []
        for topic, track in self._tracks.items():
            if topic in self._lost:
                continue
            for stored in track.rest(positions.get(_INPUT_OF[topic], 0)):
                must = "every output must answer a record that a ledger entry applied"
                says = "nothing readable" if stored.source is None else str(stored.source)
                found.append(
                    Finding(
                        Kind.OUTPUT_FOREIGN,
                        Place.of(stored.message),
                        None,
                        must,
                        f"no entry accounts for it; the source it names: {says}",
                    )
                )
        return found


def misplaced(entry: Entry, answers: Answers, offsets: Sequence[int]) -> list[Finding]:
    """Return findings for outputs that do not answer the events one by one, in order.

    Args:
        entry: The entry.
        answers: Its outputs.
        offsets: The sensor events it applied.
    """
    dead = {each.source for each in answers.by_topic[EVENTS + SUFFIX]}
    due = [offset for offset in offsets if offset not in dead]
    stored = answers.by_topic[PREDICTIONS]
    if len(due) == len(stored):
        pairs = zip(due, stored, strict=True)
        return [_misplaced(entry, each, offset) for offset, each in pairs if each.source != offset]
    findings = []
    matcher = SequenceMatcher(None, due, [each.source for each in stored], autojunk=False)
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for offset, each in zip_longest(due[a:a_end], stored[b:b_end]):
            wrong = _unanswered(entry, offset) if each is None else _misplaced(entry, each, offset)
            findings.append(wrong)
    return findings


def _misplaced(entry: Entry, stored: Stored, due: int | None) -> Finding:
    must = "predictions must answer the events of the entry, each once and in order"
    says = "nothing readable" if stored.source is None else f"event {stored.source}"
    found = f"it answers {says}" + ("" if due is None else f", event {due} was due")
    kind = Kind.OUTPUT_FOREIGN if due is None else Kind.OUTPUT_ALTERED
    return Finding(kind, Place.of(stored.message), entry.sequence, must, found)


def _unanswered(entry: Entry, offset: int) -> Finding:
    must = "each event must have one prediction or one dead letter"
    place = Place(PREDICTIONS, entry.partition, None, None)
    found = f"event {EVENTS}-{entry.partition}@{offset} has neither"
    return Finding(Kind.OUTPUT_MISSING, place, entry.sequence, must, found)

"""The outputs of each ledger entry, given to it by the source that they name.

Predictions and dead letters name the record they answer, outcomes and receipts the entry itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.audit.tracks import OutputTrack, header
from tidemill.fold.entry_marks import MARKED, entry_of
from tidemill.fold.ledger import Digest
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.fold.audit.tracks import Stored
    from tidemill.fold.ledger import Entry
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


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
    **dict.fromkeys(MARKED, entry_of),
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
        by_topic |= {t: (*had.get(t, ()), *self._take_marked(entry, t)) for t in MARKED}
        digest = Digest()
        for topic, stored in by_topic.items():
            if stored:
                digest.add(topic, [each.message.value for each in stored])
        is_retained = all(self._reaches(entry, topic) for topic in by_topic)
        return Answers(by_topic, is_retained, digest.result())

    def _take_marked(self, entry: Entry, topic: str) -> tuple[Stored, ...]:
        """Take what names an entry; of one entry there may be several."""
        track = self._tracks[topic]
        if topic in self._lost:
            self._lost.discard(topic)
            track.take_of(entry.sequence - 1)
        return tuple(track.take_of(entry.sequence))

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
        floor = self._tracks[topic].floor
        if topic in MARKED:
            return floor is not None and entry.sequence >= floor
        firsts = [run.first for run in entry.runs if run.topic == _INPUT_OF[topic]]
        return not firsts or (floor is not None and firsts[0] >= floor)

    @property
    def has_more(self) -> bool:
        """Whether outputs are left, once what no entry accounts for was taken."""
        known = (track for topic, track in self._tracks.items() if topic not in self._lost)
        return any(track.has_more for track in known)

    def foreign(self, positions: Mapping[str, int], tail: int) -> list[Finding]:
        """Return a finding for every output that no entry accounts for.

        Args:
            positions: Of the last entry.
            tail: Its sequence.
        """
        found = []
        for topic, track in self._tracks.items():
            if topic in self._lost:
                continue
            if topic in MARKED:
                left = track.take_of(tail)
            else:
                left = track.rest(positions.get(_INPUT_OF[topic], 0))
            for stored in left:
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

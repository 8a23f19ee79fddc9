"""What a store of cases holds, and the rules by which labels and predictions meet in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.pending import (
    MICROS,
    MOST_JOINED,
    MOST_WAITING,
    Met,
    Source,
    Verdict,
    expiry,
    second,
)

if TYPE_CHECKING:
    from tidemill.contracts.pending import Held, Kept, Progress

RECOVERY = Source("r", -1, -1)


@dataclass(slots=True)
class KeptCase:
    """A prediction that waits."""

    deadline_us: int
    source: Source
    half: bytes


@dataclass(slots=True)
class WaitingLabel:
    """A label that came before a prediction."""

    revision: int
    time_us: int
    text: str
    letter: bytes


@dataclass(slots=True)
class Join:
    """Who joined which label; None is not known any more."""

    by: Source
    label: Source | None
    replaced: str
    text: str
    is_committed: bool = False


@dataclass(slots=True)
class Case:
    """All that is known of one event but its predictions."""

    labels: dict[Source, WaitingLabel] = field(default_factory=dict)
    joins: dict[tuple[str, int], Join] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    settled: dict[tuple[str, Source], Source] = field(default_factory=dict)
    given_up: dict[Source, int] = field(default_factory=dict)
    set_aside: set[Source] = field(default_factory=set)

    def joined(self, stream: str) -> dict[int, Join]:
        """Return the joins of one stream by revision."""
        return {revision: join for (name, revision), join in self.joins.items() if name == stream}

    def forget(self, place: Source) -> None:
        """Drop all that is known of one label."""
        self.labels.pop(place, None)
        self.given_up.pop(place, None)
        self.set_aside.discard(place)
        self.settled = {key: by for key, by in self.settled.items() if key[1] != place}


@dataclass(slots=True)
class State:
    """All that can be forgotten."""

    streams: tuple[str, ...] = ()
    token: str = ""
    ready: str = ""
    recovered: dict[int, str] = field(default_factory=dict)
    applied: dict[tuple[str, int], int] = field(default_factory=dict)
    at: dict[tuple[str, int], int] = field(default_factory=dict)
    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    newest: int | None = None
    kept: dict[tuple[str, bytes], KeptCase] = field(default_factory=dict)
    cases: dict[bytes, Case] = field(default_factory=dict)
    expiring: dict[tuple[int, str, bytes], int] = field(default_factory=dict)
    waiting: dict[tuple[Source, bytes], int] = field(default_factory=dict)

    def case(self, name: bytes) -> Case:
        """Return a case; the first call makes it."""
        return self.cases.setdefault(name, Case())

    def publish(self, kind: str, partition: int, passed: int) -> None:
        """Note that a second has passed in an input partition."""
        self.marks[kind, partition] = max(self.marks.get((kind, partition), passed), passed)

    def passed(self, kind: str, partitions: int) -> int | None:
        """Return the second that has passed in all partitions of an input."""
        found = [self.marks.get((kind, number)) for number in range(partitions)]
        known = [mark for mark in found if mark is not None]
        return min(known) if len(known) == partitions else None

    def is_committed(self, by: Source) -> bool:
        """Whether nothing that a record made can be taken back."""
        return by == RECOVERY or self.at.get((by.kind, by.partition), -1) > by.offset


def store(state: State, partition: int, kept: Kept) -> None:
    """Keep a prediction."""
    source = Source("P", partition, kept.offset)
    state.kept[kept.stream, kept.case] = KeptCase(kept.deadline_us, source, kept.half)
    state.expiring[partition, kept.stream, kept.case] = expiry(kept.deadline_us)


def wait(state: State, place: Source, held: Held) -> None:
    """Let a label wait."""
    label = WaitingLabel(held.revision, held.time_us, held.text, held.letter)
    state.case(held.case).labels.setdefault(place, label)
    state.waiting[place, held.case] = expiry(held.expiry_us)


def keep(state: State, number: int, partition: int, kept: Kept) -> list[Met]:
    """Keep a prediction; return the labels that had waited for it."""
    me, stream = Source("P", partition, kept.offset), kept.stream
    there = state.kept.get((stream, kept.case))
    if there is not None and there.source != me:
        return [Met(number, Verdict.REPEATED, stream)]
    if there is None:
        store(state, partition, kept)
    case = state.case(kept.case)
    met, on_time = [], []
    order = sorted(
        case.labels.items(), key=lambda item: (-item[1].revision, item[1].time_us, str(item[0]))
    )
    for place, label in order:
        if place in case.given_up or case.settled.setdefault((stream, place), me) != me:
            continue
        if label.time_us > kept.deadline_us:
            met.append(Met(number, Verdict.LATE, stream, partition, label.letter))
        else:
            on_time.append((place, label))
    mine = _made_by(case, stream, me)
    if mine is not None and mine.label is not None:
        letter = case.labels[mine.label].letter
        return [*met, Met(number, Verdict.JOINED, stream, partition, letter, mine.replaced)]
    # The newest, unless it is known already: then perhaps one that it replaced is not.
    for place, label in on_time:
        verdict, replaced = decide(case, stream, kept.deadline_us, label)
        if verdict is Verdict.JOINED:
            case.joins[stream, label.revision] = Join(me, place, replaced, label.text)
            return [*met, Met(number, verdict, stream, partition, label.letter, replaced)]
    return met


def hold(state: State, number: int, partition: int, held: Held) -> list[Met]:
    """Join a label to what was predicted, or let it wait; return what came of it."""
    streams = state.streams
    me, case = Source("L", partition, held.offset), state.case(held.case)
    if me in case.set_aside:
        return [Met(number, Verdict.DUPLICATE)]
    handled = [stream for stream in streams if (stream, held.case) in state.kept]
    met = [
        _join(state.kept[stream, held.case], case, (number, stream, me), held) for stream in handled
    ]
    is_crowded = len(case.labels) >= MOST_WAITING and me not in case.labels
    if not handled and is_crowded:
        return [Met(number, Verdict.CROWDED)]
    if len(handled) < len(streams) and not is_crowded:
        wait(state, me, held)
        for stream in handled:
            case.settled[stream, me] = me
    return met or [Met(number, Verdict.WAITING)]


def _join(kept: KeptCase, case: Case, which: tuple[int, str, Source], held: Held) -> Met:
    number, stream, me = which
    mine, by = _made_by(case, stream, me), case.settled.get((stream, me), me)
    joined = (stream, kept.source.partition, kept.half)
    if mine is not None:
        return Met(number, Verdict.JOINED, *joined, mine.replaced)
    if by not in {me, RECOVERY}:
        return Met(number, Verdict.WAITING, stream)
    if held.time_us > kept.deadline_us:
        return Met(number, Verdict.LATE, stream)
    verdict, replaced = decide(case, stream, kept.deadline_us, held)
    if verdict is not Verdict.JOINED:
        return Met(number, verdict, stream)
    case.joins[stream, held.revision] = Join(me, me, replaced, held.text)
    return Met(number, verdict, *joined, replaced)


def decide(
    case: Case, stream: str, deadline_us: int, label: Held | WaitingLabel
) -> tuple[Verdict, str]:
    """Return what a label means after those that were joined, and the text it replaces."""
    joins, revision, text = case.joined(stream), label.revision, label.text
    if not joins:
        return Verdict.JOINED, ""
    if revision in joins or len(joins) >= MOST_JOINED:
        return (Verdict.DUPLICATE if revision in joins else Verdict.CROWDED), ""
    newest = max(joins)
    if revision > newest:
        said = joins[newest].text
        again = _said_again(case, stream, deadline_us, said)
        if text == said:
            case.again[stream] = max(again, revision)
            return Verdict.SAME, ""
        if revision > again:
            return Verdict.JOINED, said
        return Verdict.DUPLICATE if revision == again else Verdict.SUPERSEDED, ""
    return _owed(joins, revision, text)


def _owed(joins: dict[int, Join], revision: int, text: str) -> tuple[Verdict, str]:
    """Join a label that was replaced, if who joined it was forgotten before it was committed."""
    for each, join in joins.items():
        earlier = [other.text for number, other in joins.items() if number < each]
        if each > revision and join.replaced == text and text not in earlier:
            below = max((number for number in joins if number < revision), default=None)
            return Verdict.JOINED, "" if below is None else joins[below].text
    return Verdict.SUPERSEDED, ""


def _said_again(case: Case, stream: str, deadline_us: int, text: str) -> int:
    """Return the newest revision that only said again what was joined last, told or waiting."""
    waiting = [
        label.revision
        for label in case.labels.values()
        if label.text == text and label.time_us <= deadline_us
    ]
    return max([case.again.get(stream, -1), *waiting])


def _made_by(case: Case, stream: str, me: Source) -> Join | None:
    joins = case.joined(stream).values()
    return next((join for join in joins if join.by == me and not join.is_committed), None)


def publish(state: State, partition: int, progress: Progress) -> None:
    """Note what a partition has committed."""
    state.at["P", partition] = progress.predictions
    state.at["L", partition] = progress.labels
    if progress.predicted_us is not None:
        passed = second(progress.predicted_us)
        state.publish("P", partition, passed)
        state.newest = passed if state.newest is None else max(state.newest, passed)
    if progress.labelled_us is not None:
        state.publish("L", partition, second(progress.labelled_us))
    if state.newest is not None:
        before = state.newest - -(-progress.ttl_us // MICROS)
        if progress.predictions_ended:
            state.publish("P", partition, before)
        if progress.labels_ended:
            state.publish("L", partition, before)


def free(state: State, partition: int, bound: int) -> None:
    """Drop the predictions of a partition that no label can meet any more."""
    for key, score in list(state.expiring.items()):
        number, stream, name = key
        if number != partition or score >= bound:
            continue
        case = state.case(name)
        joins = case.joined(stream)
        if all(join.is_committed or state.is_committed(join.by) for join in joins.values()):
            state.kept.pop((stream, name), None)
            case.again.pop(stream, None)
            for revision in joins:
                del case.joins[stream, revision]
            del state.expiring[key]


def give_up(state: State, partition: int, bound: int | None, given: int) -> list[bytes]:
    """Return the labels of a partition, once expired, whose prediction will not come."""
    letters = []
    for (place, name), score in list(state.waiting.items()):
        if place.partition != partition or bound is None or score >= bound:
            continue
        case = state.case(name)
        settled = [by for (_, label), by in case.settled.items() if label == place]
        if not state.is_committed(place) or not all(map(state.is_committed, settled)):
            continue
        is_there = any((stream, name) in state.kept for stream in state.streams)
        number = case.given_up.get(place)
        is_known = bool(settled) or is_there if number is None else number <= given
        if is_known or place not in case.labels:
            case.forget(place)
            del state.waiting[place, name]
        else:
            case.given_up[place] = given + 1
            letters.append(case.labels[place].letter)
    return letters

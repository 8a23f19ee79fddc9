"""What a store of cases holds, and the rules by which labels and predictions meet in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.pending import (
    MOST_WAITING,
    Met,
    Source,
    Verdict,
    asset_of,
    longest_s,
    second,
)
from tidemill.testing.asset_clocks import Clocks
from tidemill.testing.decided_cases import decide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.pending import Held, Kept

RECOVERY = Source("r", -1, -1)


@dataclass(slots=True)
class KeptCase:
    """A prediction that waits; `made` is the second in which it was made."""

    time_us: int
    source: Source
    made: int
    half: bytes


@dataclass(slots=True)
class WaitingLabel:
    """A label that came before a prediction; by `made` the latest of all had been made."""

    revision: int
    time_us: int
    texts: Mapping[str, str]
    letter: bytes
    made: int


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
    told_late: set[Source] = field(default_factory=set)

    def joined(self, stream: str) -> dict[int, Join]:
        """Return the joins of one stream by revision."""
        return {revision: join for (name, revision), join in self.joins.items() if name == stream}

    def forget(self, place: Source) -> None:
        """Drop all that is known of one label."""
        self.labels.pop(place, None)
        self.given_up.pop(place, None)
        self.set_aside.discard(place)
        self.told_late.discard(place)
        self.settled = {key: by for key, by in self.settled.items() if key[1] != place}


class Listed(NamedTuple):
    """Offset of a record, and the second of its event or of its label."""

    offset: int
    at: int


@dataclass(slots=True)
class State:
    """All that can be forgotten.

    By partition: `made` is the newest second in which a prediction was made, `past` the newest of
    an event that lies no later than its prediction, `caught_up` how far `made` was anywhere when
    all events were last found predicted.
    """

    streams: Mapping[str, int] = field(default_factory=dict)
    token: str = ""
    ready: str = ""
    recovered: dict[int, str] = field(default_factory=dict)
    applied: dict[tuple[str, int], int] = field(default_factory=dict)
    at: dict[tuple[str, int], int] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    turn: int = 0
    through: dict[int, int] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
    past: dict[int, int] = field(default_factory=dict)
    caught_up: dict[int, int] = field(default_factory=dict)
    kept: dict[tuple[str, bytes], KeptCase] = field(default_factory=dict)
    cases: dict[bytes, Case] = field(default_factory=dict)
    clocks: dict[str, Clocks] = field(default_factory=dict)
    predictions: dict[tuple[int, str, bytes], Listed] = field(default_factory=dict)
    waiting: dict[tuple[Source, bytes], Listed] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """The longest ttl in seconds."""
        return longest_s(self.streams.values())

    @property
    def newest_made(self) -> int:
        """The newest second in which any prediction was made."""
        return max(self.made.values(), default=0)

    def apply(self, kind: str, partition: int, offset: int) -> None:
        """Note that an input is applied up to an offset."""
        self.applied[kind, partition] = max(self.applied.get((kind, partition), -1), offset)

    def case(self, name: bytes) -> Case:
        """Return a case; the first call makes it."""
        return self.cases.setdefault(name, Case())

    def deadline_us(self, stream: str, kept: KeptCase) -> int:
        """Return the latest time of a label that is not late."""
        return kept.time_us + self.streams[stream]

    def clock(self, name: bytes) -> Clocks:
        """Return the clocks of a case's asset; the first call makes them."""
        return self.clocks.setdefault(asset_of(name), Clocks())

    def known(self, name: bytes) -> Clocks:
        """Return the clocks of a case's asset, or such as show nothing."""
        return self.clocks.get(asset_of(name), Clocks())

    def is_committed(self, by: Source) -> bool:
        """Whether nothing that a record made can be taken back."""
        return by == RECOVERY or self.at.get((by.kind, by.partition), -1) > by.offset


def store(state: State, partition: int, kept: Kept) -> None:
    """Keep a prediction."""
    source, made = Source("P", partition, kept.offset), second(kept.made_us)
    state.kept[kept.stream, kept.case] = KeptCase(kept.time_us, source, made, kept.half)
    at = second(kept.time_us)
    key = partition, kept.stream, kept.case
    state.predictions[key] = Listed(state.predictions.get(key, kept).offset, at)
    state.made[partition] = max(state.made.get(partition, made), made)
    state.past[partition] = max(state.past.get(partition, 0), min(made, at))
    state.clock(kept.case).came(partition, at, state.longest)


def wait(state: State, place: Source, held: Held) -> None:
    """Let a label wait."""
    made, texts = state.newest_made, held.texts
    label = WaitingLabel(held.revision, held.time_us, texts, held.letter, made)
    state.case(held.case).labels.setdefault(place, label)
    place_in_line(state, place, held.case, Listed(place.offset, second(held.time_us)))


def place_in_line(state: State, place: Source, name: bytes, listed: Listed) -> None:
    """Note that a label of a case is waited with."""
    there = state.waiting.get((place, name), listed)
    state.waiting[place, name] = Listed(there.offset, listed.at)
    state.clock(name)


def was_labelled(state: State, partition: int, held: Held) -> None:
    """Note how far the labels of an asset have come, if anything is known of it."""
    clocks = state.clocks.get(asset_of(held.case))
    if clocks is not None:
        clocks.was_labelled(partition, second(held.time_us), state.longest)


def keep(state: State, number: int, partition: int, kept: Kept) -> list[Met]:
    """Keep a prediction; return the labels that had waited for it."""
    me, stream = Source("P", partition, kept.offset), kept.stream
    there = state.kept.get((stream, kept.case))
    if there is not None and there.source != me:
        return [Met(number, Verdict.REPEATED, stream)]
    if there is None:
        store(state, partition, kept)
    case, deadline_us = state.case(kept.case), kept.time_us + state.streams[stream]
    met, on_time = [], []
    order = sorted(
        case.labels.items(), key=lambda item: (-item[1].revision, item[1].time_us, str(item[0]))
    )
    for place, label in order:
        if place in case.given_up or case.settled.setdefault((stream, place), me) != me:
            continue
        refused = _refused(label, stream, deadline_us)
        if refused is not None:
            is_told = refused is Verdict.LATE and place in case.told_late
            met += [] if is_told else [Met(number, refused, stream, partition, label.letter)]
        else:
            on_time.append((place, label))
    mine = _made_by(case, stream, me)
    if mine is not None and mine.label is not None:
        letters = [label.letter for place, label in case.labels.items() if place == mine.label]
        said = [Met(number, Verdict.JOINED, stream, partition, x, mine.replaced) for x in letters]
        return met + said
    # The newest, unless it is known already: then perhaps one that it replaced is not.
    for place, label in on_time:
        verdict, replaced = decide(case, stream, deadline_us, label)
        if verdict is Verdict.JOINED:
            case.joins[stream, label.revision] = Join(me, place, replaced, label.texts[stream])
            return [*met, Met(number, verdict, stream, partition, label.letter, replaced)]
    return met


def _refused(label: WaitingLabel, stream: str, deadline_us: int) -> Verdict | None:
    if stream not in label.texts:
        return Verdict.UNFIT
    return Verdict.LATE if label.time_us > deadline_us else None


def hold(state: State, number: int, partition: int, held: Held) -> list[Met]:
    """Join a label to what was predicted, or let it wait; return what came of it."""
    streams = state.streams
    me, case = Source("L", partition, held.offset), state.case(held.case)
    if me in case.set_aside:
        return [Met(number, Verdict.DUPLICATE)]
    handled = [stream for stream in streams if (stream, held.case) in state.kept]
    met = [_join(state, case, (number, stream, me), held) for stream in handled]
    is_crowded = len(case.labels) >= MOST_WAITING and me not in case.labels
    if not handled and is_crowded:
        return [Met(number, Verdict.CROWDED)]
    if len(handled) < len(streams) and not is_crowded:
        wait(state, me, held)
        for stream in handled:
            case.settled[stream, me] = me
    was_labelled(state, partition, held)
    return met or [Met(number, Verdict.WAITING)]


def _join(state: State, case: Case, which: tuple[int, str, Source], held: Held) -> Met:
    number, stream, me = which
    kept = state.kept[stream, held.case]
    mine, by = _made_by(case, stream, me), case.settled.get((stream, me), me)
    joined = (stream, kept.source.partition, kept.half)
    if mine is not None:
        return Met(number, Verdict.JOINED, *joined, mine.replaced)
    if by not in {me, RECOVERY}:
        return Met(number, Verdict.WAITING, stream)
    if stream not in held.texts:
        return Met(number, Verdict.UNFIT, stream)
    if held.time_us > state.deadline_us(stream, kept):
        return Met(number, Verdict.DUPLICATE if me in case.told_late else Verdict.LATE, stream)
    verdict, replaced = decide(case, stream, state.deadline_us(stream, kept), held)
    if verdict is Verdict.SAME:
        # Nothing else tells of it, so its stretch must be read again.
        place_in_line(state, me, held.case, Listed(me.offset, second(held.time_us)))
    if verdict is not Verdict.JOINED:
        return Met(number, verdict, stream)
    case.joins[stream, held.revision] = Join(me, me, replaced, held.texts[stream])
    return Met(number, verdict, *joined, replaced)


def _made_by(case: Case, stream: str, me: Source) -> Join | None:
    joins = case.joined(stream).values()
    return next((join for join in joins if join.by == me and not join.is_committed), None)

"""What a store of cases lets go of, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.pending import asset_of
from tidemill.testing.asset_clocks import Bound
from tidemill.testing.waiting_cases import RECOVERY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.contracts.pending import Progress, Source
    from tidemill.testing.asset_clocks import Clocks
    from tidemill.testing.waiting_cases import State, WaitingLabel

Key = tuple[int, str, bytes]


class Tidying(NamedTuple):
    """One call: what is tidied, and how far all partitions have come."""

    partition: int
    progress: Progress
    through: int | None
    partitions: int


def free_oldest(state: State, tidying: Tidying) -> int:
    """Free predictions that lie too far back; return of how many a label might still come."""
    partition, progress = tidying.partition, tidying.progress
    before, dropped = progress.predictions - progress.room, 0
    for key, listed in sorted(state.predictions.items(), key=lambda item: item[1].offset):
        if key[0] != partition or listed.offset >= before:
            continue
        clocks, kept = state.known(key[2]), state.kept.get(key[1:])
        if kept is not None and not _has_stood(state, partition, key, kept.made):
            continue
        is_over = clocks.is_over(partition, listed.at, state.longest)
        dropped += _free(state, key) and kept is not None and not is_over
    return dropped


def _has_stood(state: State, partition: int, key: Key, made: int) -> bool:
    """Whether the events of an asset, or of its partition, have come two ttls beyond one."""
    come = max(state.known(key[2]).events.get(partition, 0), state.past.get(partition, 0))
    at = min(state.predictions[key].at, made)
    return made + state.longest < state.made.get(partition, 0) and at + 2 * state.longest < come


def free_over(state: State, tidying: Tidying) -> None:
    """Free the predictions that are over by the clocks of their assets."""
    for asset, clocks in list(state.clocks.items()):
        bound = clocks.bounds.get(tidying.partition)
        if bound is not None and tidying.through is not None and bound.turn <= tidying.through:
            if not _free_until(state, tidying.partition, asset, bound.until):
                continue
            clocks.bounds.pop(tidying.partition, None)
            bound = None
        if bound is None:
            _set_bound(state, tidying.partition, asset, clocks)


def _set_bound(state: State, partition: int, asset: str, clocks: Clocks) -> None:
    until = clocks.over(partition, state.longest)
    cases = _of_asset(state, partition, asset)
    if until is not None and any(state.predictions[key].at <= until for key in cases):
        clocks.bounds[partition] = Bound(until, state.turn)


def _free_until(state: State, partition: int, asset: str, until: int) -> bool:
    """Free predictions of an asset; return whether all of them could be."""
    made = state.made.get(partition, 0)
    over = [key for key in _of_asset(state, partition, asset) if state.predictions[key].at <= until]
    is_done = True
    for key in sorted(over, key=lambda key: (state.predictions[key].at, _member(key))):
        kept = state.kept.get(key[1:])
        if kept is not None and kept.made + state.longest >= made:
            return False
        is_done = _free(state, key) and is_done
    return is_done


def _of_asset(state: State, partition: int, asset: str) -> list[Key]:
    return [key for key in state.predictions if key[0] == partition and asset_of(key[2]) == asset]


def _member(key: Key) -> bytes:
    return key[1].encode() + b"\n" + key[2]


def _free(state: State, key: Key) -> bool:
    """Free one prediction, if nothing that was made of it can be taken back."""
    partition, stream, name = key
    case = state.case(name)
    joins = case.joined(stream)
    if not all(join.is_committed or state.is_committed(join.by) for join in joins.values()):
        return False
    state.kept.pop((stream, name), None)
    case.again.pop(stream, None)
    for revision in joins:
        del case.joins[stream, revision]
    del state.predictions[key]
    asset = asset_of(name)
    if not _of_asset(state, partition, asset):
        clocks = state.known(name)
        clocks.events.pop(partition, None)
        clocks.bounds.pop(partition, None)
        leave(state, asset)
    return True


def leave(state: State, asset: str) -> None:
    """Forget an asset of which nothing is left."""
    waits = any(
        asset_of(name) == asset and place not in state.case(name).given_up
        for place, name in state.waiting
    )
    if not waits and asset in state.clocks and not state.clocks[asset].events:
        del state.clocks[asset]


def settle_given_up(state: State, tidying: Tidying) -> dict[Source, bytes]:
    """Forget what was given up; return what must be said again, for that was not committed."""
    letters: dict[Source, bytes] = {}
    for place, name in [key for key in state.waiting if key[0].partition == tidying.partition]:
        case = state.case(name)
        number = case.given_up.get(place)
        if number is None:
            continue
        if number <= tidying.progress.given_up:
            forget(state, place, name)
        else:
            case.given_up[place] = tidying.progress.given_up + 1
            letters[place] = case.labels[place].letter
    return letters


def give_up_oldest(state: State, tidying: Tidying) -> dict[Source, bytes]:
    """Return the labels that lie too far back."""
    before = tidying.progress.labels - tidying.progress.room
    letters: dict[Source, bytes] = {}
    for key in _in_line(state, tidying.partition):
        label = state.case(key[1]).labels.get(key[0])
        if label is not None and key[0].offset < before and _has_waited(state, label):
            letters |= _give_up(state, tidying.progress.given_up, key)
    return letters


def give_up_passed(state: State, tidying: Tidying) -> dict[Source, bytes]:
    """Return the labels that the events of their assets have passed."""
    letters: dict[Source, bytes] = {}
    for key in _in_line(state, tidying.partition):
        label = state.case(key[1]).labels.get(key[0])
        if _has_waited(state, label) and _is_passed(state, tidying, key, label):
            letters |= _give_up(state, tidying.progress.given_up, key)
    return letters


def _has_waited(state: State, label: WaitingLabel | None) -> bool:
    return label is None or label.made + state.longest < state.newest_made


def _is_passed(
    state: State, tidying: Tidying, key: tuple[Source, bytes], label: WaitingLabel | None
) -> bool:
    events, at = state.known(key[1]).events.values(), state.waiting[key].at
    if events or label is None:
        return not events or at < min(events) - state.longest
    until = label.made + state.longest
    return all(
        state.caught_up.get(number, -1) > until or state.past.get(number, 0) > at + state.longest
        for number in range(tidying.partitions)
    )


def _in_line(state: State, partition: int) -> Iterable[tuple[Source, bytes]]:
    return [
        (place, name)
        for place, name in state.waiting
        if place.partition == partition and place not in state.case(name).given_up
    ]


def _give_up(state: State, given: int, key: tuple[Source, bytes]) -> dict[Source, bytes]:
    """Forget a label of which all is known, or return what is set aside."""
    place, name = key
    case = state.case(name)
    settled = [by for (_, label), by in case.settled.items() if label == place]
    if not state.is_committed(place) or not all(map(state.is_committed, settled)):
        return {}
    label = case.labels.get(place)
    if label is not None and not _is_decided(state, name, place, label):
        case.given_up[place] = given + 1
        leave(state, asset_of(name))
        return {place: label.letter}
    # A revision that said the same again stands before older ones.
    is_kept = any((stream, name) in state.kept for stream in state.streams)
    if is_kept and (label is None or label.revision > 0):
        return {}
    forget(state, place, name)
    return {}


def _is_decided(state: State, name: bytes, place: Source, label: WaitingLabel) -> bool:
    """Whether anything was decided of a label, by what its case holds."""
    case = state.case(name)
    by = [by for (_, each), by in case.settled.items() if each == place and by != RECOVERY]
    if by or case.joins or place in case.set_aside | case.told_late:
        return True
    kept = {stream: state.kept[stream, name] for stream, each in state.kept if each == name}
    return any(
        stream not in label.texts or label.time_us > state.deadline_us(stream, each)
        for stream, each in kept.items()
    )


def forget(state: State, place: Source, name: bytes) -> None:
    """Drop all that is known of one label."""
    state.case(name).forget(place)
    state.waiting.pop((place, name), None)
    leave(state, asset_of(name))

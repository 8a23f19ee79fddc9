"""However records are cut into batches, the same alarms are told and the same is remembered."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.control_room import DEAD, Room
from alerts.test_crashes import LIMITS, Happening, everything, first_of_each, happened
from feedback.stage import definition_text
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import ALERTS_CLOCK, PREDICTIONS
from tidemill.processors.alerts.processor import AlertsFactory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidemill.kernel.records import Message

cuts = st.lists(st.integers(1, 7), min_size=1, max_size=12)


def batches(log: Sequence[Message], sizes: Sequence[int]) -> Iterator[list[Message]]:
    """Cut a log where its topic changes, and after so many records."""
    number = 0
    for _, run in groupby(log, lambda message: message.topic):
        messages = list(run)
        while messages:
            size = sizes[number % len(sizes)]
            yield messages[:size]
            messages = messages[size:]
            number += 1


def take(room: Room, messages: Sequence[Message], *, written: int | None = None) -> None:
    """Have records decided as the runtime does; `written` entries are, and then it is killed."""
    rest = list(messages)
    while rest:
        if rest[0].topic in AlertsFactory.batched:
            noted = room.alerts.note(rest)
            room.table.update(list(noted.entries.items())[:written])
            rest = rest[noted.records :]
        if written is not None:
            return
        if rest:
            room.again(rest.pop(0))


@settings(max_examples=200, deadline=None)
@given(everything, cuts)
def test_batches_tell_and_remember_what_records_one_by_one_do(
    happenings: list[Happening], sizes: list[int]
) -> None:
    one_by_one = happened(Room(LIMITS), happenings)
    room = Room(LIMITS)
    for batch in batches(one_by_one.log, sizes):
        take(room, batch)
    assert room.bytes == one_by_one.bytes
    assert room.table == one_by_one.table


@settings(max_examples=200, deadline=None)
@given(everything, cuts, st.integers(0, 60), st.integers(0, 3))
def test_a_batch_that_a_crash_cut_short_comes_again_and_each_change_has_one_name(
    happenings: list[Happening], sizes: list[int], at: int, written: int
) -> None:
    log = happened(Room(LIMITS), happenings).log
    cut = list(batches(log, sizes))
    if not cut:
        return
    room, at = Room(LIMITS), at % len(cut)
    for batch in cut[:at]:
        take(room, batch)
    take(room, cut[at], written=written)
    room.alerts = room.opened()
    for batch in cut[max(0, at - 1) :]:
        take(room, batch)
    told = first_of_each(room.bytes)
    names = [(r["alarm_id"], r["revision"]) for r in Room.decoded(told)]
    assert len(set(names)) == len(names)


def test_of_predictions_of_a_watched_asset_one_in_a_quarter_of_its_time_is_remembered() -> None:
    room = Room()
    room.predict()
    first = room.log[0]
    later = [first._replace(offset=n, timestamp_ms=first.timestamp_ms + 1000 * n) for n in range(9)]
    assert room.alerts.note(later) == (9, {})
    far = first._replace(offset=9, timestamp_ms=first.timestamp_ms + 150_000)
    noted = room.alerts.note([far])
    assert (noted.records, list(noted.entries)) == (1, [b"0|SILENCE|pump|plant/hall/line/pump-1"])


def test_records_are_noted_up_to_the_first_that_something_is_told_of() -> None:
    room = Room(LIMITS)
    letters = [room.message(DEAD, b"x", "domain") for _ in range(LIMITS.burst + 2)]
    noted = room.alerts.note(letters)
    assert noted.records == LIMITS.burst - 1
    assert room.alerts.note(letters[noted.records :]).records == 0
    take(room, letters[noted.records :])
    assert room.alarms("DEAD_LETTERS") == [("UNACKNOWLEDGED", True)]


def test_what_a_record_told_before_a_crash_it_tells_again_in_whatever_batch_it_comes() -> None:
    room = Room()
    room.predict()
    room.tick(11.0)
    room.hear(12)
    (silent, heard) = (r for r in room.told if r["kind"] == "SILENCE")
    assert (silent["active"], heard["active"]) == (True, False)
    room.alerts = room.opened()
    of_predictions = [message for message in room.log if message.topic == PREDICTIONS]
    before = list(room.bytes)
    take(room, of_predictions)
    assert room.bytes[len(before) :] == [before[-1]]


def test_time_and_drift_are_decided_one_by_one() -> None:
    assert AlertsFactory.batched.isdisjoint({ALERTS_CLOCK, "model.drift"})
    assert AlertsFactory.batched < set(AlertsFactory(parse_definition(definition_text())).inputs)

"""A crash anywhere, and records that come again, tell people nothing twice and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.control_room import START_MS, Room
from feedback.stage import LABELLED, definition_text, prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import PREDICTIONS
from tidemill.processors.alerts.limits import HOUR_MS, Limits
from tidemill.processors.alerts.processor import AlertsFactory

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

LIMITS = Limits(burst=3, together=3)
ASSETS = [f"plant/hall/line/pump-{number}" for number in range(4)]

Happening = tuple[Any, ...]  # Any: a word, and what it takes

episodes = st.tuples(
    st.just("drift"),
    st.sampled_from(["OPEN", "OPEN", "FAULT", "PROCESS_CHANGE", "CLOSED", "NOT_STATIONARY"]),
    st.sampled_from(["d1", "d2"]),
    st.sampled_from(["flow", "heat"]),
)
words = st.tuples(
    st.just("word"),
    st.sampled_from(["ACKNOWLEDGE", "SHELVE"]),
    st.integers(0, 20),
    st.sampled_from([0, HOUR_MS]),
)
refusals = st.tuples(st.just("refusal"), st.sampled_from(ASSETS))
letters = st.tuples(st.just("letters"), st.integers(1, 6))
predictions = st.tuples(st.just("predict"), st.lists(st.sampled_from(ASSETS), min_size=1))
ticks = st.tuples(st.just("tick"), st.sampled_from([0.5, 5.0, 11.0, 61.0]))
people = st.lists(st.one_of(episodes, words, refusals), max_size=25)
everything = st.lists(
    st.one_of(episodes, words, refusals, letters, predictions, ticks), max_size=25
)


def happened(room: Room, happenings: list[Happening]) -> Room:
    for happening in happenings:
        match happening:
            case "drift", status, episode, signal:
                room.drift(status, episode, signal=signal)
            case "word", kind, number, ms:
                alarms = [record["alarm_id"] for record in room.told] or ["none"]
                room.say(kind, alarms[number % len(alarms)], START_MS + ms)
            case "refusal", asset:
                room.refuse(asset=asset)
            case "letters", count:
                room.letters(count)
            case "predict", assets:
                room.predict(assets)
            case "tick", minutes:
                room.tick(minutes)
    return room


def crash(room: Room, message: Message, *, written: int) -> None:
    """Have a record decided, some of its decisions remembered, and nothing told."""
    handled = room.alerts.decide(message)
    entries = {} if handled.key is None else {handled.key: handled.value, **handled.more}
    room.table.update(list(entries.items())[:written])


def disturbed(log: list[Message], at: int, back: int, written: int) -> Room:
    """Return a processor that crashed at a record and has some before it again."""
    room = Room(LIMITS)
    for message in log[:at]:
        room.again(message)
    crash(room, log[at], written=written)
    room.alerts = room.opened()
    for message in log[max(0, at - back) :]:
        room.again(message)
    return room


def first_of_each(values: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(values))


@settings(max_examples=150, deadline=None)
@given(people, st.integers(0, 30), st.integers(0, 5), st.integers(0, 3))
def test_a_crash_anywhere_tells_what_would_have_been_told(
    happenings: list[Happening], at: int, back: int, written: int
) -> None:
    calm = happened(Room(LIMITS), happenings)
    if not calm.log:
        return
    after = disturbed(calm.log, at % len(calm.log), back, written)
    assert first_of_each(after.bytes) == calm.bytes


@settings(max_examples=150, deadline=None)
@given(everything, st.integers(0, 60), st.integers(0, 5), st.integers(0, 3))
def test_each_change_of_an_alarm_has_one_name_whatever_crashes(
    happenings: list[Happening], at: int, back: int, written: int
) -> None:
    log = happened(Room(LIMITS), happenings).log
    if not log:
        return
    after = disturbed(log, at % len(log), back, written)
    named: dict[tuple[str, int], set[bytes]] = {}
    for value in after.bytes:
        record = codec("Alarm").decode(value)
        named.setdefault((record["alarm_id"], record["revision"]), set()).add(value)
    assert all(len(different) == 1 for different in named.values())


@settings(max_examples=100, deadline=None)
@given(everything)
def test_no_condition_has_two_alarms_and_revisions_have_no_gaps(
    happenings: list[Happening],
) -> None:
    room = happened(Room(LIMITS), happenings)
    revisions: dict[str, list[int]] = {}
    for record in room.told:
        revisions.setdefault(record["alarm_id"], []).append(record["revision"])
    assert all(found == list(range(len(found))) for found in revisions.values())
    standing: dict[tuple[Any, ...], str] = {}
    for record in room.told:
        about = (record["kind"], record["asset"])
        if record["kind"] in {"DRIFT", "REFUSED"} and record["state"] != "CLEARED":
            assert standing.setdefault(about, record["alarm_id"]) == record["alarm_id"]
        else:
            standing.pop(about, None)


@settings(max_examples=100, deadline=None)
@given(everything)
def test_the_same_records_tell_the_same(happenings: list[Happening]) -> None:
    room = happened(Room(LIMITS), happenings)
    again = Room(LIMITS)
    for message in room.log:
        again.again(message)
    assert again.bytes == room.bytes
    assert again.table == room.table


def test_of_two_entries_that_holds_which_takes_account_of_more() -> None:
    room = Room()
    factory = AlertsFactory(parse_definition(definition_text()))
    first = room.drift("OPEN", "d2", signal="b").value
    second = room.drift("OPEN", "d3", signal="c").value
    assert factory.valid(first, second) == second
    assert factory.valid(second, first) == second


def test_predictions_are_read_only_where_silence_is_an_alarm() -> None:
    quiet = {**LABELLED, "alerts": {"silence": "never"}}
    without, heard = (
        AlertsFactory(parse_definition(text)).inputs
        for text in (definition_text(quiet), definition_text())
    )
    assert set(heard) - set(without) == {PREDICTIONS}
    assert len(without) == len(heard) - 1


def test_a_tick_decided_again_tells_no_silence_that_came_after_it() -> None:
    room = Room()
    room.predict()
    table = dict(room.table)
    room.tick(1.0, lag=None)
    tick = room.log[-1]
    room.now_ms += 30 * 60_000
    room.table = table
    room.alerts = room.opened()
    room.take(room.message(PREDICTIONS, prediction_of("plant/hall/line/other")))
    room.again(tick)
    assert room.alarms() == []


def prediction_of(asset: str) -> bytes:
    return codec("Prediction").encode(prediction(1, asset))


def test_silence_is_not_told_too_early_by_who_was_started_again() -> None:
    room = Room()
    room.predict()
    room.now_ms += 120_000
    room.predict()
    room.alerts = room.opened()
    room.tick(9.9)
    assert room.alarms() == []
    room.tick(2.6)
    assert room.alarms() == [("UNACKNOWLEDGED", True)]

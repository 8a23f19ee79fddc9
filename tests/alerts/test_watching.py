"""What time makes of alarms while reading lags, workers begin anew and plants stop in parts."""

from __future__ import annotations

import pytest

from alerts.control_room import ASSET, START_MS, Room
from tidemill.contracts.topics import ALERTS_CLOCK
from tidemill.processors.alerts.limits import DAY_MS, HOUR_MS, MINUTE_MS

RAISED, GONE = ("UNACKNOWLEDGED", True), ("UNACKNOWLEDGED", False)
ACKNOWLEDGED, CLEARED = ("ACKNOWLEDGED", True), ("CLEARED", False)
SHELVED = ("SHELVED", True)
MANY = [f"plant/hall/line/pump-{number}" for number in range(8)]


def silenced() -> Room:
    """Return a plant that stands still, which somebody has seen."""
    room = Room()
    room.predict(MANY)
    room.tick(10.0)
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    assert room.alarms() == [RAISED, ACKNOWLEDGED]
    return room


def test_one_asset_that_is_heard_of_again_does_not_end_the_silence_of_all_while_reading_lags() -> (
    None
):
    room = silenced()
    room.tick(5.0, lag=1)
    room.predict(MANY[:1])
    room.tick(0.2, lag=1)
    assert room.alarms() == [RAISED, ACKNOWLEDGED]
    room.predict(MANY[1:])
    room.tick(0.2, lag=1)
    assert room.alarms() == [RAISED, ACKNOWLEDGED, CLEARED]


def test_a_silence_of_all_outlives_a_worker_that_has_read_nothing_yet() -> None:
    room = silenced()
    room.alerts = room.opened()
    room.tick(0.2, lag=None)
    room.tick(0.2)
    assert room.alarms() == [RAISED, ACKNOWLEDGED]


def test_an_asset_that_falls_silent_after_another_came_back_is_news() -> None:
    room = Room()
    room.predict(MANY[:-1])
    room.tick(5.0)
    room.predict(MANY[-1:])
    room.tick(5.0)
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    room.predict(MANY[:2])
    room.tick(1.0)
    assert room.alarms() == [RAISED, ACKNOWLEDGED]
    room.tick(4.0)
    assert room.alarms() == [RAISED, ACKNOWLEDGED, RAISED]
    assert room.last["count"] == 6


def test_a_plant_that_stops_asset_by_asset_is_a_few_alarms_and_one() -> None:
    room = Room()
    for asset in MANY:
        room.predict([asset])
        room.now_ms += 20_000
    room.now_ms += 7 * MINUTE_MS
    for _ in range(20):
        room.tick(1 / 6)
    told = [record for record in room.told if record["kind"] == "SILENCE"]
    single = [record["asset"] for record in told if record["asset"] is not None]
    assert single == MANY[:4]
    assert {record["alarm_id"] for record in told if record["asset"] is None} == {
        room.last["alarm_id"]
    }


def test_assets_that_fall_silent_now_and_then_are_alarms_of_their_own() -> None:
    room = Room()
    for asset in MANY:
        room.predict([asset])
        room.now_ms += 2 * MINUTE_MS
    for _ in range(20):
        room.tick(1.0)
    assert {record["asset"] for record in room.told if record["kind"] == "SILENCE"} == set(MANY)


def test_a_tick_that_was_written_late_says_nothing_of_the_time_until_then() -> None:
    room = Room()
    room.predict()
    room.letters(10)
    room.tick(1.0, written_late=30.0)
    assert room.alarms() == [RAISED]
    room.tick(0.0)
    assert room.alarms() == [RAISED, GONE, RAISED]


def test_a_record_of_the_clock_that_no_worker_wrote_counts_as_one_that_cannot_be_read() -> None:
    room = Room()
    for value in [b"nonsense", b"[]", b"{}", b'{"lag": 3, "looked": 1}', None] * 2:
        room.take(room.message(ALERTS_CLOCK, value))
    assert room.last["kind"] == "DEAD_LETTERS"
    assert ALERTS_CLOCK in room.last["note"]


def test_a_burst_that_goes_on_slowly_outlives_a_worker() -> None:
    room = Room()
    room.letters(10)
    for _ in range(8):
        room.now_ms += MINUTE_MS
        room.letters(1)
    room.alerts = room.opened()
    room.tick(0.2)
    assert room.alarms() == [RAISED]
    room.tick(6.5)
    assert room.alarms() == [RAISED, GONE]


def test_a_burst_that_is_shelved_is_told_of_once_that_ends() -> None:
    room = Room()
    room.letters(10)
    room.say("SHELVE", room.last["alarm_id"], START_MS + MINUTE_MS)
    room.letters(100)
    assert room.alarms() == [RAISED, SHELVED]
    room.tick(1.0)
    assert room.alarms() == [RAISED, SHELVED, RAISED]
    assert room.last["count"] == 110


def test_an_alarm_of_an_asset_with_hundreds_of_sensors_stands_until_the_last_is_back() -> None:
    room = Room()
    signals = [f"sensor-{number}" for number in range(500)]
    for signal in signals:
        room.drift(kind="FEATURE", signal=signal, episode=signal)
    for signal in signals[:0:-1]:
        room.drift("CLOSED", kind="FEATURE", signal=signal, episode=signal)
    assert room.alarms()[-1] == RAISED
    room.drift("CLOSED", kind="FEATURE", signal=signals[0], episode=signals[0])
    assert room.alarms()[-1] == GONE


@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_where_silence_is_no_alarm_any_more_none_is_left(*, is_acknowledged: bool) -> None:
    room = Room()
    room.predict()
    room.tick(10.0)
    if is_acknowledged:
        room.say("ACKNOWLEDGE", room.last["alarm_id"])
    room.allowed = {}
    room.alerts = room.opened()
    room.tick(1.0)
    assert room.alarms()[-1] == CLEARED
    assert f"silence of {ASSET} is an alarm no more" in room.last["note"]
    room.tick(4.0)
    assert room.told[-1]["note"] == "checked 0 assets, all normal"
    room.tick(HOUR_MS / MINUTE_MS)
    assert len(room.table) == 1


def test_with_an_asset_that_never_comes_back_its_drift_is_given_up() -> None:
    room = Room()
    room.predict([ASSET])
    room.drift()
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    room.drift(episode="other", asset="plant/hall/line/pump-9")
    room.tick(10.0)
    room.tick(30 * DAY_MS / MINUTE_MS)
    last = {(r["kind"], r["asset"]): r["state"] for r in room.told if r["asset"] is not None}
    assert last == {
        ("DRIFT", ASSET): "CLEARED",
        ("SILENCE", ASSET): "CLEARED",
        ("DRIFT", "plant/hall/line/pump-9"): "UNACKNOWLEDGED",
    }


def test_of_drift_before_alerts_first_started_only_what_is_open_is_an_alarm() -> None:
    room = Room(is_new=True)
    room.drift(kind="ERROR", episode="over")
    room.drift("CLOSED", kind="ERROR", episode="over")
    for number in range(3):
        room.drift(kind="FEATURE", signal=f"s{number}", episode=f"d{number}")
    room.drift("CLOSED", kind="FEATURE", signal="s1", episode="d1")
    room.tick(61.0, lag=4)
    assert room.told == []
    room.tick(1.0)
    assert [(r["kind"], r["state"], r["count"]) for r in room.told] == [
        ("DRIFT", "UNACKNOWLEDGED", 2),
        ("HEARTBEAT", "CLEARED", 1),
    ]
    assert "episode d2" in room.told[0]["note"]
    room.drift(kind="ERROR", episode="new")
    for number in (0, 2):
        room.drift("CLOSED", kind="FEATURE", signal=f"s{number}", episode=f"d{number}")
    assert room.alarms() == [RAISED, RAISED, GONE]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_what_is_open_at_the_first_start_is_an_alarm_though_a_crash_cuts_it_short(
    written: int,
) -> None:
    room = Room(is_new=True)
    room.drift(kind="FEATURE", signal="a", episode="a")
    room.drift(kind="ERROR", episode="b")
    tick = room.message(ALERTS_CLOCK, b'{"lag": {"model.drift": 0}, "looked": 1800000000000}')
    handled = room.alerts.decide(tick)
    assert handled.key is not None
    entries = {handled.key: handled.value, **handled.more}
    assert len(entries) == 3
    room.table.update(list(reversed(entries.items()))[:written])
    room.alerts = room.opened()
    room.again(tick)
    assert room.alarms() == [RAISED, RAISED]


def test_where_a_stream_stays_its_assets_are_watched_for_a_month() -> None:
    room = Room()
    room.predict()
    room.tick(29 * DAY_MS / MINUTE_MS)
    assert room.alarms() == [RAISED]
    assert len(room.table) == 2


def test_a_heartbeat_says_what_was_not_read() -> None:
    room = Room()
    room.predict()
    room.tick(0.0, lag=7)
    assert room.told[-1]["note"].startswith("checked 1 assets, all normal; not yet read: 7 of ")
    room.tick(5.0, lag=None)
    assert "not yet read: model.drift, model.predictions, " in room.told[-1]["note"]

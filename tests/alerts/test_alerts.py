"""What the alerts processor tells people, in which words, and how often."""

from __future__ import annotations

import pytest

from alerts.control_room import ASSET, START_MS, Room
from tidemill.contracts.topics import DRIFT, FEEDBACK
from tidemill.processors.alerts.limits import DAY_MS, HOUR_MS, MINUTE_MS, Limits

RAISED, GONE = ("UNACKNOWLEDGED", True), ("UNACKNOWLEDGED", False)
ACKNOWLEDGED, CLEARED = ("ACKNOWLEDGED", True), ("CLEARED", False)
SHELVED, SHELVED_GONE = ("SHELVED", True), ("SHELVED", False)
MANY = [f"plant/hall/line/pump-{number}" for number in range(8)]


def test_an_episode_is_an_alarm_until_it_ends_and_somebody_says_so() -> None:
    room = Room()
    room.drift()
    room.say("ACKNOWLEDGE", room.last["alarm_id"], comment="a new recipe")
    room.drift("PROCESS_CHANGE")

    assert room.alarms() == [RAISED, ACKNOWLEDGED, CLEARED]
    assert [record["revision"] for record in room.told] == [0, 1, 2]
    assert len({record["alarm_id"] for record in room.told}) == 1
    assert room.told[1]["actor"] == "ann"
    assert room.told[1]["note"] == "a new recipe"
    assert room.told[2]["actor"] is None
    assert "process_change" in room.told[2]["note"]
    assert {record["asset"] for record in room.told} == {ASSET}


def test_an_alarm_that_is_over_waits_for_its_acknowledgement() -> None:
    room = Room()
    room.drift()
    room.drift("CLOSED")
    assert room.alarms() == [RAISED, GONE]
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    assert room.alarms() == [RAISED, GONE, CLEARED]


def test_an_alarm_after_one_that_was_cleared_is_another_one() -> None:
    room = Room()
    for _ in range(2):
        room.drift()
        room.say("ACKNOWLEDGE", room.last["alarm_id"])
        room.drift("CLOSED")
    first, second = room.told[0], room.told[3]
    assert first["alarm_id"] != second["alarm_id"]
    assert second["revision"] == 0
    room.drift(episode="d2")
    room.say("ACKNOWLEDGE", first["alarm_id"])
    assert room.alarms()[-1] == RAISED


def test_episodes_of_an_asset_are_one_alarm_and_another_signal_is_news() -> None:
    room = Room()
    room.drift(kind="FEATURE", signal="flow", episode="a")
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    room.drift(kind="FEATURE", signal="flow", episode="a")
    assert len(room.alarms()) == 2
    room.drift(kind="FEATURE", signal="heat", episode="b")
    assert room.alarms() == [RAISED, ACKNOWLEDGED, RAISED]
    room.drift("CLOSED", kind="FEATURE", signal="heat", episode="b")
    assert len(room.alarms()) == 3
    room.drift("CLOSED", kind="FEATURE", signal="flow", episode="a")
    assert room.alarms()[-1] == GONE


def test_what_is_promised_nothing_is_no_alarm() -> None:
    room = Room()
    room.drift("NOT_STATIONARY")
    assert room.alarms() == []


def test_a_burst_of_dead_letters_is_one_alarm_told_again_when_it_has_doubled() -> None:
    room = Room()
    room.letters(9)
    assert room.alarms() == []
    room.letters(991)
    assert room.alarms() == [RAISED] * 7
    assert [record["count"] for record in room.told] == [10, 20, 40, 80, 160, 320, 640]
    room.tick(4.0)
    assert room.alarms()[-1] == RAISED
    room.tick(1.0)
    assert room.alarms()[-1] == GONE


def test_a_few_dead_letters_now_and_then_are_none() -> None:
    room = Room()
    for _ in range(50):
        room.letters(1)
        room.now_ms += MINUTE_MS
    assert room.alarms() == []


def test_a_record_that_cannot_be_read_counts_like_a_dead_letter() -> None:
    room = Room(Limits(burst=2))
    for _ in range(2):
        room.take(room.message(DRIFT, b"\0nonsense"))
    assert room.last["kind"] == "DEAD_LETTERS"
    assert DRIFT in room.last["note"]


def test_refusals_of_an_asset_are_one_alarm_and_end_by_themselves() -> None:
    room = Room()
    room.refuse(status="APPLIED")
    assert room.alarms() == []
    room.refuse(3)
    assert room.alarms() == [RAISED, RAISED]
    assert "CORRECTED of ann refused: it may not" in room.last["note"]
    room.tick(61.0)
    assert room.alarms()[-1] == GONE


def test_a_silent_asset_is_an_alarm_until_it_is_heard_of() -> None:
    room = Room()
    room.predict()
    room.tick(9.9)
    assert room.alarms() == []
    room.tick(0.1)
    assert room.alarms() == [RAISED]
    assert room.last["kind"] == "SILENCE"
    assert room.last["asset"] == ASSET
    assert "nothing from asset" in room.last["note"]
    assert "event e1" in room.last["note"]
    room.hear(9)
    assert room.alarms() == [RAISED]
    room.hear(2)
    assert room.alarms() == [RAISED, GONE]
    assert "heard from asset" in room.last["note"]


def test_an_asset_that_reports_as_rarely_as_it_may_is_one_alarm() -> None:
    room = Room()
    for _ in range(6):
        room.predict()
        room.tick(10.5)
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    for _ in range(6):
        room.hear(9)
        room.tick(10.5)
    assert room.alarms() == [RAISED, ACKNOWLEDGED]
    room.hear(11)
    assert room.alarms() == [RAISED, ACKNOWLEDGED, CLEARED]
    room.tick(10.0)
    assert room.alarms() == [RAISED, ACKNOWLEDGED, CLEARED, RAISED]


def test_how_long_an_asset_is_heard_of_again_outlives_a_worker() -> None:
    room = Room()
    room.predict()
    room.tick(10.0)
    room.hear(6)
    room.alerts = room.opened()
    room.hear(4)
    assert room.alarms() == [RAISED]
    room.hear(1)
    assert room.alarms() == [RAISED, GONE]


def test_an_asset_that_nobody_watches_may_be_silent() -> None:
    room = Room(allowed={})
    room.predict()
    room.tick(1000.0)
    assert room.alarms() == []


def test_what_is_not_read_yet_is_not_silence() -> None:
    room = Room()
    room.predict()
    room.tick(60.0, lag=5)
    assert room.alarms() == []
    room.tick(0.0, lag=None)
    assert room.alarms() == []
    room.tick(0.0, lag=0)
    assert room.alarms() == [RAISED]


def test_of_others_that_are_heard_of_silence_is_told_though_reading_lags() -> None:
    room = Room()
    room.predict(MANY[:2])
    for _ in range(11):
        room.now_ms += MINUTE_MS
        room.predict(MANY[:1])
    room.tick(0.0, lag=5)
    assert [record["asset"] for record in room.told if record["kind"] == "SILENCE"] == [MANY[1]]


def test_many_assets_that_fall_silent_at_once_are_one_alarm() -> None:
    room = Room()
    room.predict(MANY)
    room.tick(10.0)
    room.tick(1.0)
    assert room.alarms() == [RAISED]
    assert room.last["asset"] is None
    assert room.last["count"] == len(MANY)
    room.predict(MANY[:-1])
    room.tick(0.2)
    assert room.alarms() == [RAISED]
    room.predict(MANY[-1:])
    room.tick(0.2)
    assert room.alarms() == [RAISED, GONE]


def test_an_asset_that_joins_a_silence_already_acknowledged_is_news() -> None:
    room = Room()
    room.predict(MANY[:-1])
    room.tick(5.0)
    room.predict(MANY[-1:])
    room.tick(5.0)
    room.say("ACKNOWLEDGE", room.last["alarm_id"])
    room.tick(5.0)
    assert room.alarms() == [RAISED, ACKNOWLEDGED, RAISED]


def test_an_asset_that_never_comes_back_is_given_up() -> None:
    room = Room()
    room.predict()
    room.tick(10.0)
    room.tick(30 * DAY_MS / MINUTE_MS)
    assert room.alarms() == [RAISED, CLEARED]
    room.tick(31 * DAY_MS / MINUTE_MS)
    room.tick(1.0)
    assert room.alarms() == [RAISED, CLEARED]
    assert len(room.alerts) == 1
    assert len(room.table) == 1


def test_a_shelved_alarm_says_nothing_until_its_time_is_over() -> None:
    room = Room()
    room.drift()
    name = room.last["alarm_id"]
    room.say("SHELVE", name, START_MS + HOUR_MS)
    assert room.last["until"] == (START_MS + HOUR_MS) * 1000
    room.drift(episode="d2", signal="other")
    room.say("ACKNOWLEDGE", name)
    assert room.alarms() == [RAISED, SHELVED]
    room.tick(59.0)
    room.tick(1.0)
    assert room.alarms() == [RAISED, SHELVED, RAISED]
    assert room.last["until"] is None
    assert room.last["count"] == 2


def test_what_is_over_while_it_is_shelved_is_cleared_when_that_ends() -> None:
    room = Room()
    room.drift()
    room.say("SHELVE", room.last["alarm_id"], START_MS + HOUR_MS)
    room.drift("FAULT")
    room.tick(60.0)
    assert room.alarms() == [RAISED, SHELVED, SHELVED_GONE, CLEARED]


def test_nothing_is_shelved_for_longer_than_a_day_and_a_time_that_is_over_unshelves() -> None:
    room = Room()
    room.drift()
    room.say("SHELVE", room.last["alarm_id"], START_MS + 100 * DAY_MS)
    assert room.last["until"] == (START_MS + DAY_MS) * 1000
    room.say("SHELVE", room.last["alarm_id"], START_MS)
    assert room.alarms() == [RAISED, SHELVED, RAISED]


@pytest.mark.parametrize("kind", ["ACKNOWLEDGE", "SHELVE"])
def test_words_on_an_alarm_that_is_none_change_nothing(kind: str) -> None:
    room = Room()
    room.tick()
    room.drift()
    room.say(kind, "unknown", START_MS + HOUR_MS)
    room.say(kind, "heartbeat-0", START_MS + HOUR_MS)
    room.say(kind, room.last["alarm_id"], START_MS + HOUR_MS, actor="")
    room.say("FREEZE", room.last["alarm_id"])
    room.take(room.message(FEEDBACK, b"nonsense"))
    assert room.alarms() == [RAISED]


def test_a_heartbeat_says_that_all_was_looked_at() -> None:
    room = Room()
    room.predict()
    room.tick()
    assert room.told[-1]["kind"] == "HEARTBEAT"
    assert room.told[-1]["note"] == "checked 1 assets, all normal"
    room.tick(4.9)
    assert len(room.told) == 1
    room.drift()
    room.tick(0.1)
    assert room.told[-1]["note"] == "checked 1 assets, 1 alarms, 1 unacknowledged"
    assert [r["revision"] for r in room.told if r["kind"] == "HEARTBEAT"] == [0, 1]


def test_what_is_over_is_forgotten_and_what_nobody_acknowledged_is_cleared_after_a_month() -> None:
    room = Room()
    room.drift()
    room.drift("CLOSED")
    room.tick(30 * DAY_MS / MINUTE_MS)
    assert room.alarms() == [RAISED, GONE, CLEARED]
    room.tick(61.0)
    assert len(room.table) == 1

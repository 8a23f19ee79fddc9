"""`tidemill alerts`: what is refused before it is sent, and what is looked for afterwards."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tidemill.cli.alerts import Place
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARM_STATES, ALARMS
from tidemill.kernel.records import Position
from tidemill.processors.alerts.standing import At, Standing, signalled
from tidemill.processors.alerts.states import Signal
from tidemill.runtime.alarm_topic import Alarm, changes_from, read_alarms
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.memory_log import MemoryLog

from .command import MISCONFIGURED, run

WHERE = ("-b", "127.0.0.1:1")


def alarm(revision: int = 0, state: str = "UNACKNOWLEDGED", **known: object) -> dict[str, Any]:
    return {
        "alarm_id": "a",
        "asset": "north/1",
        "kind": "DRIFT",
        "state": state,
        "since": 1_800_000_000_000_000,
        "revision": revision,
        "actor": None,
        "note": None,
        "until": None,
        "active": True,
        "stream": "pump",
        **known,
    }


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> list[Alarm]:
    """Alarms that the commands find."""
    found = [Alarm(alarm(), Position(ALARMS, 0, 3))]
    monkeypatch.setattr(Place, "alarms", lambda _, *, every=False: found)
    return found


@pytest.mark.usefixtures("standing")
@pytest.mark.parametrize("until", ["now", "2026-01-01T00:00:00Z"])
def test_the_end_of_a_shelf_is_refused_where_there_is_none(until: str) -> None:
    ran = run("alerts", "shelve", "a", "--until", until, "--actor", "ann", *WHERE)
    assert (ran.code, ran.problems) == (
        MISCONFIGURED,
        ("--until: must be later than now, for the alarm is UNACKNOWLEDGED",),
    )


@pytest.mark.usefixtures("standing")
def test_who_says_so_is_asked_before_anything_is_sent() -> None:
    ran = run("alerts", "ack", "a", "--actor", "", "--role", "", *WHERE)
    assert ran.code == MISCONFIGURED
    assert [problem.partition(":")[0] for problem in ran.problems] == ["--actor", "--role"]


def test_words_on_alarms_that_are_over_or_unknown_are_refused(standing: list[Alarm]) -> None:
    said = ("--actor", "ann", *WHERE)
    assert "was 'b'" in run("alerts", "ack", "b", *said).said
    standing[:] = [Alarm(alarm(2, "CLEARED", active=False), Position(ALARMS, 0, 5))]
    assert "it is CLEARED" in run("alerts", "ack", "a", *said).said
    assert "it is CLEARED" in run("alerts", "shelve", "a", "--until", "1h", *said).said


def test_a_change_is_found_behind_the_one_that_was_seen_though_more_came_since() -> None:
    cluster, reading = MemoryCluster({ALARMS: 1}), codec("Alarm")
    log = MemoryLog(cluster)

    def tell(**known: Any) -> None:  # Any: of `alarm`
        cluster.append(ALARMS, 0, reading.encode(alarm(**known)))

    tell()
    (seen,) = read_alarms(log, 1, reading)
    assert changes_from(log, seen, 1, reading) == ([], 1)
    tell(alarm_id="b", revision=1, actor="ann")
    tell(revision=1, state="ACKNOWLEDGED", actor="ann")
    tell()
    cluster.append(ALARMS, 0, b"nonsense")
    tell(revision=2, state="CLEARED", active=False)
    changes, end = changes_from(log, seen, 1, reading)
    found = [(change.record["revision"], change.record["actor"]) for change in changes]
    assert (found, end) == ([(1, "ann"), (2, None)], 6)
    assert changes_from(log, seen, end, reading) == ([], 6)
    last = read_alarms(log, 1, reading)
    assert {each.record["alarm_id"]: each.record["state"] for each in last}["a"] == "CLEARED"


def test_waiting_for_what_never_comes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = MemoryCluster({ALARMS: 1})
    log = MemoryLog(cluster)
    log.close = lambda: None  # type: ignore[attr-defined]  # as a log of a broker has it
    monkeypatch.setattr("tidemill.cli.alerts.KafkaLog", lambda _: log)
    place, began = Place("127.0.0.1:1", {}), time.monotonic()
    seen = Alarm(alarm(), Position(ALARMS, 0, 0))
    cluster.append(ALARMS, 0, codec("Alarm").encode(alarm()))
    assert place.next_change(seen, "ann", place.end(seen), 0.3) is None
    assert time.monotonic() - began >= 0.3
    cluster.append(ALARMS, 0, codec("Alarm").encode(alarm(1, "ACKNOWLEDGED", actor="ann")))
    found = place.next_change(seen, "ann", 1, 60.0)
    assert found is not None
    assert found.record["state"] == "ACKNOWLEDGED"


def stood(name: str, asset: str | None, offset: int = 7) -> Standing:
    """Return the condition of an alarm that stands."""
    at = At(Position("model.drift", 0, offset), 1_800_000_000_000)
    raised = signalled(Standing(name, "DRIFT", asset), Signal.RAISED, at, note="moved")
    assert raised is not None
    return raised


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    """Where the commands look."""
    cluster = MemoryCluster({ALARMS: 2, ALARM_STATES: 2})
    log = MemoryLog(cluster)
    log.close = lambda: None  # type: ignore[attr-defined]  # as a log of a broker has it
    monkeypatch.setattr("tidemill.cli.alerts.KafkaLog", lambda _: log)
    counts = {ALARMS: 2, ALARM_STATES: 2}
    monkeypatch.setattr("tidemill.cli.alerts.partition_counts", lambda *_: counts)
    return cluster


def keep(cluster: MemoryCluster, standing: Standing, partition: int = 1) -> None:
    key = f"{partition}|{standing.name}".encode()
    cluster.append(ALARM_STATES, partition, standing.encode(), key=key)


def listed(*flags: str) -> list[dict[str, Any]]:
    ran = run("alerts", "list", "--json", *flags, *WHERE)
    assert ran.code == 0, ran
    found: list[dict[str, Any]] = json.loads(ran.out)["alarms"]
    return found


def test_an_alarm_that_stands_is_listed_though_nothing_of_it_is_retained(
    cluster: MemoryCluster,
) -> None:
    standing = stood("old", "north/1")
    keep(cluster, standing)
    keep(cluster, Standing("SILENCE|pump|north/2", "SILENCE", "north/2", "pump"))
    (found,) = listed()
    assert (found["alarm_id"], found["state"], found["note"]) == (
        standing.alarm_id,
        "UNACKNOWLEDGED",
        "moved",
    )
    assert listed("--all") == [found]
    assert listed("--asset", "north/2") == []
    assert Place("127.0.0.1:1", {}).alarm(standing.alarm_id).position.partition == 1


def test_alarms_are_listed_without_a_look_at_what_was_told(cluster: MemoryCluster) -> None:
    for revision in range(3):
        told = alarm(revision, "CLEARED", alarm_id="heartbeat-0", kind="HEARTBEAT", active=False)
        cluster.append(ALARMS, 0, codec("Alarm").encode(told))
    keep(cluster, stood("known", "north/1"))
    assert [found["kind"] for found in listed()] == ["DRIFT"]
    kinds = [(found["kind"], found["revision"]) for found in listed("--all")]
    assert kinds == [("DRIFT", 0), ("HEARTBEAT", 2)]


def test_what_a_worker_wrote_that_had_lost_the_partition_is_not_listed(
    cluster: MemoryCluster,
) -> None:
    raised = stood("known", "north/1")
    seen = signalled(raised, Signal.ACKNOWLEDGED, At(Position("operator.feedback", 0, 1), 1))
    assert seen is not None
    keep(cluster, seen)
    keep(cluster, raised)
    assert [found["state"] for found in listed()] == ["ACKNOWLEDGED"]
    cluster.append(ALARM_STATES, 1, None, key=b"1|known")
    assert listed() == []

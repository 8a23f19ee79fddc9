"""Logs: JSON lines for machines, one per change of state."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from runtime.learners import (
    BAD,
    ReportingTask,
    plant_cluster,
    run_until_idle,
    send_events,
    start_learner,
)
from tidemill.contracts.topics import EVENTS
from tidemill.kernel.errors import InvariantError, SnapshotRefusal
from tidemill.kernel.reports import Corrections, Refused, Report
from tidemill.runtime.logs import (
    REFUSED_SHOWN,
    LoggingObserver,
    Observers,
    configure_logs,
    log_halt,
)
from tidemill.runtime.observer import Committed, Silent
from tidemill.testing.faults import Operation, abortable
from tidemill.testing.plants import sample_terms

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    """Says that people watch."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs(stream)
    yield stream
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def names(out: io.StringIO) -> list[str]:
    return [line["event"] for line in lines(out)]


def commit(task: ReportingTask, finished: float) -> Committed:
    return Committed([], [], {0: task}, seconds=0.01, finished=finished)


def test_a_line_is_json_with_event_level_time_and_who(out: io.StringIO) -> None:
    LoggingObserver("learner", "7").assigned([0, 3])

    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "assigned",
        "level": "info",
        "processor": "learner",
        "instance": "7",
        "partitions": [0, 3],
    }


def test_by_default_logs_go_to_stderr_and_never_to_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs()
    LoggingObserver("learner", "0").started(plant="sample", probes="127.0.0.1:1")
    structlog.reset_defaults()

    captured = capsys.readouterr()
    assert json.loads(captured.err)["probes"] == "127.0.0.1:1"
    assert captured.out == ""


def test_on_a_terminal_lines_are_for_people_and_cannot_move_the_cursor() -> None:
    out = Terminal()
    configure_logs(out)
    LoggingObserver("learner", "0").aborted("DEADLINE\x1b[2J")
    structlog.reset_defaults()

    assert "aborted" in out.getvalue()
    assert not out.getvalue().startswith("{")
    assert "\x1b[2J" not in out.getvalue()


def test_a_halt_by_an_error_of_ours_is_one_line_without_a_trace(out: io.StringIO) -> None:
    log_halt(InvariantError("offsets must agree, they do not"))

    (line,) = lines(out)
    assert line["event"] == "halted"
    assert line["level"] == "error"
    assert line["error"] == "InvariantError"
    assert line["reason"] == "offsets must agree, they do not"
    assert "exception" not in line


def test_a_halt_by_anything_else_says_how_it_came_there(out: io.StringIO) -> None:
    try:
        int("no number")
    except ValueError as error:
        log_halt(error)

    (line,) = lines(out)
    assert line["error"] == "ValueError"
    assert "test_logs.py" in line["exception"]


def test_a_revocation_is_told(out: io.StringIO) -> None:
    LoggingObserver("learner", "0").assigned([])

    assert names(out) == ["unassigned"]


def test_a_restore_tells_what_it_took_and_names_some_of_what_it_refused(out: io.StringIO) -> None:
    refused = tuple(
        Refused(f"learner.snapshots-0@{n}", "it was altered", SnapshotRefusal.ALTERED)
        for n in range(50)
    )
    task = ReportingTask(Report(refolded=12, models=3, refused=refused))

    LoggingObserver("learner", "0").restored(0, task, 1.23456)

    *warnings, restored = lines(out)
    assert len(warnings) == REFUSED_SHOWN
    assert warnings[0]["level"] == "warning"
    assert warnings[0]["position"] == "learner.snapshots-0@0"
    assert restored["seconds"] == 1.235
    assert restored["refolded"] == 12
    assert restored["models"] == 3
    assert restored["snapshots_refused"] == 50


def test_a_model_that_a_changed_definition_replaced_is_named(out: io.StringIO) -> None:
    task = ReportingTask(Report(replaced=("press/champion",)))

    LoggingObserver("learner", "0").restored(2, task, 0.1)

    told, _ = lines(out)
    assert (told["event"], told["level"]) == ("model replaced", "warning")
    assert (told["partition"], told["model"]) == (2, "press/champion")


def test_an_oversized_model_is_told_once_and_again_after_a_restore(out: io.StringIO) -> None:
    observer = LoggingObserver("learner", "0")
    task = ReportingTask(Report())
    observer.restored(0, task, 0.1)
    task.current = Report(oversized=("pump|a|pump/champion: 9 bytes of state, budget 1",))

    observer.committed(commit(task, 1.0))
    observer.committed(commit(task, 2.0))
    assert names(out) == ["restored", "oversized"]
    assert lines(out)[1]["model"].startswith("pump|a|")

    observer.restored(0, task, 0.1)
    observer.committed(commit(task, 3.0))
    assert names(out) == ["restored", "oversized"] * 2


def test_a_model_with_hardly_room_for_corrections_is_named_once(out: io.StringIO) -> None:
    observer = LoggingObserver("learner", "0")
    task = ReportingTask(Report())
    observer.restored(0, task, 0.1)
    for finished, held in enumerate((1, 204, 205, 206, 100, 210)):
        crowded = "pump|a|pump/champion" if held >= 205 else ""
        task.current = Report(corrections=Corrections(held=held, crowded=crowded))
        observer.committed(commit(task, float(finished)))
    assert names(out) == ["restored", "crowded", "crowded"]
    assert [line["held"] for line in lines(out)[1:]] == [205, 210]


def test_dead_letters_are_sampled_with_their_number(out: io.StringIO) -> None:
    observer = LoggingObserver("learner", "0")
    task = ReportingTask(Report(dead=7))
    observer.restored(0, task, 0.1)
    for n, finished in enumerate((100.0, 101.0, 105.0, 110.0), start=8):
        task.current = Report(dead=n, last_dead=f"sensor.events-0@{n}: contract: no asset")
        observer.committed(commit(task, finished))
    observer.committed(commit(task, 200.0))

    first, second = lines(out)[1:]
    assert (first["count"], first["last"]) == (1, "sensor.events-0@8: contract: no asset")
    assert (second["count"], second["last"]) == (3, "sensor.events-0@11: contract: no asset")


def test_several_observers_hear_everything_in_order() -> None:
    heard: list[tuple[str, str]] = []

    class Ear(Silent):
        def __init__(self, name: str) -> None:
            self.name = name

        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_") and name != "name":
                heard.append((self.name, name))
            return super().__getattribute__(name)

    task = ReportingTask(Report())
    observers = Observers(Ear("a"), Ear("b"))
    observers.turned(1.0)
    observers.assigned([0])
    observers.restored(0, task, 0.1)
    observers.committed(commit(task, 1.0))
    observers.aborted("DEADLINE")
    observers.lagging(EVENTS, 0, records=1, position_age_s=1.0)

    calls = ("turned", "assigned", "restored", "committed", "aborted", "lagging")
    assert heard == [(ear, call) for call in calls for ear in "ab"]


def test_waiting_for_the_broker_and_its_end_are_a_line_each(out: io.StringIO) -> None:
    observer = Observers(Silent(), LoggingObserver("learner", "0"))
    observer.away("_TRANSPORT")
    observer.back(31.26)

    away, back = lines(out)
    assert (away["event"], away["level"]) == ("broker away, waiting", "warning")
    assert away["why"] == "_TRANSPORT"
    assert (back["event"], back["level"], back["seconds"]) == ("back", "info", 31.3)


def test_waiting_for_something_else_is_not_told_as_the_broker_s(out: io.StringIO) -> None:
    LoggingObserver("labeller", "0").away("Redis at redis://here unavailable, retry in 1 s")

    (away,) = lines(out)
    assert away["event"] == "waiting"
    assert away["why"].startswith("Redis at")


def test_a_worker_logs_its_changes_of_state_and_no_record(out: io.StringIO) -> None:
    cluster = plant_cluster()
    send_events(cluster, 300)
    cluster.append(EVENTS, 0, BAD)
    cluster.fail_next(Operation.COMMIT, abortable(), after=3)
    tiny = sample_terms(partitions=2, memory="1kB")

    run_until_idle(start_learner(cluster, LoggingObserver("learner", "0"), terms=tiny))

    told = names(out)
    assert told[0] == "assigned"
    assert told.count("aborted") == 1
    assert told.count("restored") == 4
    assert "oversized" in told
    assert told.count("dead letters") == 1
    assert len(told) < 15

"""Corrections that raise what nobody expected: told aloud, and no prediction waits for them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from runtime.test_corrections_in_memory import KEY, Plant, check_promise, learner, swaps
from tidemill.contracts.topics import LEDGER, PREDICTIONS
from tidemill.fold.audit import replay, verify
from tidemill.fold.ledger import Entry
from tidemill.fold.model_fold import ModelFold
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.runtime.labour import STUCK_S, TELL_EVERY_S
from tidemill.runtime.logs import LoggingObserver, Observers, configure_logs
from tidemill.runtime.observer import Silent
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from tidemill.kernel.processor import Task


class Ear(Silent):
    """Keeps what it hears of work that cannot go on."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str, Exception | None]] = []
        self.restores = 0

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        self.restores += 1

    def hindered(self, partition: int, why: str, error: Exception | None = None) -> None:
        self.heard.append((partition, why, error))


class Bench:
    """A worker whose corrections of one asset wait."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        configure_logs(self.out)
        self.plant = Plant()
        self.ear = Ear()
        self.worker = self.start()
        self.plant.correct(0, "f0")
        self.plant.flow(60)
        self.step(30)
        self.plant.retract("f0")

    def start(self) -> Worker:
        """Start a worker, as after a crash."""
        cluster = self.plant.cluster
        return Worker(
            learner(),
            cluster.process(),
            WorkerSettings("tidemill.driven", "w0", 2, batch=8),
            clock=cluster.now,
            observer=Observers(self.ear, LoggingObserver("learner", "w0")),
            wall=lambda: cluster.now_ms() / 1000,
        )

    def step(self, turns: int) -> None:
        """Turn the loop."""
        for _ in range(turns):
            self.worker.step()

    def lines(self, event: str) -> list[dict[str, object]]:
        """Return the lines logged of one kind."""
        found = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in found if line["event"] == event]

    @property
    def predicted(self) -> int:
        """Predictions written so far."""
        return len(self.plant.cluster.read(PREDICTIONS))

    def actions(self, kind: str) -> list[dict[str, str]]:
        """Return the details of all ledger actions of a kind."""
        entries = [Entry.decode(m.value) for m in self.plant.cluster.read(LEDGER)]
        return [dict(a.detail) for e in entries for a in e.actions if a.kind == kind]

    def statuses(self) -> list[object]:
        """Return what became of the retraction."""
        return [r["status"] for r in self.plant.receipts() if r["feedback_id"] == "r-f0"]


def raising(error: Exception) -> object:
    def anything(*_: object, **__: object) -> NoReturn:
        raise error

    return anything


def test_what_no_re_fold_may_raise_is_logged_with_the_way_there_and_noted_as_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    monkeypatch.setattr(ModelFold, "take", raising(KeyError("a bug")))
    bench.step(20)
    monkeypatch.undo()
    bench.plant.flow(10)
    bench.step(20)

    assert bench.predicted == 70
    assert bench.statuses() == ["COMPENSATED"]
    (action,) = bench.actions("compensate")
    assert (action["kind"], "KeyError: 'a bug'" in action["reason"]) == ("error", True)
    ((partition, why, error),) = bench.ear.heard
    assert (partition, type(error)) == (0, KeyError)
    assert "KeyError" in why
    (failed,) = bench.lines("correction failed")
    assert failed["level"] == "error"
    assert "in anything" in str(failed["exception"])
    (told,) = bench.lines("compensated")
    assert (told["level"], told["count"]) == ("error", 1)
    assert "a bug" in str(told["last"])
    for audit in (replay, verify):
        report = audit(MemoryLog(bench.plant.cluster), 0, KEY)
        assert report.findings == []
        assert report.counts["compensated"] == 1
        assert any("by an error" in note and "a bug" in note for note in report.notes)


def test_what_raises_before_a_re_fold_begins_is_compensated_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    where = "tidemill.processors.learner.correcting.Refolding"
    monkeypatch.setattr(where, raising(ZeroDivisionError("a bug")))
    bench.step(20)

    assert bench.statuses() == ["COMPENSATED"]
    assert [action["kind"] for action in bench.actions("compensate")] == ["error"]
    assert bench.lines("correction failed")


def test_what_can_not_even_be_taken_over_waits_and_predictions_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    where = "tidemill.fold.applying"
    monkeypatch.setattr(f"{where}.swap", raising(KeyError("a bug")))
    monkeypatch.setattr(f"{where}.make_good", raising(KeyError("a bug")))
    bench.step(20)
    bench.plant.flow(20)
    bench.step(40)

    assert bench.predicted == 80
    assert bench.statuses() == []
    assert len(bench.ear.heard) == 1, "it is tried again after a while, not at once"
    assert len(bench.lines("correction failed")) == 1
    monkeypatch.undo()
    bench.plant.cluster.advance(STUCK_S)
    bench.step(40)

    assert bench.statuses() == ["RETRACTED"]
    check_promise(bench.plant)


def test_a_ledger_that_was_altered_halts_and_is_not_made_good() -> None:
    bench = Bench()
    log = bench.plant.cluster.log(LEDGER, 0)
    third = [m.offset for m in bench.plant.cluster.read(LEDGER, [0])][3]
    place, slot = next((n, s) for n, s in enumerate(log.slots) if s.offset == third)
    assert slot.message is not None
    assert slot.message.value is not None
    value = bytearray(slot.message.value)
    value[len(value) // 2] ^= 1
    spoiled = slot.message._replace(value=bytes(value))
    log.slots[place] = replace(slot, message=spoiled)

    with pytest.raises(InvariantError, match="altered"):
        bench.step(40)
    assert bench.actions("compensate") == []
    assert list(swaps(bench.plant.cluster)) == []


def test_what_is_missing_for_long_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    missing = DependencyUnavailableError("ledger entry 7", retry_after_s=1.0)
    monkeypatch.setattr("tidemill.fold.refolding.last_entry", raising(missing))
    for _ in range(40):
        bench.step(1)
        bench.plant.cluster.advance(TELL_EVERY_S / 8)

    told = [why for _, why, error in bench.ear.heard if error is None]
    assert 3 <= len(told) <= 5
    assert "ledger entry 7" in told[0]
    assert bench.lines("corrections wait")
    monkeypatch.undo()
    bench.step(40)
    assert bench.statuses() == ["RETRACTED"]

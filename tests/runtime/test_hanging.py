"""Calls that never come back, and places in the group that were lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from runtime.learners import plant_cluster, send_events, start_learner
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.kernel.errors import InvariantError
from tidemill.runtime import transactions
from tidemill.runtime.clients import SESSION_TIMEOUT_MS
from tidemill.runtime.hanging import HungError, call_within
from tidemill.runtime.observer import Silent
from tidemill.runtime.transactions import Outcome, Transactor
from tidemill.testing.producers import MemoryProducer

if TYPE_CHECKING:
    from tidemill.runtime.worker import Worker
    from tidemill.testing.cluster import MemoryCluster

GROUP = "tidemill.sample.learner"
TAKEN_AT_MOST = 20


def breathe(*_: object) -> None:
    """Do nothing while a call is repeated."""


def test_a_call_that_comes_back_in_time_is_as_if_called() -> None:
    called: list[int] = []

    call_within(lambda: called.append(1), 300.0)

    assert called == [1]


def test_what_a_call_raises_is_raised() -> None:
    def call() -> None:
        raise KeyError("this")

    with pytest.raises(KeyError, match="this"):
        call_within(call, 300.0)


def test_a_call_that_does_not_come_back_is_given_up() -> None:
    release = threading.Event()

    def call() -> None:
        release.wait()

    with pytest.raises(HungError):
        call_within(call, 0.05)
    release.set()


def test_a_producer_that_hangs_in_send_offsets_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = plant_cluster()
    process = cluster.process()
    transactor = Transactor(process, "one", clock=cluster.now, breathe=breathe)
    hung = transactor.ready()
    release = threading.Event()

    def hang(*_: Any) -> None:  # Any: whatever it is given
        release.wait()

    monkeypatch.setattr(MemoryProducer, "send_offsets_to_transaction", hang)
    monkeypatch.setattr(transactions, "HUNG_AFTER_S", 0.05)
    ended = transactor.run([], {(EVENTS, 0): 1}, lambda: None)
    release.set()

    assert ended.outcome is Outcome.ABORTED
    assert transactor.ready() is not hung


def turn(worker: Worker, times: int) -> None:
    """Let a worker turn its loop."""
    for _ in range(times):
        worker.step()


def take_place(cluster: MemoryCluster) -> None:
    """Join as the same instance, as librdkafka's own former self may, and vanish."""
    process = cluster.process()
    twin = process.member(GROUP, "0")
    twin.subscribe(
        [EVENTS, UPDATES],
        on_assign=lambda *_: None,
        on_revoke=lambda *_: None,
        on_lost=lambda *_: None,
    )
    for _ in range(3):
        twin.consume(1, 0.01)
    process.kill()


def test_a_worker_whose_place_was_taken_takes_it_back_and_goes_on() -> None:
    cluster = plant_cluster()
    worker = start_learner(cluster, Silent())
    send_events(cluster, 10)
    turn(worker, 40)
    assert len(cluster.read(PREDICTIONS)) == 10

    take_place(cluster)
    send_events(cluster, 10, start=10)
    turn(worker, 60)

    assert len(cluster.read(PREDICTIONS)) == 20


def struggle(cluster: MemoryCluster, worker: Worker) -> None:
    """Take a worker's place again and again, as another worker of its name would."""
    for _ in range(TAKEN_AT_MOST):
        take_place(cluster)
        turn(worker, 20)


def test_a_worker_whose_place_is_taken_again_and_again_halts() -> None:
    cluster = plant_cluster()
    worker = start_learner(cluster, Silent())
    turn(worker, 20)

    with pytest.raises(InvariantError, match="--instance"):
        struggle(cluster, worker)


def test_a_place_lost_again_in_another_outage_is_taken_back_again() -> None:
    cluster = plant_cluster()
    worker = start_learner(cluster, Silent())
    for _ in range(2):
        turn(worker, 20)
        cluster.advance(SESSION_TIMEOUT_MS / 1000)
        turn(worker, 20)
        take_place(cluster)
    send_events(cluster, 10)
    turn(worker, 60)

    assert len(cluster.read(PREDICTIONS)) == 10

"""Rules 10 to 14: restoring, poison, back-pressure, ends and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError

from rules.counting import CountingFactory
from rules.wrapped import WrappedClients
from tidemill.kernel.errors import InvariantError
from tidemill.runtime.clients import _READ_COMMITTED

if TYPE_CHECKING:
    from rules.harness import Bench

pytestmark = pytest.mark.broker


def test_rule_10_the_group_is_polled_between_the_steps_of_a_restore(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap)
    bench.send([1, 2])
    worker = bench.worker(clients=clients, factory=CountingFactory(bench.name, {0: 200}))
    bench.settle(worker)

    assert clients.hooks.calls.count("consume") > 200
    assert bench.sums() == [1, 3]


def test_rule_10_and_12_others_go_on_while_one_partition_is_restored(bench: Bench) -> None:
    bench.send([1, 2], partition=0)
    bench.send([5, 6], partition=1)
    worker = bench.worker(factory=CountingFactory(bench.name, {0: None}))
    bench.step_until(lambda: len(bench.sums(partition=1)) == 2, worker)

    assert bench.sums(partition=1) == [5, 11]
    assert bench.sums(partition=0) == [], "not fetched before its state stands"


def test_rule_10_records_that_come_while_another_partition_is_restored_count_once(
    bench: Bench,
) -> None:
    """What was polled must be applied before fetching starts anew for the restored partition."""
    worker = bench.worker(factory=CountingFactory(bench.name, {1: 40}), batch=7)
    bench.step_until(lambda: any(lane.is_ready for lane in worker._lanes), worker)
    bench.send([1] * 1000)
    bench.settle(worker)

    assert bench.sums() == list(range(1, 1001))


def test_rule_11_poison_becomes_dead_letters_in_the_same_transaction(bench: Bench) -> None:
    bench.send([1, b"poison", 2])
    bench.settle(bench.worker())

    assert bench.sums() == [1, 3]
    assert len(bench.outputs(to="events.dlq")) == 1


def test_rule_11_when_most_records_are_dead_the_worker_halts_and_commits_none(
    bench: Bench,
) -> None:
    bench.send([b"poison"] * 300)
    worker = bench.worker()

    with pytest.raises(InvariantError, match="300 of 300"):
        bench.settle(worker)
    assert bench.outputs(to="events.dlq") == []


def test_rule_11_a_minority_of_poison_never_halts(bench: Bench) -> None:
    bench.send([1, b"poison", 1] * 150)
    bench.settle(bench.worker())

    assert len(bench.sums()) == 300
    assert len(bench.outputs(to="events.dlq")) == 150


def test_rule_12_prefetch_is_bounded() -> None:
    assert _READ_COMMITTED["queued.max.messages.kbytes"] <= 65_536
    assert _READ_COMMITTED["queued.min.messages"] <= 100_000


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._FATAL,
    ],
)
def test_rule_14_errors_that_only_callbacks_see_halt_the_worker(bench: Bench, code: int) -> None:
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    bench.settle(worker)
    clients.failures(KafkaError(code, "injected"))

    with pytest.raises(InvariantError):
        worker.step()


def test_rule_14_errors_that_pass_do_not_halt_the_worker(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    bench.settle(worker)
    clients.failures(KafkaError(KafkaError._ALL_BROKERS_DOWN, "injected"))
    bench.send([1])
    bench.settle(worker)

    assert bench.sums() == [1]

"""Rules 6, 8 and 9: whose partitions, and what an abort leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, Producer, TopicPartition

from rules.counting import CountingFactory
from rules.harness import ANSWER_S
from rules.wrapped import WrappedClients, raising
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from rules.harness import Bench

pytestmark = pytest.mark.broker

ABORTABLE = raising(KafkaError._STATE, txn_requires_abort=True)
TIMED_OUT = raising(KafkaError._TIMED_OUT, retriable=True)


def test_rule_6_metadata_that_changed_since_the_assignment_aborts_and_rejoins(
    bench: Bench,
) -> None:
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    bench.settle(worker)
    worker._membership._metadata = b"of another generation"
    bench.send([1, 2])
    bench.settle(worker)

    assert "abort_transaction" in clients.hooks.calls
    assert clients.hooks.calls.count("subscribe") == 2
    assert bench.sums() == [1, 3]


def test_rule_6_the_groups_metadata_is_read_before_every_commit(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    for number in (1, 2, 3):
        bench.send([number])
        bench.settle(worker)

    calls = [
        c for c in clients.hooks.calls if c in {"consumer_group_metadata", "commit_transaction"}
    ]
    before = [calls[n - 1] for n, call in enumerate(calls) if call == "commit_transaction"]
    assert len(before) >= 3
    assert set(before) == {"consumer_group_metadata"}


@pytest.mark.parametrize("call", ["begin_transaction", "flush", "send_offsets_to_transaction"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_8_after_an_abort_the_state_is_rebuilt_and_nothing_counts_twice(
    bench: Bench, call: str, when: str
) -> None:
    clients = WrappedClients(bench.bootstrap)
    factory = CountingFactory(bench.name)
    worker = bench.worker(clients=clients, factory=factory)
    bench.send([1])
    bench.settle(worker)
    getattr(clients.hooks, when)[call].append(ABORTABLE)
    opened = len(factory.opened)
    bench.send([2, 3])
    bench.settle(worker)

    assert len(factory.opened) > opened, "discarded and rebuilt"
    assert bench.sums() == [1, 3, 6]


def test_rule_8_a_commit_that_is_refused_is_aborted(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    bench.settle(worker)
    clients.hooks.before["commit_transaction"].append(ABORTABLE)
    bench.send([2, 3])
    bench.settle(worker)

    assert bench.sums() == [2, 5]
    assert bench.sums(isolation="read_uncommitted") == [2, 5, 2, 5], "the aborted ones are there"


@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_9_a_commit_that_times_out_is_repeated_on_the_same_producer(
    bench: Bench, when: str
) -> None:
    clients = WrappedClients(bench.bootstrap)
    factory = CountingFactory(bench.name)
    worker = bench.worker(clients=clients, factory=factory)
    bench.settle(worker)
    opened = len(factory.opened)
    getattr(clients.hooks, when)["commit_transaction"].append(TIMED_OUT)
    if when == "after":  # the client settles a repeated call by itself: it was committed
        clients.hooks.instead["commit_transaction"] += [None, lambda: None]
    bench.send([2, 3])
    bench.settle(worker)

    assert bench.sums() == [2, 5]
    assert clients.hooks.calls.count("init_transactions") == 1
    assert len(factory.opened) == opened, "nothing was discarded"


@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_9_past_the_deadline_the_producer_is_replaced_and_the_state_rebuilt(
    bench: Bench, when: str
) -> None:
    clients = WrappedClients(bench.bootstrap)
    factory = CountingFactory(bench.name)
    worker = bench.worker(clients=clients, factory=factory)
    bench.settle(worker)
    opened = len(factory.opened)
    worker._transactor._deadline_s = 0.0
    getattr(clients.hooks, when)["commit_transaction"].append(TIMED_OUT)
    bench.send([2, 3])
    bench.step_until(lambda: clients.hooks.calls.count("init_transactions") == 2, worker)
    worker._transactor._deadline_s = ANSWER_S
    bench.settle(worker)

    assert len(factory.opened) > opened
    assert bench.sums() == [2, 5]


def test_rule_9_a_worker_whose_transactional_id_was_taken_over_halts(bench: Bench) -> None:
    worker = bench.worker()
    bench.settle(worker)
    usurper = WrappedClients(bench.bootstrap).producer(worker._settings.transactional_id)
    usurper.init_transactions(ANSWER_S)
    bench.send([1])

    with pytest.raises(InvariantError, match="must belong to one worker"):
        bench.step_until(lambda: False, worker)
    assert bench.sums() == []


def test_rule_9_offsets_that_are_pending_are_waited_for(bench: Bench) -> None:
    """A worker left a transaction open; it is settled before anyone reads on."""
    bench.send([1, 2])
    dead = Producer(
        {
            "bootstrap.servers": bench.bootstrap,
            "transactional.id": f"{bench.group}.dead",
            "transaction.timeout.ms": 600_000,  # it is open for as long as this test wants
            "log_level": 0,
        }
    )
    dead.init_transactions(ANSWER_S)
    dead.begin_transaction()
    dead.produce(bench.topic("sums"), b'{"sum": 1}', b"k", partition=0)
    dead.flush(ANSWER_S)
    idle = WrappedClients(bench.bootstrap).member(bench.group, "nobody")
    offsets = [TopicPartition(bench.topic("events"), 0, 1)]
    dead.send_offsets_to_transaction(offsets, idle.consumer_group_metadata(), ANSWER_S)
    idle.close()
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    bench.step_until(lambda: clients.hooks.calls.count("committed") > 4, worker)
    assert bench.sums() == [], "asked again while pending, and nothing was read"

    dead.abort_transaction(ANSWER_S)
    bench.settle(worker)
    assert bench.sums() == [1, 3]


def test_a_record_the_broker_finds_too_large_makes_the_task_write_smaller_ones(
    bench: Bench,
) -> None:
    clients = WrappedClients(bench.bootstrap)
    factory = CountingFactory(bench.name)
    worker = bench.worker(clients=clients, factory=factory)
    bench.settle(worker)
    too_large = raising(KafkaError.MSG_SIZE_TOO_LARGE, txn_requires_abort=True)
    clients.hooks.before["commit_transaction"].append(too_large)
    bench.send([4])
    bench.settle(worker)

    assert factory.smaller == 1
    assert bench.sums() == [4]


def test_the_broker_goes_and_comes_back_and_the_worker_goes_on(bench: Bench) -> None:
    """As the client sees it: nothing but transport errors for a while."""
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients)
    bench.settle(worker)
    gone = raising(KafkaError._TRANSPORT, retriable=True)
    clients.hooks.before["consume"] += [gone] * 3
    clients.hooks.before["send_offsets_to_transaction"] += [gone] * 3
    bench.send([1, 2])
    bench.settle(worker)

    assert bench.sums() == [1, 3]

"""Rules 1 to 5: reading, writing, ownership of partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.cimpl import NewPartitions

from rules.counting import CountingFactory
from rules.harness import ANSWER_S
from rules.wrapped import WrappedClients
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from rules.harness import Bench

pytestmark = pytest.mark.broker


def test_rule_1_partitions_without_offsets_get_explicit_ones_in_all_inputs(bench: Bench) -> None:
    worker = bench.worker(idle_commit_s=0.0)
    bench.commit_marks(worker)

    assert bench.committed(0) == {"updates": 0, "events": 0}
    assert bench.committed(1) == {"updates": 0, "events": 0}


def test_rule_1_aborted_input_is_never_applied(bench: Bench) -> None:
    bench.send_in_transaction([100], is_aborted=True)
    bench.send_in_transaction([1, 2])
    bench.settle(bench.worker())

    assert bench.sums() == [1, 3]


def test_rule_1_a_position_no_longer_retained_halts_and_names_the_choices(bench: Bench) -> None:
    bench.send([1, 2, 3])
    worker = bench.worker()
    bench.settle(worker)
    worker.close()
    bench.workers.clear()
    bench.send([4, 5, 6])
    where = TopicPartition(bench.topic("events"), 0, 5)
    bench.admin.delete_records([where])[where].result(ANSWER_S)

    late = bench.worker()
    with pytest.raises(InvariantError, match=r"tidemill skip .*--to 5"):
        bench.settle(late)
    assert bench.sums() == [1, 3, 6]


def test_rule_2_a_transaction_flushes_before_it_sends_offsets_and_commits(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap)
    bench.send([1, 2])
    bench.settle(bench.worker(clients=clients))

    calls = [call for call in clients.hooks.calls if call not in {"produce", "poll", "consume"}]
    swept = clients.hooks.calls.index("abort_transaction")
    begin = clients.hooks.calls.index("produce", swept)
    after = [c for c in clients.hooks.calls[begin:] if c not in {"produce", "poll", "consume"}]
    assert calls.index("init_transactions") < calls.index("subscribe")
    assert after[:4] == [
        "flush",
        "consumer_group_metadata",
        "send_offsets_to_transaction",
        "commit_transaction",
    ]


def test_rule_3_every_transaction_holds_the_offsets_of_all_inputs_it_writes_for(
    bench: Bench,
) -> None:
    clients = WrappedClients(bench.bootstrap)
    worker = bench.worker(clients=clients, idle_commit_s=0.0)
    bench.commit_marks(worker)
    clients.hooks.arguments.clear()
    bench.send([1], partition=1)
    bench.step_until(lambda: bool(clients.hooks.arguments["commit_transaction"]), worker)

    (offsets, *_), *_ = clients.hooks.arguments["send_offsets_to_transaction"]
    assert {(p.topic, p.partition, p.offset) for p in offsets} == {
        (bench.topic("events"), 1, 1),
        (bench.topic("updates"), 1, 0),
    }


def test_rule_4_the_committed_offset_stands_past_control_markers(bench: Bench) -> None:
    bench.send_in_transaction([1, 2])
    worker = bench.worker(idle_commit_s=0.0)
    bench.commit_marks(worker)

    assert bench.committed(0)["events"] == 3, "two records and their marker"


def test_rule_5_inputs_of_different_partition_counts_halt_before_anything_is_produced(
    bench: Bench,
) -> None:
    factory = CountingFactory(bench.name)
    bench.create({bench.topic("wide"): 3})
    factory.inputs = (bench.topic("wide"), bench.topic("events"))
    bench.send([1])

    with pytest.raises(InvariantError, match="must have the definition's 2 partitions"):
        bench.worker(factory=factory)
    assert bench.sums() == []


def test_rule_5_a_topic_that_grows_halts_the_worker_that_notices(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap, {"topic.metadata.refresh.interval.ms": "500"})
    worker = bench.worker(clients=clients)
    bench.settle(worker)
    grown = bench.admin.create_partitions([NewPartitions(bench.topic("events"), 3)])
    grown[bench.topic("events")].result(ANSWER_S)
    bench.send([7], partition=2)

    with pytest.raises(InvariantError, match="grown or shrunk"):
        bench.step_until(lambda: False, worker)
    assert bench.sums(partition=0) == []


def test_rule_5_a_worker_takes_the_same_partition_number_of_all_inputs(bench: Bench) -> None:
    bench.send([1, 1], partition=0)
    bench.send([10, 10], partition=1)
    bench.send([100], partition=1, to="updates")
    first, second = bench.worker("a"), bench.worker("b")
    bench.step_until(lambda: len(first._lanes) == len(second._lanes) == 1, first, second)
    bench.settle(first, second)

    assert bench.sums(partition=0) == [1, 2]
    assert bench.sums(partition=1)[-1] == 120

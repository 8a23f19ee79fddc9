"""What only the cluster in memory offers: planned faults, its clock, retention, growth, markers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tidemill.kernel.errors import InvariantError
from tidemill.runtime.clients import KafkaError, KafkaException, TopicPartition, kafka_error
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.faults import Crash, Operation, abortable, fatal, timed_out
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.clients import Clients, GroupConsumer, TransactionalProducer

S = 1.0
INPUT = TopicPartition("in", 0)


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster({"in": 2, "out": 2})


def begun(clients: Clients, name: str = "tx") -> TransactionalProducer:
    producer = clients.producer(name)
    producer.init_transactions(S)
    producer.begin_transaction()
    return producer


def write(producer: TransactionalProducer, value: bytes = b"v", topic: str = "out") -> None:
    producer.produce(topic, value=value, key=None, partition=0)
    producer.flush(S)


def joined(clients: Clients, instance: str, events: list[str] | None = None) -> GroupConsumer:
    heard = events if events is not None else []
    consumer = clients.member("group", instance)

    def on(event: str) -> Callable[[Any, list[TopicPartition]], None]:
        return lambda _, parts: heard.append(f"{event} {[p.partition for p in parts]}")

    consumer.subscribe(["in"], on_assign=on("assign"), on_revoke=on("revoke"), on_lost=on("lost"))
    consumer.consume(1, 0.0)
    return consumer


def code(call: Callable[[], object]) -> int:
    with pytest.raises(KafkaException) as caught:
        call()
    return int(kafka_error(caught.value).code())


def visible(cluster: MemoryCluster, topic: str = "out") -> list[bytes | None]:
    return [message.value for message in cluster.read(topic)]


def offsets(consumer: GroupConsumer) -> list[int]:
    return [part.offset for part in consumer.committed([INPUT], S)]


def test_a_transaction_open_for_too_long_is_aborted_and_its_producer_fenced(
    cluster: MemoryCluster,
) -> None:
    producer = begun(cluster)
    write(producer)
    cluster.advance(9.9)
    assert cluster.log("out", 0).stable_end == 0
    cluster.advance(0.1)

    assert cluster.log("out", 0).stable_end == 2
    assert code(lambda: producer.commit_transaction(S)) == KafkaError._FENCED
    assert visible(cluster) == []


def test_waiting_for_pending_offsets_passes_the_time_that_settles_them(
    cluster: MemoryCluster,
) -> None:
    dead, alive = cluster.process(), cluster.process()
    consumer = joined(alive, "one")
    producer = begun(dead)
    metadata = consumer.consumer_group_metadata()
    producer.send_offsets_to_transaction([TopicPartition("in", 0, 5)], metadata, S)
    dead.kill()

    tries = [code(lambda: consumer.committed([INPUT], S)) for _ in range(9)]

    assert set(tries) == {KafkaError._TIMED_OUT}
    assert offsets(consumer) == [-1001]


def test_a_crash_takes_all_clients_of_the_process_and_leaves_what_was_sent(
    cluster: MemoryCluster,
) -> None:
    process = cluster.process()
    producer, reader = begun(process), process.reader()
    cluster.fail_next(Operation.FLUSH_DONE, "crash")

    with pytest.raises(Crash):
        write(producer)

    assert cluster.log("out", 0).end == 1
    for call in (
        lambda: reader.consume(1, S),
        process.reader,
        lambda: producer.abort_transaction(S),
    ):
        with pytest.raises(Crash):
            call()
    begun(cluster).commit_transaction(S)
    assert cluster.log("out", 0).stable_end == 2
    assert visible(cluster) == []


@pytest.mark.parametrize("operation", [Operation.COMMIT, Operation.COMMIT_DONE])
def test_a_commit_that_timed_out_is_settled_by_the_same_call_and_by_no_other(
    cluster: MemoryCluster, operation: Operation
) -> None:
    producer = begun(cluster)
    write(producer)
    cluster.fail_next(operation, timed_out())

    assert code(lambda: producer.commit_transaction(S)) == KafkaError._TIMED_OUT
    assert visible(cluster) == ([] if operation is Operation.COMMIT else [b"v"])
    assert code(lambda: producer.abort_transaction(S)) == KafkaError._CONFLICT
    producer.commit_transaction(S)
    assert visible(cluster) == [b"v"]
    assert cluster.log("out", 0).end == 2
    producer.begin_transaction()


@pytest.mark.parametrize("operation", [Operation.SEND_OFFSETS, Operation.SEND_OFFSETS_DONE])
def test_offsets_whose_sending_failed_are_aborted_with_the_transaction(
    cluster: MemoryCluster, operation: Operation
) -> None:
    consumer = joined(cluster, "one")
    producer = begun(cluster)
    cluster.fail_next(operation, abortable())
    sent = [TopicPartition("in", 0, 5)]
    metadata = consumer.consumer_group_metadata()

    with pytest.raises(KafkaException):
        producer.send_offsets_to_transaction(sent, metadata, S)
    is_held = cluster.group("group").is_pending(("in", 0))
    with pytest.raises(KafkaException):
        producer.commit_transaction(S)
    producer.abort_transaction(S)

    assert is_held == (operation is Operation.SEND_OFFSETS_DONE)
    assert offsets(consumer) == [-1001]
    producer.begin_transaction()
    producer.send_offsets_to_transaction(sent, metadata, S)
    producer.commit_transaction(S)
    assert offsets(consumer) == [5]


def test_a_planned_fault_strikes_after_so_many_calls_of_one_process(
    cluster: MemoryCluster,
) -> None:
    mine, other = cluster.process(), cluster.process()
    cluster.fail_next("consume", timed_out(), after=1, times=2, process=mine)
    readers = [mine.reader(), other.reader()]
    found = []
    for _ in range(4):
        for reader in readers:
            try:
                reader.consume(1, S)
                found.append("ok")
            except KafkaException:
                found.append("fault")

    assert found == ["ok", "ok", "fault", "ok", "fault", "ok", "ok", "ok"]
    assert cluster.faults.pending == 0
    assert cluster.faults.calls[Operation.CONSUME] == 8


def test_a_lost_delivery_shows_in_the_next_call_and_the_transaction_can_only_abort(
    cluster: MemoryCluster,
) -> None:
    producer = begun(cluster)
    cluster.fail_next(Operation.FLUSH, abortable(KafkaError.NOT_ENOUGH_REPLICAS))
    write(producer)

    assert code(lambda: producer.commit_transaction(S)) == KafkaError.NOT_ENOUGH_REPLICAS
    producer.abort_transaction(S)
    assert cluster.log("out", 0).end == 0


def test_a_record_larger_than_its_topic_accepts_fails_the_transaction(
    cluster: MemoryCluster,
) -> None:
    cluster.create_topic("small", 1, largest_record=10)
    producer = begun(cluster)
    write(producer, bytes(11), "small")

    assert code(lambda: producer.commit_transaction(S)) == KafkaError.MSG_SIZE_TOO_LARGE
    producer.abort_transaction(S)
    too_large = bytes(10_000_001)
    producer.begin_transaction()
    assert code(lambda: write(producer, too_large)) == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_fatal_error_stays(cluster: MemoryCluster) -> None:
    producer = begun(cluster)
    cluster.fail_next(Operation.SEND_OFFSETS, fatal())
    metadata = joined(cluster, "one").consumer_group_metadata()

    for call in (
        lambda: producer.send_offsets_to_transaction([], metadata, S),
        lambda: producer.commit_transaction(S),
        lambda: producer.abort_transaction(S),
        producer.begin_transaction,
    ):
        assert code(call) == KafkaError._FENCED


def test_a_flush_that_times_out_says_how_much_is_left(cluster: MemoryCluster) -> None:
    producer = begun(cluster)
    cluster.fail_next(Operation.FLUSH, timed_out())
    producer.produce("out", value=b"v", key=None, partition=0)

    assert producer.flush(3 * S) == 1
    assert cluster.now() == 3.0
    assert producer.flush(S) == 0


def test_a_silent_member_is_evicted_and_hears_that_its_partitions_are_lost(
    cluster: MemoryCluster,
) -> None:
    slow, quick = cluster.process(), cluster.process()
    heard: list[str] = []
    zombie = joined(slow, "one", heard)
    stale = zombie.consumer_group_metadata()
    slow.freeze()
    successor_heard: list[str] = []
    successor = joined(quick, "two", successor_heard)
    assert successor_heard == []
    cluster.advance(10.0)
    successor.consume(1, 0.0)
    assert successor_heard == ["assign [0, 1]"]

    refused = begun(slow)
    sent = [TopicPartition("in", 0, 5)]
    with pytest.raises(KafkaException) as caught:
        refused.send_offsets_to_transaction(sent, zombie.consumer_group_metadata(), S)
    slow.thaw()
    zombie.consume(1, 0.0)

    assert zombie.consumer_group_metadata() != stale
    assert kafka_error(caught.value).code() == KafkaError.UNKNOWN_MEMBER_ID
    assert heard == ["assign [0, 1]", "lost [0, 1]"]
    successor.consume(1, 0.0)
    zombie.consume(1, 0.0)
    assert heard[-1] == "assign [0]"
    assert successor_heard == ["assign [0, 1]", "revoke [0, 1]", "assign [1]"]


def test_a_member_that_closed_keeps_its_place_until_its_session_times_out(
    cluster: MemoryCluster,
) -> None:
    heard: list[str] = []
    joined(cluster, "one").close()
    two = joined(cluster, "two", heard)
    cluster.advance(9.0)
    two.consume(1, 0.0)
    assert heard == []
    cluster.advance(1.0)
    two.consume(1, 0.0)

    assert heard == ["assign [0, 1]"]


def test_growth_reassigns_live(cluster: MemoryCluster) -> None:
    heard: list[str] = []
    consumer = joined(cluster, "one", heard)
    cluster.grow("in", 3)
    consumer.consume(1, 0.0)

    assert heard == ["assign [0, 1]", "revoke [0, 1]", "assign [0, 1, 2]"]


def test_a_revocation_answered_by_assign_instead_of_unassign_is_refused(
    cluster: MemoryCluster,
) -> None:
    consumer = cluster.member("group", "one")
    consumer.subscribe(
        ["in"],
        on_assign=lambda c, parts: c.assign([]),
        on_revoke=lambda c, parts: c.assign([]),
        on_lost=lambda c, parts: c.assign([]),
    )
    consumer.consume(1, 0.0)
    cluster.grow("in", 3)

    with pytest.raises(RuntimeError, match="unassign"):
        consumer.consume(1, 0.0)


def test_what_on_assign_leaves_unassigned_is_read_from_the_committed_offsets(
    cluster: MemoryCluster,
) -> None:
    for value in (b"a", b"b"):
        cluster.append("in", 0, value)
    cluster.group("group").offsets.update({("in", 0): 1, ("in", 1): 0})
    consumer = joined(cluster, "one")

    found = consumer.consume(9, 0.0)

    assert [m.value() for m in found if m.error() is None] == [b"b"]


def test_held_markers_keep_what_was_committed_out_of_sight(cluster: MemoryCluster) -> None:
    consumer = joined(cluster, "one")
    producer = begun(cluster)
    cluster.coordinator.holds_markers = True
    write(producer)
    sent, metadata = [TopicPartition("in", 0, 5)], consumer.consumer_group_metadata()
    producer.send_offsets_to_transaction(sent, metadata, S)
    producer.commit_transaction(S)

    assert visible(cluster) == []
    assert cluster.has_open_transactions
    assert code(lambda: consumer.committed([INPUT], S)) == KafkaError._TIMED_OUT
    cluster.coordinator.write_markers()
    assert visible(cluster) == [b"v"]
    assert offsets(consumer) == [5]


def test_held_markers_may_land_one_by_one_in_any_order(cluster: MemoryCluster) -> None:
    producer = begun(cluster)
    cluster.coordinator.holds_markers = True
    write(producer, b"first")
    write(producer, b"second", "in")
    producer.commit_transaction(S)

    cluster.coordinator.write_marker(3)
    assert (visible(cluster, "out"), visible(cluster, "in")) == ([], [b"second"])
    cluster.coordinator.write_marker(3)
    cluster.coordinator.write_marker(3)
    assert visible(cluster) == [b"first"]
    assert not cluster.has_open_transactions


def test_the_next_transaction_of_a_producer_begins_after_the_markers_of_the_last(
    cluster: MemoryCluster,
) -> None:
    producer = begun(cluster)
    cluster.coordinator.holds_markers = True
    write(producer, b"one")
    producer.commit_transaction(S)
    producer.begin_transaction()
    write(producer, b"two")

    assert visible(cluster) == [b"one"]


def test_compaction_keeps_the_newest_of_each_key_and_all_offsets(cluster: MemoryCluster) -> None:
    for key, value in [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]:
        cluster.append("out", 0, value, key=key)
    cluster.log("out", 0).compact()

    assert [(m.offset, m.value) for m in cluster.read("out")] == [(1, b"2"), (2, b"3")]


def test_one_poll_returns_no_more_of_a_partition_than_told_and_takes_turns() -> None:
    cluster = MemoryCluster({"in": 2}, fetch_records=2)
    for partition in (0, 1):
        for _ in range(3):
            cluster.append("in", partition, b"v")
    reader = cluster.reader()
    reader.assign([TopicPartition("in", 0, 0), TopicPartition("in", 1, 0)])

    polls = [[(m.partition(), m.offset()) for m in reader.consume(3, 0.0)] for _ in range(3)]

    assert polls[0] == [(1, 0), (1, 1), (0, 0)]
    assert sorted(found for poll in polls for found in poll) == [
        (partition, offset) for partition in (0, 1) for offset in range(4)
    ]


def test_the_log_reads_committed_records_breathes_and_refuses_what_is_gone(
    cluster: MemoryCluster,
) -> None:
    for value in (b"a", b"b", b"c"):
        cluster.append("out", 0, value)
    cluster.append_aborted("out", 0, b"never")
    producer = begun(cluster)
    write(producer, b"open")
    log = MemoryLog(cluster, batch=2)
    reading = log.read("out", 0, 0, 6)

    assert log.span("out", 0) == (0, 5)
    batches = [[m.value for m in next(reading)] for _ in range(4)]
    assert batches == [[b"a", b"b"], [b"c"], [], []]
    producer.commit_transaction(S)
    assert [m.value for m in next(reading)] == [b"open"]
    assert list(reading) == []
    cluster.delete_records("out", 0, 2)
    with pytest.raises(InvariantError, match="the oldest is 2"):
        next(log.read("out", 0, 1, 3))


def test_clients_that_are_closed_say_so(cluster: MemoryCluster) -> None:
    reader = cluster.reader()
    reader.close()

    with pytest.raises(RuntimeError, match="closed"):
        reader.consume(1, 0.0)

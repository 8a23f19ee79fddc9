"""One contract, two clusters: what is asserted of the one in memory holds on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testing.clusters import TURN_S, TURNS, InMemory, OnBroker, fresh, read, values
from tidemill.runtime.clients import KafkaError, KafkaException, TopicPartition, kafka_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testing.clusters import Cluster
    from tidemill.runtime.clients import GroupConsumer, TransactionalProducer

WAIT_S = 120.0
NONE_COMMITTED = -1001


@pytest.fixture(params=["memory", pytest.param("broker", marks=pytest.mark.broker)])
def kafka(request: pytest.FixtureRequest) -> Cluster:
    if request.param == "memory":
        return InMemory()
    return OnBroker(request.getfixturevalue("broker").bootstrap)


@pytest.fixture
def reader(kafka: Cluster) -> Iterator[GroupConsumer]:
    consumer = kafka.clients.reader()
    yield consumer
    consumer.close()


class Worker:
    """A static member with its assignment, and a producer."""

    def __init__(self, kafka: Cluster, group: str, instance: str, topics: list[str]) -> None:
        self.consumer = kafka.clients.member(group, instance)
        self.assigned: list[TopicPartition] | None = None
        self.events: list[str] = []
        self.consumer.subscribe(
            topics, on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_lost
        )

    def on_assign(self, consumer: Any, parts: list[TopicPartition]) -> None:
        self.assigned = parts
        self.events.append("assign")
        consumer.assign([])

    def on_revoke(self, consumer: Any, parts: list[TopicPartition]) -> None:
        self.assigned = None
        self.events.append("revoke")
        consumer.unassign()

    def on_lost(self, consumer: Any, parts: list[TopicPartition]) -> None:
        self.on_revoke(consumer, parts)
        self.events[-1] = "lost"

    @property
    def partitions(self) -> list[tuple[str, int]]:
        return sorted((part.topic, part.partition) for part in self.assigned or [])


def turn_until(condition: Callable[[], bool], *workers: Worker) -> None:
    for _ in range(TURNS):
        if condition():
            return
        for worker in workers:
            worker.consumer.consume(10, TURN_S)
    pytest.fail("the group must settle")


def joined(kafka: Cluster, group: str, instance: str, *topics: str) -> Worker:
    worker = Worker(kafka, group, instance, list(topics))
    turn_until(lambda: worker.assigned is not None, worker)
    return worker


def begun(kafka: Cluster, name: str | None = None) -> TransactionalProducer:
    producer = kafka.clients.producer(name or fresh("tx"))
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    return producer


def write(producer: TransactionalProducer, topic: str, *values: bytes) -> None:
    for value in values:
        producer.produce(topic, value=value, key=b"k", partition=0, headers=[("h", b"1")])
    assert producer.flush(WAIT_S) == 0


def offset_of(worker: Worker, topic: str) -> int:
    (part,) = worker.consumer.committed([TopicPartition(topic, 0)], WAIT_S)
    return int(part.offset)


def refused(call: Callable[[], object]) -> KafkaError:
    with pytest.raises(KafkaException) as caught:
        call()
    return kafka_error(caught.value)


def test_committed_records_are_read_and_the_end_lies_past_the_control_marker(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic = kafka.create()
    producer = begun(kafka)
    write(producer, topic, b"a", b"b")
    producer.commit_transaction(WAIT_S)

    found = read(reader, topic, 0, until=3)

    assert values(found) == [(0, b"a"), (1, b"b")]
    first = next(message for message in found if message.error() is None)
    assert (first.key(), first.headers()) == (b"k", [("h", b"1")])
    end = found[-1].error()
    assert end is not None
    assert end.code() == KafkaError._PARTITION_EOF
    assert found[-1].offset() == 3
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), WAIT_S) == (0, 3)


def test_aborted_records_are_invisible_and_take_their_offsets(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic = kafka.create()
    producer = begun(kafka)
    write(producer, topic, b"lost")
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    write(producer, topic, b"kept")
    producer.commit_transaction(WAIT_S)

    assert values(read(reader, topic, 0, until=4)) == [(2, b"kept")]


def test_nothing_behind_an_open_transaction_is_stable(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic = kafka.create()
    kafka.append(topic, b"before")
    producer = begun(kafka)
    write(producer, topic, b"open")
    kafka.append(topic, b"behind")

    assert reader.get_watermark_offsets(TopicPartition(topic, 0), WAIT_S) == (0, 1)
    assert values(read(reader, topic, 0, until=1)) == [(0, b"before")]

    producer.commit_transaction(WAIT_S)
    assert values(read(reader, topic, 0, until=4))[1:] == [(1, b"open"), (2, b"behind")]


def test_an_end_is_announced_once_and_again_after_more_came(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic = kafka.create()
    kafka.append(topic, b"a")
    first = read(reader, topic, 0, until=1)
    quiet = reader.consume(10, TURN_S)
    kafka.append(topic, b"b")
    later: list[Any] = []
    for _ in range(TURNS):
        later += reader.consume(10, TURN_S)
        if later and later[-1].error() is not None:
            break

    assert [m.offset() for m in first] == [0, 1]
    assert quiet == []
    assert [(m.offset(), m.error() is None) for m in later] == [(1, True), (2, False)]


def test_records_are_read_from_any_offset_also_that_of_a_control_marker(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic = kafka.create()
    producer = begun(kafka)
    write(producer, topic, b"a")
    producer.commit_transaction(WAIT_S)
    read(reader, topic, 0, until=2)  # a marker may be written after the commit has returned
    kafka.append(topic, b"b")

    assert values(read(reader, topic, 1, until=3)) == [(2, b"b")]


@pytest.mark.parametrize("start", [0, 9])
def test_an_offset_out_of_range_is_a_message_error(
    kafka: Cluster, reader: GroupConsumer, start: int
) -> None:
    topic = kafka.create()
    kafka.append(topic, b"a", b"b", b"c")
    kafka.delete_before(topic, 2)

    found = read(reader, topic, start, until=-9999)

    error = found[0].error()
    assert error is not None
    assert error.code() == KafkaError._AUTO_OFFSET_RESET
    assert (found[0].topic(), found[0].partition()) == (topic, 0)
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), WAIT_S) == (2, 3)


def test_partition_counts_are_told_and_an_unknown_topic_is_an_error(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic, unknown = kafka.create(3), fresh("nowhere")

    assert len(reader.list_topics(topic, timeout=WAIT_S).topics[topic].partitions) == 3
    found = reader.list_topics(unknown, timeout=WAIT_S).topics[unknown]
    assert found.error is not None
    assert found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert len(found.partitions) == 0


def test_offsets_are_committed_with_their_transaction_and_lost_with_it(kafka: Cluster) -> None:
    topic, group = kafka.create(), fresh("group")
    kafka.append(topic, b"a", b"b")
    worker = joined(kafka, group, "one", topic)
    metadata = worker.consumer.consumer_group_metadata()
    assert offset_of(worker, topic) == NONE_COMMITTED

    producer = begun(kafka)
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], metadata, WAIT_S)
    producer.commit_transaction(WAIT_S)
    assert offset_of(worker, topic) == 1

    producer.begin_transaction()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 2)], metadata, WAIT_S)
    producer.abort_transaction(WAIT_S)
    assert offset_of(worker, topic) == 1
    worker.consumer.close()


def test_committed_times_out_while_offsets_are_pending(kafka: Cluster) -> None:
    topic = kafka.create()
    worker = joined(kafka, fresh("group"), "one", topic)
    producer = begun(kafka)
    metadata = worker.consumer.consumer_group_metadata()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 7)], metadata, WAIT_S)

    error = refused(lambda: worker.consumer.committed([TopicPartition(topic, 0)], 0.5))
    assert error.code() == KafkaError._TIMED_OUT

    producer.commit_transaction(WAIT_S)
    assert offset_of(worker, topic) == 7
    worker.consumer.close()


def test_a_new_producer_of_the_same_id_fences_the_old_and_settles_what_it_left(
    kafka: Cluster, reader: GroupConsumer
) -> None:
    topic, name = kafka.create(), fresh("tx")
    worker = joined(kafka, fresh("group"), "one", topic)
    old = begun(kafka, name)
    write(old, topic, b"old")
    metadata = worker.consumer.consumer_group_metadata()
    old.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], metadata, WAIT_S)
    new = begun(kafka, name)

    assert offset_of(worker, topic) == NONE_COMMITTED
    error = refused(lambda: old.commit_transaction(WAIT_S))
    assert (error.code(), error.fatal()) == (KafkaError._FENCED, True)
    again = refused(old.begin_transaction)
    assert again.fatal()

    write(new, topic, b"new")
    new.commit_transaction(WAIT_S)
    assert [value for _, value in values(read(reader, topic, 0, until=4))] == [b"new"]
    worker.consumer.close()


def test_the_calls_of_a_transaction_are_refused_out_of_turn(kafka: Cluster) -> None:
    topic = kafka.create()
    producer = kafka.clients.producer(fresh("tx"))

    assert refused(producer.begin_transaction).code() == KafkaError._STATE
    producer.init_transactions(WAIT_S)
    assert refused(lambda: producer.commit_transaction(WAIT_S)).code() == KafkaError._STATE
    assert refused(lambda: write(producer, topic, b"a")).code() == KafkaError._STATE
    producer.begin_transaction()
    assert refused(producer.begin_transaction).code() == KafkaError._STATE
    producer.commit_transaction(WAIT_S)


def test_a_member_that_left_may_not_commit_offsets_and_the_transaction_must_abort(
    kafka: Cluster,
) -> None:
    topic = kafka.create()
    worker = joined(kafka, fresh("group"), "one", topic)
    stale = worker.consumer.consumer_group_metadata()
    worker.consumer.unsubscribe()
    turn_until(lambda: "revoke" in worker.events, worker)
    producer = begun(kafka)
    positions = [TopicPartition(topic, 0, 1)]

    def send() -> None:
        for _ in range(TURNS):  # the broker hears of a leaving member a little later
            producer.send_offsets_to_transaction(positions, stale, WAIT_S)
            worker.consumer.consume(1, TURN_S)

    error = refused(send)

    assert error.code() == KafkaError.UNKNOWN_MEMBER_ID
    assert error.txn_requires_abort()
    assert refused(lambda: producer.commit_transaction(WAIT_S)).txn_requires_abort()
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    producer.commit_transaction(WAIT_S)
    worker.consumer.close()


def test_a_second_client_of_an_instance_fences_the_first_and_keeps_its_partitions(
    kafka: Cluster,
) -> None:
    topic, group = kafka.create(2), fresh("group")
    first = joined(kafka, group, "one", topic)
    stale = first.consumer.consumer_group_metadata()
    second = joined(kafka, group, "one", topic)
    producer = begun(kafka)
    positions = [TopicPartition(topic, 0, 1)]

    error = refused(lambda: producer.send_offsets_to_transaction(positions, stale, WAIT_S))

    assert error.code() == KafkaError.FENCED_INSTANCE_ID
    assert error.txn_requires_abort()
    assert second.partitions == first.partitions == [(topic, 0), (topic, 1)]
    fresh_metadata = second.consumer.consumer_group_metadata()
    assert fresh_metadata != stale
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    producer.send_offsets_to_transaction(positions, fresh_metadata, WAIT_S)
    producer.commit_transaction(WAIT_S)
    assert offset_of(second, topic) == 1
    for worker in (first, second):
        worker.consumer.close()


def test_the_fenced_client_is_told_by_a_message_error(kafka: Cluster) -> None:
    topic, group = kafka.create(), fresh("group")
    first = joined(kafka, group, "one", topic)
    second = joined(kafka, group, "one", topic)
    told: list[KafkaError] = []
    for _ in range(TURNS):
        told += [e for m in first.consumer.consume(10, TURN_S) if (e := m.error()) is not None]
        if told:
            break

    assert [error.code() for error in told] == [KafkaError._FATAL]
    for worker in (first, second):
        worker.consumer.close()


def test_the_metadata_of_an_instance_that_never_joined_is_refused(kafka: Cluster) -> None:
    topic, group = kafka.create(), fresh("group")
    worker = joined(kafka, group, "one", topic)
    stranger = kafka.clients.member(group, "two")
    producer = begun(kafka)
    metadata = stranger.consumer_group_metadata()
    positions = [TopicPartition(topic, 0, 5)]

    error = refused(lambda: producer.send_offsets_to_transaction(positions, metadata, WAIT_S))

    assert error.code() == KafkaError.UNKNOWN_MEMBER_ID
    assert error.txn_requires_abort()
    for consumer in (worker.consumer, stranger):
        consumer.close()


def test_a_transaction_without_offsets_is_not_fenced_by_the_group(kafka: Cluster) -> None:
    topic, group = kafka.create(), fresh("group")
    first = joined(kafka, group, "one", topic)
    stale = first.consumer.consumer_group_metadata()
    second = joined(kafka, group, "one", topic)
    producer = begun(kafka)
    write(producer, topic, b"from a zombie")

    producer.send_offsets_to_transaction([], stale, WAIT_S)
    producer.commit_transaction(WAIT_S)

    for worker in (first, second):
        worker.consumer.close()


def test_range_gives_equal_partition_numbers_of_all_inputs_to_one_member(kafka: Cluster) -> None:
    topics = sorted([kafka.create(3), kafka.create(3)])
    group = fresh("group")
    one = joined(kafka, group, "one", *topics)
    # A topic just made may be assigned in a round of its own.
    turn_until(lambda: one.partitions == [(t, n) for t in topics for n in range(3)], one)

    two = Worker(kafka, group, "two", topics)
    turn_until(
        lambda: two.assigned is not None and one.events[-2:] == ["revoke", "assign"], one, two
    )

    assert one.partitions == [(topic, n) for topic in topics for n in (0, 1)]
    assert two.partitions == [(topic, 2) for topic in topics]
    for worker in (one, two):
        worker.consumer.close()


def test_a_rebalance_makes_the_metadata_of_before_stale(kafka: Cluster) -> None:
    topic, group = kafka.create(2), fresh("group")
    one = joined(kafka, group, "one", topic)
    stale = one.consumer.consumer_group_metadata()
    two = Worker(kafka, group, "two", [topic])
    turn_until(lambda: one.partitions == [(topic, 0)] and two.partitions == [(topic, 1)], one, two)
    producer = begun(kafka)

    positions = [TopicPartition(topic, 1, 1)]
    error = refused(lambda: producer.send_offsets_to_transaction(positions, stale, WAIT_S))

    assert error.code() == KafkaError.ILLEGAL_GENERATION
    assert error.txn_requires_abort()
    for worker in (one, two):
        worker.consumer.close()


def test_a_static_member_that_closes_and_returns_finds_its_partitions_and_disturbs_no_one(
    kafka: Cluster,
) -> None:
    topic, group = kafka.create(2), fresh("group")
    one = joined(kafka, group, "one", topic)
    two = Worker(kafka, group, "two", [topic])
    turn_until(lambda: one.partitions == [(topic, 0)] and two.partitions == [(topic, 1)], one, two)
    mine, events = two.partitions, list(one.events)

    two.consumer.close()
    again = joined(kafka, group, "two", topic)

    assert again.partitions == mine == [(topic, 1)]
    assert one.events == events
    for worker in (one, again):
        worker.consumer.close()

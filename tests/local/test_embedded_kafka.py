"""The real broker: started, killed, kept apart from others, stopped."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, not said so
    AdminClient,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from local.topics import await_topics, create_topics
from tidemill.kernel.errors import ConfigError
from tidemill.local.kafka import EmbeddedKafka, running
from tidemill.local.readiness import await_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE_S = 180.0

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    with running(tmp_path_factory.mktemp("second")) as kafka:
        yield kafka


@pytest.fixture
def own(second: EmbeddedKafka) -> EmbeddedKafka:
    """A running broker that a test may stop and kill."""
    second.start()
    return second


def admin(kafka: EmbeddedKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})


def topics(kafka: EmbeddedKafka) -> set[str]:
    return set(admin(kafka).list_topics(timeout=DEADLINE_S).topics)


def write(kafka: EmbeddedKafka, topic: str, value: bytes) -> None:
    client = admin(kafka)
    create_topics(client, [NewTopic(topic, 1, 1)])
    limits = {"message.max.bytes": 10_000_000, "log_level": 0}
    producer = Producer({"bootstrap.servers": kafka.bootstrap, **limits})
    answers: list[object] = []
    producer.produce(topic, value, on_delivery=lambda error, _: answers.append(error))
    producer.flush(DEADLINE_S)
    assert answers == [None]


def read(kafka: EmbeddedKafka, topic: str) -> bytes:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "log_level": 0}
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + DEADLINE_S
        while (message := consumer.poll(1.0)) is None or message.error() is not None:
            assert time.monotonic() < deadline, message and message.error()
        value = message.value()
        assert isinstance(value, bytes)
        return value
    finally:
        consumer.close()


def test_starting_a_running_broker_again_changes_nothing(own: EmbeddedKafka) -> None:
    before = own.instance

    assert EmbeddedKafka(own.home.folder.parent).start() is None

    assert own.instance == before
    assert own.pid is not None


def test_a_running_broker_is_not_moved_to_another_port(own: EmbeddedKafka) -> None:
    with pytest.raises(ConfigError, match="must be down to move to port 9092"):
        EmbeddedKafka(own.home.folder.parent, port=9092).start()


def test_many_starts_at_once_start_one_broker(tmp_path: Path) -> None:
    brokers = [EmbeddedKafka(tmp_path) for _ in range(3)]
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(EmbeddedKafka.start, brokers))

        assert len({broker.pid for broker in brokers} - {None}) == 1
    finally:
        brokers[0].stop()


def test_a_killed_broker_comes_back_with_its_data_and_address(own: EmbeddedKafka) -> None:
    address = own.bootstrap
    write(own, "kill", b"before the kill")

    own.kill()
    assert own.pid is None
    note = own.start()

    assert note is not None
    assert re.search("had ended: killed, or .*; started again, its data is kept$", note)
    assert own.bootstrap == address
    assert read(own, "kill") == b"before the kill"


def test_a_stopped_broker_comes_back_with_its_data_and_without_a_remark(
    own: EmbeddedKafka,
) -> None:
    address = own.bootstrap
    write(own, "stop", b"before the stop")

    assert own.stop()
    assert own.start() is None

    assert own.bootstrap == address
    assert read(own, "stop") == b"before the stop"


def test_offsets_are_kept_in_short_segments_so_that_they_are_soon_read_again(
    own: EmbeddedKafka,
) -> None:
    name = "__consumer_offsets"
    asking = Consumer({"bootstrap.servers": own.bootstrap, "group.id": "any", "log_level": 0})
    with suppress(KafkaException):  # it is asked only so that the broker makes its topic
        asking.committed([TopicPartition("any", 0)], DEADLINE_S)
    asking.close()
    client, asked = admin(own), ConfigResource(ResourceType.TOPIC, name)
    await_topics(client, [name])
    settings = client.describe_configs([asked])[asked].result(DEADLINE_S)

    assert settings["segment.bytes"].value == str(1 << 20)
    assert settings["cleanup.policy"].value == "compact"


def test_a_lost_state_file_costs_no_data(own: EmbeddedKafka) -> None:
    write(own, "loss", b"before the loss")
    own.stop()

    own.home.state.unlink()
    own.start()

    assert read(own, "loss") == b"before the loss"


def test_brokers_of_two_directories_never_meet(broker: EmbeddedKafka, own: EmbeddedKafka) -> None:
    write(own, "only.here", b"mine")

    assert broker.instance is not None
    assert own.instance is not None
    assert broker.instance.cluster_id != own.instance.cluster_id
    ports = [(i.port, i.controller_port) for i in (broker.instance, own.instance)]
    assert len({port for pair in ports for port in pair}) == 4
    assert "only.here" not in topics(broker)
    own.stop()
    assert broker.pid is not None


def test_another_cluster_at_the_address_is_not_taken_for_ours(broker: EmbeddedKafka) -> None:
    instance = broker.instance
    assert instance is not None
    assert instance.process is not None
    other = replace(instance, cluster_id="AAAAAAAAAAAAAAAAAAAAAA")

    with pytest.raises(ConfigError, match="another process listens on it"):
        await_broker(other, instance.process, broker.home, DEADLINE_S)


def test_a_record_as_large_as_a_snapshot_may_be_is_taken(broker: EmbeddedKafka) -> None:
    write(broker, "large", b"x" * 9_000_000)

    assert len(read(broker, "large")) == 9_000_000


def test_a_topic_that_nobody_created_does_not_appear(broker: EmbeddedKafka) -> None:
    admin(broker).list_topics("misspelt", timeout=DEADLINE_S)

    assert "misspelt" not in topics(broker)

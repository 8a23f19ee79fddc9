"""The two clusters that the contract tests run on: in memory, and a real broker."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its own way to import

from local.topics import create_topics
from tidemill.runtime.clients import KafkaClients, TopicPartition
from tidemill.testing.cluster import MemoryCluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.runtime.clients import Clients, GroupConsumer, RawMessage

TURNS = 3_000
TURN_S = 0.1
ANSWER_S = 180.0


class Cluster(Protocol):
    """What the tests need beside clients: topics, plain records, retention."""

    clients: Clients

    def create(self, partitions: int = 1) -> str:
        """Create a topic of its own name."""

    def append(self, topic: str, *values: bytes) -> None:
        """Write records to partition 0 outside any transaction."""

    def delete_before(self, topic: str, offset: int) -> None:
        """Delete records of partition 0."""


class InMemory:
    def __init__(self) -> None:
        self.memory = MemoryCluster()
        self.clients: Clients = self.memory

    def create(self, partitions: int = 1) -> str:
        name = fresh("topic")
        self.memory.create_topic(name, partitions)
        return name

    def append(self, topic: str, *values: bytes) -> None:
        for value in values:
            self.memory.append(topic, 0, value)

    def delete_before(self, topic: str, offset: int) -> None:
        self.memory.delete_records(topic, 0, offset)


class OnBroker:
    def __init__(self, bootstrap: str) -> None:
        self.clients: Clients = KafkaClients(bootstrap)
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        settings = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._producer = Producer({**settings, "enable.idempotence": True})

    def create(self, partitions: int = 1) -> str:
        name = fresh("topic")
        create_topics(self._admin, [NewTopic(name, partitions, 1)])
        return name

    def append(self, topic: str, *values: bytes) -> None:
        for value in values:
            self._producer.produce(topic, value=value, partition=0)
        assert self._producer.flush(ANSWER_S) == 0

    def delete_before(self, topic: str, offset: int) -> None:
        self._settle(self._admin.delete_records([TopicPartition(topic, 0, offset)]))

    @staticmethod
    def _settle(futures: Mapping[Any, Any]) -> None:
        done, waiting = wait(futures.values(), timeout=ANSWER_S)
        assert not waiting
        for future in done:
            future.result()


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:12]}"


def read(consumer: GroupConsumer, topic: str, start: int, *, until: int) -> list[RawMessage]:
    """Return what partition 0 holds from `start`, ends included, up to the end at `until`."""
    consumer.assign([TopicPartition(topic, 0, start)])
    found: list[RawMessage] = []
    for _ in range(TURNS):
        found += consumer.consume(100, TURN_S)
        if any(message.error() is not None and message.offset() >= until for message in found):
            return found
    msg = f"{topic} must end at {until}, got {[(m.offset(), m.value()) for m in found]}"
    raise AssertionError(msg)


def values(messages: list[RawMessage]) -> list[tuple[int, bytes | None]]:
    return [(m.offset(), m.value()) for m in messages if m.error() is None]

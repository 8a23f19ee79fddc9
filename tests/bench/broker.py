"""The one broker of a run: topics, input records, and reading back what a worker wrote."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.stream import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.stream import Encoded

DEADLINE_S = 60.0
QUIET = {"log_level": 0}  # or a client prints that the broker has gone, when we stop it
BATCH = 1_000
QUEUE_LIMIT = 100_000


class BrokerError(Exception):
    """The broker did not do what a run needs."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker by its address; keeps one admin client, which must outlive its futures."""

    bootstrap: str
    admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        admin = AdminClient({**QUIET, "bootstrap.servers": self.bootstrap})
        object.__setattr__(self, "admin", admin)

    def create_topic(self, name: str) -> None:
        """Create a topic of one replica, and see it."""
        futures = self.admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        futures[name].result(DEADLINE_S)
        self._await_presence({name}, present=True)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete those of the topics that exist, and see them gone."""
        found = self.existing_topics(names)
        if found:
            for future in self.admin.delete_topics(sorted(found)).values():
                future.result(DEADLINE_S)
            self._await_presence(found, present=False)

    def existing_topics(self, names: Iterable[str]) -> set[str]:
        """Return those of the topics that the broker has."""
        return set(names) & set(self.admin.list_topics(timeout=DEADLINE_S).topics)

    def _await_presence(self, names: set[str], *, present: bool) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if self.existing_topics(names) == (names if present else set()):
                return
            time.sleep(0.05)
        msg = f"topics {sorted(names)} must {'appear' if present else 'go'} within {DEADLINE_S} s"
        raise BrokerError(msg)

    def write(self, topic: str, records: Sequence[Encoded]) -> None:
        """Produce all records, each acknowledged."""
        producer = Producer(
            {
                **QUIET,
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 50,
                "queue.buffering.max.messages": 2 * QUEUE_LIMIT,
            }
        )
        for record in records:
            producer.produce(topic, record.value, record.key, partition=record.partition)
            if len(producer) > QUEUE_LIMIT:
                producer.flush()
        remaining = producer.flush(DEADLINE_S)
        if remaining:
            msg = f"all {len(records)} events must be acknowledged, {remaining} were not"
            raise BrokerError(msg)

    def read(self, topic: str, isolation: str) -> Iterator[bytes]:
        """Yield the values of a topic from its beginning to its end, partition order kept."""
        consumer = Consumer(
            {
                **QUIET,
                "bootstrap.servers": self.bootstrap,
                "group.id": "bench.reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        ended: set[int | None] = set()
        deadline = time.monotonic() + DEADLINE_S
        try:
            while len(ended) < PARTITIONS:
                if time.monotonic() > deadline:
                    msg = f"{topic} must be readable to its end within {DEADLINE_S} s"
                    raise BrokerError(msg)
                for message in consumer.consume(BATCH, 0.5):
                    value = read_value(message)
                    if value is not None:
                        yield value
                    else:
                        ended.add(message.partition())
        finally:
            consumer.close()

    def check_transactions(self, topic: str, found: int) -> None:
        """Require that the log of `topic` holds more than the records found: commit markers.

        Raises:
            BrokerError: Its records were written outside transactions.
        """
        consumer = Consumer(
            {**QUIET, "bootstrap.servers": self.bootstrap, "group.id": "bench.reader"}
        )
        try:
            partitions = (TopicPartition(topic, number) for number in range(PARTITIONS))
            ends = [consumer.get_watermark_offsets(p, DEADLINE_S)[1] for p in partitions]
        finally:
            consumer.close()
        if sum(ends) <= found:
            msg = f"{found} records must be written in transactions, found no marker"
            raise BrokerError(msg)


def read_value(message: Message) -> bytes | None:
    """Return the value of a record, or None at the end of a partition.

    Raises:
        BrokerError: Any other event, or a record without a value.
    """
    error, value = message.error(), message.value()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:
            return None
        raise BrokerError(str(error))
    if value is None:
        msg = f"a record must have a value, found none at offset {message.offset()}"
        raise BrokerError(msg)
    return value

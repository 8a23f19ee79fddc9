"""The Kafka clients the data plane uses: what is asked of them, and how they are configured.

The protocols name the part of confluent_kafka that is used; the in-memory cluster of
`tidemill.testing` offers the same part and is held to the same tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRANSACTION_TIMEOUT_MS = 10_000
SESSION_TIMEOUT_MS = 10_000
MAX_POLL_MS = 3_600_000


class RawMessage(Protocol):
    """A message as confluent_kafka hands it out."""

    def error(self) -> KafkaError | None:
        """Return the error this is, if it is one."""

    def topic(self) -> str:
        """Return the topic."""

    def partition(self) -> int:
        """Return the partition."""

    def offset(self) -> int:
        """Return the offset; of an end-of-partition, the next one."""

    def key(self) -> bytes | None:
        """Return the key."""

    def value(self) -> bytes | None:
        """Return the value."""

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Return the headers."""

    def timestamp(self) -> tuple[int, int]:
        """Return kind and time in milliseconds."""


class GroupConsumer(Protocol):
    """A member of a consumer group."""

    def subscribe(
        self,
        topics: list[str],
        *,
        on_assign: Callable[[Any, list[TopicPartition]], None],
        on_revoke: Callable[[Any, list[TopicPartition]], None],
        on_lost: Callable[[Any, list[TopicPartition]], None],
    ) -> None:
        """Join the group."""

    def unsubscribe(self) -> None:
        """Leave the subscription."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these partitions from their offsets."""

    def unassign(self) -> None:
        """Read nothing; in a revocation this lets the group go on, an empty `assign` does not."""

    def consume(self, num_messages: int, timeout: float) -> list[RawMessage]:
        """Return up to so many messages, errors and ends of partition among them."""

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the stable committed offsets."""

    def consumer_group_metadata(self) -> Any:  # Any: opaque to us
        """Return group, generation and member."""

    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = ..., *, cached: bool = ...
    ) -> tuple[int, int]:
        """Return first offset and last stable offset.

        Cached, they are as the last fetch showed them, negative before the first.
        """

    def list_topics(self, topic: str | None = None, *, timeout: float) -> Any:  # Any: untyped
        """Return metadata of topics."""

    def close(self) -> None:
        """Close."""


class TransactionalProducer(Protocol):
    """A producer with a transactional id."""

    def init_transactions(self, timeout: float) -> None:
        """Fence predecessors and settle what they left."""

    def begin_transaction(self) -> None:
        """Begin."""

    def produce(
        self,
        topic: str,
        *,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Queue one record."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""

    def flush(self, timeout: float) -> int:
        """Wait for deliveries; return how many are outstanding."""

    def send_offsets_to_transaction(
        self,
        positions: list[TopicPartition],
        group_metadata: Any,  # Any: opaque to us
        timeout: float,
    ) -> None:
        """Add offsets to the transaction."""

    def commit_transaction(self, timeout: float) -> None:
        """Commit."""

    def abort_transaction(self, timeout: float) -> None:
        """Abort."""

    def purge(self) -> None:
        """Drop what is queued."""


class Clients(Protocol):
    """Makes clients of one cluster."""

    def member(self, group: str, instance: str) -> GroupConsumer:
        """Return a static member of a group, not yet subscribed."""

    def reader(self) -> GroupConsumer:
        """Return a consumer that reads by position, without a group."""

    def producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a transactional producer, not yet initialised."""


@dataclass(slots=True)
class Failures:
    """Errors that only callbacks see: authentication, fatal states, lost deliveries."""

    seen: list[KafkaError] = field(default_factory=list)

    def __call__(self, error: KafkaError) -> None:
        """Keep an error; the loop looks at it between batches."""
        self.seen.append(error)

    def take(self) -> list[KafkaError]:
        """Return and forget what came since the last call."""
        taken, self.seen = self.seen, []
        return taken


class KafkaClients:
    """confluent_kafka's clients, configured as the rules of the runtime ask.

    Args:
        bootstrap: `host:port` list.
        extra: librdkafka settings of the user; they may not override what the promise rests on.
    """

    def __init__(self, bootstrap: str, extra: Mapping[str, str] | None = None) -> None:
        self.failures = Failures()
        self._extra = dict(extra or {})
        self._common: dict[str, Any] = {  # Any: librdkafka's values
            **self._extra,
            "bootstrap.servers": bootstrap,
            "error_cb": self.failures,
            "log_level": 0,
            "reconnect.backoff.max.ms": 1000,
        }

    def member(self, group: str, instance: str) -> GroupConsumer:
        """Return a static member: rules 1, 5, 6 and 12."""
        member: GroupConsumer = Consumer(  # type: ignore[assignment]  # untyped in confluent_kafka
            {
                **self._common,
                **_READ_COMMITTED,
                "group.id": group,
                "group.instance.id": instance,
                "client.id": instance,
                "partition.assignment.strategy": "range",
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "heartbeat.interval.ms": 1000,
                # A slow model may be explained for long; a loop that hangs is the probe's to see.
                "max.poll.interval.ms": MAX_POLL_MS,
            }
        )
        return member

    def reader(self) -> GroupConsumer:
        """Return a reader by position; its group is never joined and nothing is committed."""
        return self._reader()

    def uncommitted_reader(self) -> GroupConsumer:
        """Return a reader that sees what no transaction has committed yet."""
        return self._reader(**{"isolation.level": "read_uncommitted"})

    def _reader(self, **other: str) -> GroupConsumer:
        reader: GroupConsumer = Consumer(  # type: ignore[assignment]  # untyped in confluent_kafka
            {
                **self._common,
                **_READ_COMMITTED,
                "group.id": "tidemill.reader",
                # Most reads end behind a control marker, where a broker waits for more.
                "fetch.wait.max.ms": 5,
                **other,
            }
        )
        return reader

    def producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a producer for rule 2."""
        producer: TransactionalProducer = Producer(  # type: ignore[assignment]  # as above
            {
                **_PRODUCER_TUNING,
                **self._common,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "retry.backoff.ms": 10,
                "message.max.bytes": 10_000_000,
                "delivery.report.only.error": True,
            }
        )
        return producer


# What a user may set otherwise. A batch larger than a topic takes is refused like a record.
_PRODUCER_TUNING: dict[str, Any] = {  # Any: librdkafka's values
    "linger.ms": 5,
    "batch.size": 262_144,
    "queue.buffering.max.messages": 200_000,
}

_READ_COMMITTED: dict[str, Any] = {  # Any: librdkafka's values
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 16_384,
    "fetch.wait.max.ms": 100,
    "topic.metadata.refresh.interval.ms": 10_000,
}


def kafka_error(error: KafkaException) -> KafkaError:
    """Return the KafkaError that a KafkaException carries."""
    found: KafkaError = error.args[0]
    return found


__all__ = [
    "Clients",
    "Failures",
    "GroupConsumer",
    "KafkaClients",
    "KafkaError",
    "KafkaException",
    "RawMessage",
    "TopicPartition",
    "TransactionalProducer",
    "kafka_error",
]

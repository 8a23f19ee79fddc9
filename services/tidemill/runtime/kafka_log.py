"""The log on a real cluster: committed records by position."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError, RetentionError
from tidemill.kernel.records import Message
from tidemill.runtime.clients import KafkaError, KafkaException, TopicPartition, kafka_error
from tidemill.runtime.failures import check_message_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.runtime.clients import Clients, GroupConsumer, RawMessage

BATCH = 1000
BREATH_S = 0.005
METADATA_TIMEOUT_S = 10.0
RETRY_AFTER_S = 0.5
MOVING_S = 0.1

# The client has not heard of it, or not again since the broker came up.
UNKNOWN = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)

# A leader is being chosen: it is soon there, and the client does not ask again by itself.
MOVING = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)


def to_message(raw: RawMessage) -> Message:
    """Return what the kernel sees of a message."""
    headers = raw.headers()
    return Message(
        raw.topic(),
        raw.partition(),
        raw.offset(),
        raw.key(),
        raw.value(),
        tuple(headers) if headers else (),
        raw.timestamp()[1],
    )


def span_of(
    reader: GroupConsumer,
    where: TopicPartition,
    timeout_s: float,
    passing: frozenset[int] = MOVING,
) -> tuple[int, int]:
    """Return the first retained offset and the last stable offset, once a leader tells them.

    Args:
        timeout_s: How long that may take.
        passing: Errors after which it is asked again.

    Raises:
        KafkaException: The cluster does not say.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return reader.get_watermark_offsets(where, timeout_s)
        except KafkaException as error:
            if kafka_error(error).code() not in passing or time.monotonic() > deadline:
                raise
        time.sleep(MOVING_S)


def not_known(topic: str, partition: int) -> DependencyUnavailableError:
    """Return what to raise where the cluster does not know a partition, or not yet."""
    msg = f"{topic}-{partition} in the cluster's metadata"
    return DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)


class KafkaLog:
    """Reads committed records by position; see `tidemill.kernel.processor.Log`.

    Every running `read` has a consumer of its own; consumers are used again.

    Args:
        timeout_s: How long the cluster may take to say what a topic holds.
    """

    def __init__(self, clients: Clients, *, timeout_s: float = METADATA_TIMEOUT_S) -> None:
        self._clients = clients
        self._timeout_s = timeout_s
        self._idle: list[GroupConsumer] = []

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first retained offset and the last stable offset.

        Raises:
            DependencyUnavailableError: The cluster does not know the partition, or not yet: so it
                is for a moment after a broker's restart.
        """
        reader = self._borrow()
        try:
            return span_of(reader, TopicPartition(topic, partition), self._timeout_s)
        except KafkaException as error:
            if kafka_error(error).code() not in UNKNOWN:
                raise
            raise not_known(topic, partition) from error
        finally:
            self._idle.append(reader)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the committed records with start <= offset < stop; an empty list is a breath.

        Raises:
            DependencyUnavailableError: The topic ends before `stop`: a leader has lost records,
                or does not show them yet.
            RetentionError: `start` is no longer retained.
        """
        if start >= stop:
            return
        reader = self._borrow()
        reader.assign([TopicPartition(topic, partition, start)])
        try:
            yield from self._batches(reader, start, stop)
        finally:
            reader.assign([])
            self._idle.append(reader)

    def _batches(self, reader: GroupConsumer, start: int, stop: int) -> Iterator[list[Message]]:
        while True:
            batch: list[Message] = []
            for raw in reader.consume(BATCH, BREATH_S):
                error = raw.error()
                if error is not None:
                    if self._is_end(raw, error, start):
                        if raw.offset() >= stop:
                            yield batch
                            return
                        self._check_reaches(raw, stop)
                    continue
                if raw.offset() >= stop:
                    yield batch
                    return
                batch.append(to_message(raw))
            yield batch
            if batch and batch[-1].offset >= stop - 1:
                return

    def _check_reaches(self, raw: RawMessage, stop: int) -> None:
        """Hold that there is more behind an end: else nothing would ever come."""
        _, end = self.span(raw.topic(), raw.partition())
        if end < stop:
            msg = f"records of {raw.topic()}-{raw.partition()} from {end} to {stop}"
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)

    @staticmethod
    def _is_end(raw: RawMessage, error: KafkaError, start: int) -> bool:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            msg = (
                f"{raw.topic()}-{raw.partition()}: records from {start} on must be retained, "
                "they are not (any more)"
            )
            raise RetentionError(msg)
        return check_message_error(error)

    def _borrow(self) -> GroupConsumer:
        return self._idle.pop() if self._idle else self._clients.reader()

    def close(self) -> None:
        """Close all consumers; running reads must have ended."""
        while self._idle:
            self._idle.pop().close()

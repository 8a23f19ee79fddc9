"""Reading topics back: all of one, or what arrives while it arrives."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

DEADLINE_S = 600.0
BATCH = 2_000
QUIET = {"log_level": 0}  # or a client prints that the broker has gone, when we stop it


class ReadError(Exception):
    """A topic could not be read to its end."""


class Record(NamedTuple):
    """One record as it stands in its topic; `timestamp_ms` is what its producer's clock said."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


def open_reader(bootstrap: str, isolation: str) -> Consumer:
    """Return a consumer that reads by position and commits nothing."""
    return Consumer(
        {
            **QUIET,
            "bootstrap.servers": bootstrap,
            "group.id": "proof.reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
            "reconnect.backoff.max.ms": 1000,
            # The end of a partition is told when a fetch comes back empty, by default after 500 ms.
            "fetch.wait.max.ms": 50,
        }
    )


def read_topic(
    bootstrap: str, topic: str, partitions: int, *, isolation: str = "read_committed"
) -> list[list[Record]]:
    """Return all records of a topic, by partition, each in order.

    A transaction is committed before all its markers stand: what is undecided is waited for.

    Raises:
        ReadError: The end was not reached in time, or the broker refuses.
    """
    reader = open_reader(bootstrap, isolation)
    found: list[list[Record]] = [[] for _ in range(partitions)]
    reader.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    ended: set[int] = set()
    written: dict[int, int] = {}  # ends, what is undecided included, when first shown
    deadline = time.monotonic() + DEADLINE_S
    try:
        while len(ended) < partitions:
            if time.monotonic() > deadline:
                msg = f"{topic} must be readable to its end within {DEADLINE_S} s, {ended} were"
                raise ReadError(msg)
            for message in reader.consume(BATCH, 0.05):
                if is_end(message):
                    number = partition_of(message)
                    written.setdefault(number, _written_end(reader, topic, number))
                    if offset_of(message) >= written[number]:
                        ended.add(number)
                elif message.error() is None:
                    record = record_of(message)
                    ended.discard(record.partition)
                    found[record.partition].append(record)
    finally:
        reader.close()
    return found


def _written_end(reader: Consumer, topic: str, partition: int) -> int:
    """Return where a partition ended when it was last fetched."""
    return int(reader.get_watermark_offsets(TopicPartition(topic, partition), cached=True)[1])


def is_end(message: Message) -> bool:
    """Return whether this marks the end of a partition; a client mends other errors itself."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def partition_of(message: Message) -> int:
    """Return the partition of a message that has one."""
    partition = message.partition()
    assert partition is not None
    return partition


def offset_of(message: Message) -> int:
    """Return the offset of a message that has one."""
    offset = message.offset()
    assert offset is not None
    return offset


def record_of(message: Message) -> Record:
    """Return a message without an error as a record."""
    pairs = message.headers() or []
    assert isinstance(pairs, list)
    headers = {name: value for name, value in pairs if isinstance(value, bytes)}
    wall_ms = message.timestamp()[1]
    where = partition_of(message), offset_of(message)
    return Record(*where, wall_ms, message.key(), message.value(), headers)


class Tail:
    """Follows a topic as a `read_committed` subscriber does, in a thread of its own.

    Args:
        take: Called with each record and the moment it arrived (monotonic seconds).
    """

    def __init__(
        self, bootstrap: str, topic: str, partitions: int, take: Callable[[Record, float], None]
    ) -> None:
        self._reader = open_reader(bootstrap, "read_committed")
        self._reader.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        self._take = take
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"tail {topic}", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._is_ended.is_set():
            messages = self._reader.consume(BATCH, 0.1)
            now = time.monotonic()
            for message in messages:
                if message.error() is None:
                    self._take(record_of(message), now)
        self._reader.close()

    def close(self) -> None:
        """Stop following."""
        self._is_ended.set()
        self._thread.join()


class Arrivals:
    """When predictions arrived, by partition: written at (producer's clock) and seen at (ours)."""

    def __init__(self, partitions: int) -> None:
        self._seen: list[list[tuple[int, float]]] = [[] for _ in range(partitions)]

    def take(self, record: Record, now: float) -> None:
        """Note one arrival."""
        self._seen[record.partition].append((record.timestamp_ms, now))

    def __len__(self) -> int:
        return sum(len(seen) for seen in self._seen)

    def first_after(self, partition: int, wall_ms: float) -> float | None:
        """Return when the first prediction arrived that was written after a moment."""
        for written_ms, seen in reversed_until(self._seen[partition], wall_ms):
            if written_ms > wall_ms:
                return seen
        return None


def reversed_until(seen: list[tuple[int, float]], wall_ms: float) -> list[tuple[int, float]]:
    """Return the end of a list from its last entry not after a moment."""
    start = len(seen)
    while start > 0 and seen[start - 1][0] > wall_ms:
        start -= 1
    return seen[start:]

"""Kafka in memory: what the runtime rests on, deterministic, with faults where one wants them.

One thread, no wall clock, no sleep: time passes when a call would block, or by `advance`. The same
contract tests run on it and on a real broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.testing.coordinator import Coordinator
from tidemill.testing.faults import Fault, Faults, Operation, Planned
from tidemill.testing.groups import Group
from tidemill.testing.partition_log import Fate, PartitionLog
from tidemill.testing.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.kernel.records import Headers, Message
    from tidemill.testing.consumers import MemoryConsumer
    from tidemill.testing.producers import MemoryProducer

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
LARGEST_RECORD = 1_000_000


class MemoryCluster:
    """Topics, groups and transactions in memory; makes clients like `KafkaClients` does.

    Args:
        topics: Partition count by name.
        fetch_records: Records of one partition that one `consume` returns, at most.

    Attributes:
        faults: What is planned, and how often each operation was called.
        coordinator: The transactions.
    """

    def __init__(
        self, topics: Mapping[str, int] | None = None, *, fetch_records: int = 500
    ) -> None:
        self.fetch_records = fetch_records
        self.faults = Faults()
        self.coordinator = Coordinator(self.now)
        self._now = 0.0
        self._logs: dict[str, list[PartitionLog]] = {}
        self._largest: dict[str, int] = {}
        self._groups: dict[str, Group] = {}
        self._outside = Process(self)
        for name, count in (topics or {}).items():
            self.create_topic(name, count)

    def create_topic(
        self, name: str, partitions: int, *, largest_record: int = LARGEST_RECORD
    ) -> None:
        """Create a topic that accepts values up to so many bytes."""
        self._logs[name] = [PartitionLog(name, number) for number in range(partitions)]
        self._largest[name] = largest_record

    def grow(self, name: str, partitions: int) -> None:
        """Add partitions; the groups that read the topic rebalance."""
        logs = self._logs[name]
        logs += [PartitionLog(name, number) for number in range(len(logs), partitions)]
        for group in self._groups.values():
            if any(name in member.topics for member in group.members.values()):
                group.rebalance()

    @property
    def topics(self) -> list[str]:
        """All topics."""
        return list(self._logs)

    def has(self, topic: str, partition: int) -> bool:
        """Return whether there is such a partition."""
        return 0 <= partition < self.count(topic)

    def count(self, topic: str) -> int:
        """Return the number of partitions, 0 if there is no such topic."""
        return len(self._logs.get(topic, ()))

    def log(self, topic: str, partition: int) -> PartitionLog:
        """Return one partition."""
        return self._logs[topic][partition]

    def largest(self, topic: str) -> int:
        """Return the largest value a topic accepts, in bytes."""
        return self._largest[topic]

    def group(self, name: str) -> Group:
        """Return a consumer group; the first call makes it."""
        return self._groups.setdefault(name, Group(name, self.count))

    def process(self) -> Process:
        """Return a new process, which can be killed or frozen with all its clients."""
        return Process(self)

    def member(self, group: str, instance: str) -> MemoryConsumer:
        """Return a static member of a group, in a process that never dies by itself."""
        return self._outside.member(group, instance)

    def reader(self) -> MemoryConsumer:
        """Return a consumer that reads by position."""
        return self._outside.reader()

    def producer(self, transactional_id: str) -> MemoryProducer:
        """Return a transactional producer, not yet initialised."""
        return self._outside.producer(transactional_id)

    def now(self) -> float:
        """Return the cluster's time in seconds; the clock to give a worker."""
        return self._now

    def now_ms(self) -> int:
        """Return the time as a record carries it."""
        return START_MS + int(self._now * 1000)

    def advance(self, seconds: float) -> None:
        """Let time pass: transactions and sessions that are due time out."""
        self._now += seconds
        self.coordinator.expire(self._now)
        for group in self._groups.values():
            group.expire(self._now)

    def fail_next(
        self,
        operation: Operation | str,
        fault: Fault,
        *,
        after: int = 0,
        times: int = 1,
        process: Process | None = None,
    ) -> None:
        """Plan a fault.

        Args:
            operation: Where; see `Operation`.
            fault: An error to raise, or "crash" to kill the process inside the call.
            after: How many calls pass unharmed before.
            times: How often it strikes, one call after another.
            process: Whose calls count; None for all.
        """
        self.faults.add(Planned(Operation(operation), fault, after, times, process))

    def append(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> int:
        """Write one record outside any transaction, as a plant does; return its offset."""
        log = self.log(topic, partition)
        return log.append(key, value, headers, timestamp_ms=self.now_ms())

    def append_aborted(self, topic: str, partition: int, value: bytes | None) -> None:
        """Write a transaction of one record that aborts: two offsets no one will ever see."""
        log = self.log(topic, partition)
        span = log.open_span()
        log.append(None, value, (), timestamp_ms=self.now_ms(), span=span)
        log.close_span(span, Fate.ABORTED)

    def read(self, topic: str, partitions: Iterable[int] | None = None) -> list[Message]:
        """Return what a read_committed reader sees of a topic, partition by partition."""
        numbers = range(self.count(topic)) if partitions is None else partitions
        logs = [self.log(topic, number) for number in numbers]
        return [message for log in logs for message in log.committed(log.begin, log.end)]

    @property
    def has_open_transactions(self) -> bool:
        """Whether any partition holds a transaction that has not ended there."""
        return any(log.open_spans for logs in self._logs.values() for log in logs)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Let retention delete the records of a partition before an offset."""
        self.log(topic, partition).delete_before(before)

    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """Return a group's committed offset, None if it has none."""
        return self.group(group).offsets.get((topic, partition))

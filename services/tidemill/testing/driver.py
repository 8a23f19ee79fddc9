"""Drives real workers over the in-memory cluster: they join, crash, hang, abort and leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.records import Position
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.faults import Crash, Operation, abortable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.kernel.processor import TaskFactory
    from tidemill.kernel.records import Message
    from tidemill.testing.cluster import MemoryCluster
    from tidemill.testing.faults import Fault
    from tidemill.testing.processes import Process

MOST_TURNS = 5000
LAST_RESORT = "last-resort"


@dataclass(slots=True)
class Running:
    """One worker's process; `worker` is None where it crashed while it started."""

    process: Process
    worker: Worker | None = None


class Driver:
    """Workers of one processor; nothing happens but by a call.

    Args:
        cluster: With all topics of the processor.
        make: Returns the processor's factory, a new one for each worker.
        group: The consumer group.
        batch: Records per transaction, at most.

    Attributes:
        crashes: How often a worker died.
    """

    def __init__(
        self,
        cluster: MemoryCluster,
        make: Callable[[], TaskFactory],
        *,
        group: str = "tidemill.driven",
        batch: int = 20,
    ) -> None:
        self.cluster = cluster
        self.crashes = 0
        self._make = make
        self._group = group
        self._batch = batch
        factory = make()
        self._inputs = factory.inputs
        self._partitions = cluster.count(factory.inputs[0])
        self._running: dict[str, Running] = {}
        self._down: set[str] = set()

    @property
    def instances(self) -> list[str]:
        """Workers that are up."""
        return list(self._running)

    def send(
        self, topic: str, partition: int, value: bytes | None, *, key: bytes | None = None
    ) -> Position:
        """Write one input record, outside any transaction."""
        return Position(topic, partition, self.cluster.append(topic, partition, value, key=key))

    def start(self, instance: str) -> None:
        """Start a worker, or start it again after a crash; nothing if it is up."""
        if instance in self._running:
            return
        self._down.discard(instance)
        running = self._running[instance] = Running(self.cluster.process())
        settings = WorkerSettings(self._group, instance, self._partitions, batch=self._batch)
        try:
            running.worker = Worker(
                self._make(),
                running.process,
                settings,
                clock=self.cluster.now,
                wall=lambda: self.cluster.now_ms() / 1000,
            )
        except Crash:
            self._bury(instance)

    def step(self, instance: str, turns: int = 1) -> None:
        """Let a worker turn its loop; nothing if it is down.

        Raises:
            InvariantError: The worker halted.
        """
        for _ in range(turns):
            running = self._running.get(instance)
            if running is None or running.worker is None:
                return
            try:
                running.worker.step()
            except Crash:
                self._bury(instance)

    def crash(self, instance: str) -> None:
        """Kill a worker between two turns, as kill -9 does; nothing if it is down."""
        if instance in self._running:
            self._running[instance].process.kill()
            self._bury(instance)

    def _bury(self, instance: str) -> None:
        del self._running[instance]
        self._down.add(instance)
        self.crashes += 1

    def leave(self, instance: str) -> None:
        """End a worker orderly and for good; its place is free once its session timed out."""
        self._down.discard(instance)
        running = self._running.pop(instance, None)
        if running is None or running.worker is None:
            return
        try:
            running.worker.close()
        except Crash:
            self.crashes += 1
        running.process.kill()

    def fail(
        self, instance: str, operation: Operation | str, fault: Fault, *, after: int = 0
    ) -> None:
        """Plan a fault for a worker's calls from now on; see `MemoryCluster.fail_next`."""
        if instance in self._running:
            process = self._running[instance].process
            self.cluster.fail_next(operation, fault, after=after, process=process)

    def abort(self, instance: str) -> None:
        """Let a worker's next transaction abort: its records come again."""
        self.fail(instance, Operation.COMMIT, abortable())

    def freeze(self, instance: str) -> None:
        """Stop a worker's heartbeats while it goes on: a zombie once its session timed out."""
        if instance in self._running:
            self._running[instance].process.freeze()

    def thaw(self, instance: str) -> None:
        """Let heartbeats come again."""
        if instance in self._running:
            self._running[instance].process.thaw()

    def drain(self) -> None:
        """Heal everything, then turn all workers until every input is read and committed.

        Waits also for the end of transactions that crashed workers left open: until then no
        reader sees what stands behind them.

        Raises:
            AssertionError: That never happens; names what is left.
            InvariantError: A worker halted.
        """
        self.cluster.faults.clear()
        self.cluster.coordinator.holds_markers = False
        self.cluster.coordinator.write_markers()
        for instance in [*self._down]:
            self.start(instance)
        if not self._running:
            self.start(LAST_RESORT)
        for _ in range(MOST_TURNS):
            for instance in self.instances:
                self.thaw(instance)
                self.step(instance)
            if not self.left() and not self.cluster.has_open_transactions:
                return
        msg = f"every input must be read and committed, left are {self.left()}"
        raise AssertionError(msg)

    def left(self) -> dict[str, tuple[int | None, int]]:
        """Return committed offset and end of each input partition where they differ."""
        found = {}
        for topic in self._inputs:
            for partition in range(self._partitions):
                end = self.cluster.log(topic, partition).end
                offset = self.cluster.committed_offset(self._group, topic, partition)
                if offset != end:
                    found[f"{topic}-{partition}"] = (offset, end)
        return found

    def outputs(self, *topics: str) -> list[Message]:
        """Return what a read_committed reader sees of topics, partition by partition."""
        return [message for topic in topics for message in self.cluster.read(topic)]

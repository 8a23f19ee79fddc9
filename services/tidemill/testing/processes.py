"""A process of the in-memory cluster: its clients live, hang and die together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.testing.consumers import MemoryConsumer
from tidemill.testing.faults import Crash
from tidemill.testing.producers import MemoryProducer

if TYPE_CHECKING:
    from tidemill.testing.cluster import MemoryCluster


class Process:
    """Makes clients, as `tidemill.runtime.clients.Clients`, that share one fate.

    Attributes:
        is_alive: False after `kill`; every call of its clients then raises `Crash`.
        silent_since: When its heartbeats stopped, by death or by `freeze`; None while they go on.
    """

    def __init__(self, cluster: MemoryCluster) -> None:
        self.is_alive = True
        self.silent_since: float | None = None
        self._cluster = cluster

    def member(self, group: str, instance: str) -> MemoryConsumer:
        """Return a static member of a group, not yet subscribed."""
        self.check()
        return MemoryConsumer(self._cluster, self, group=group, instance=instance)

    def reader(self) -> MemoryConsumer:
        """Return a consumer that reads by position, without a group."""
        self.check()
        return MemoryConsumer(self._cluster, self)

    def producer(self, transactional_id: str) -> MemoryProducer:
        """Return a transactional producer, not yet initialised."""
        self.check()
        return MemoryProducer(self._cluster, self, transactional_id)

    def kill(self) -> None:
        """Die, as by kill -9: nothing is closed, aborted or left."""
        self.is_alive = False
        self.freeze()

    def freeze(self) -> None:
        """Send no more heartbeats, as a stopped process; calls still work: a zombie's."""
        if self.silent_since is None:
            self.silent_since = self._cluster.now()

    def thaw(self) -> None:
        """Send heartbeats again."""
        self.silent_since = None

    def wait(self, seconds: float) -> None:
        """Let the time of a blocking call pass."""
        self._cluster.advance(seconds)

    def check(self) -> None:
        """Raise `Crash` if the process is dead."""
        if not self.is_alive:
            raise Crash

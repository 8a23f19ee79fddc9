"""The transaction coordinator in memory: epochs, fencing, time-outs, control markers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tidemill.runtime.clients import TRANSACTION_TIMEOUT_MS, KafkaException
from tidemill.testing.faults import fatal
from tidemill.testing.partition_log import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.testing.groups import Group, Where
    from tidemill.testing.partition_log import PartitionLog, Span


@dataclass(slots=True)
class Transaction:
    """One open transaction: what it touched."""

    number: int
    started: float
    spans: dict[Where, tuple[PartitionLog, Span]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Marker:
    """A control marker to be written; `where` is a partition, or a group for its offsets."""

    where: str
    write: Callable[[], None]


@dataclass(slots=True)
class Owner:
    """One transactional id: its epoch, its open transaction, the markers still to be written."""

    epoch: int = 0
    current: Transaction | None = None
    markers: list[Marker] = field(default_factory=list)
    forgotten: list[tuple[PartitionLog, Span]] = field(default_factory=list)

    def write_markers(self) -> None:
        """Write what is still to be written; nothing new of this owner begins before."""
        while self.markers:
            self.markers.pop(0).write()


class Coordinator:
    """Keeps all transactional ids.

    Attributes:
        holds_markers: Whether the markers of ended transactions wait for `write_markers`. In
            Kafka a commit is decided before its markers stand in the partitions.
        forgets_aborts: Whether aborts write no markers, so that what they left open ends with the
            owner's next transaction in that partition: Kafka's KAFKA-20734.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.holds_markers = False
        self.forgets_aborts = False
        self._clock = clock
        self._owners: dict[str, Owner] = {}
        self._numbers = 0

    def init(self, transactional_id: str) -> int:
        """Fence every producer of this id and settle what it left; return the new epoch."""
        owner = self._owners.setdefault(transactional_id, Owner())
        owner.write_markers()
        self._end(owner, Fate.ABORTED)
        owner.write_markers()
        owner.epoch += 1
        return owner.epoch

    def check(self, transactional_id: str, epoch: int) -> Owner:
        """Return the id's state.

        Raises:
            KafkaException: Fenced: another producer initialised, or the transaction timed out.
        """
        owner = self._owners[transactional_id]
        if owner.epoch != epoch:
            raise KafkaException(fatal())
        return owner

    def write(self, owner: Owner, log: PartitionLog) -> Span:
        """Return the span that records written to `log` belong to."""
        transaction = self._transaction(owner)
        where = (log.topic, log.partition)
        if where not in transaction.spans:
            transaction.spans[where] = (log, log.open_span())
        return transaction.spans[where][1]

    def hold(
        self,
        owner: Owner,
        group: Group,
        offsets: Mapping[Where, int],
        marks: Mapping[Where, str],
    ) -> None:
        """Add offsets and their metadata to the open transaction."""
        transaction = self._transaction(owner)
        if group not in transaction.groups:
            transaction.groups.append(group)
        group.hold(transaction.number, offsets, marks)

    def _transaction(self, owner: Owner) -> Transaction:
        owner.write_markers()
        if owner.current is None:
            self._numbers += 1
            owner.current = Transaction(self._numbers, self._clock())
        return owner.current

    def end(self, owner: Owner, fate: Fate) -> None:
        """Decide the open transaction, if there is one."""
        self._end(owner, fate)
        if not self.holds_markers:
            owner.write_markers()

    def _end(self, owner: Owner, fate: Fate) -> None:
        transaction, owner.current = owner.current, None
        if transaction is None:
            return
        parts = list(transaction.spans.values())
        if self.forgets_aborts and fate is Fate.ABORTED:
            owner.forgotten += parts
            parts = []
        touched = {(log.topic, log.partition) for log, _ in parts}
        for part in list(owner.forgotten):
            if (part[0].topic, part[0].partition) in touched:
                owner.forgotten.remove(part)
                parts.append(part)
        for log, span in parts:
            name = f"{log.topic}-{log.partition}"
            owner.markers.append(Marker(name, partial(log.close_span, span, fate)))
        counts = fate is Fate.COMMITTED
        for group in transaction.groups:
            settle = partial(group.settle, transaction.number, committed=counts)
            owner.markers.append(Marker(group.name, settle))

    @property
    def held_markers(self) -> list[str]:
        """Where markers are still to be written."""
        return [marker.where for owner in self._owners.values() for marker in owner.markers]

    def write_marker(self, number: int) -> None:
        """Write one of the markers that are held, in whatever place of the queue; or none."""
        held = [(owner, marker) for owner in self._owners.values() for marker in owner.markers]
        if held:
            owner, marker = held[number % len(held)]
            owner.markers.remove(marker)
            marker.write()

    def write_markers(self) -> None:
        """Write the markers of all ended transactions."""
        for owner in self._owners.values():
            owner.write_markers()

    def expire(self, now: float) -> None:
        """Abort the transactions that are open for too long, and fence their producers."""
        for owner in self._owners.values():
            started = owner.current.started if owner.current else now
            if now - started >= TRANSACTION_TIMEOUT_MS / 1000:
                self._end(owner, Fate.ABORTED)
                owner.write_markers()
                owner.epoch += 1

"""The partitions that are ours: restored a few at a time, then read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.runtime.clients import KafkaException, kafka_error
from tidemill.runtime.failures import check_callback_error
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tidemill.kernel.processor import Opened, TaskFactory
    from tidemill.runtime.clients import Clients
    from tidemill.runtime.membership import Membership
    from tidemill.runtime.observer import Observer

# Each restore under way holds a few readers.
RESTORED_AT_ONCE = 4


class Assignment:
    """The lanes of a worker.

    Args:
        factory: Opens the processor's partitions.
        membership: Which partitions are ours; told what to fetch.
        clients: Makes the readers that a restore needs.
        deadline_s: How long what was committed may take to become visible.
    """

    def __init__(
        self,
        factory: TaskFactory,
        membership: Membership,
        clients: Clients,
        *,
        observer: Observer,
        clock: Callable[[], float],
        deadline_s: float,
    ) -> None:
        self._factory = factory
        self._membership = membership
        self._log = KafkaLog(clients)
        self._observer = observer
        self._clock = clock
        self._deadline_s = deadline_s
        self._lanes: dict[int, Lane] = {}
        self._generation = 0

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def get(self, partition: int) -> Lane | None:
        """Return a partition's lane, if it is ours."""
        return self._lanes.get(partition)

    @property
    def has_changed(self) -> bool:
        """Whether the group gave or took partitions since the last `take_over`."""
        return self._membership.generation != self._generation

    @property
    def unready(self) -> list[Lane]:
        """Lanes whose state does not stand yet."""
        return [lane for lane in self if not lane.is_ready]

    def take_over(self) -> None:
        """Start over with the partitions that are ours now."""
        self._generation = self._membership.generation
        self._membership.settle()
        self._begin(self._membership.partitions)
        self._observer.assigned(self._membership.partitions)

    def discard(self) -> None:
        """Forget all state; it is rebuilt from what was committed (rule 8)."""
        self._membership.fetch({})
        self._begin(tuple(self._lanes))

    def _begin(self, partitions: tuple[int, ...]) -> None:
        for lane in self:
            lane.close()
        now = self._clock()
        self._lanes = {partition: Lane(partition, now) for partition in partitions}

    def restore(self) -> None:
        """Take restores a step further, outside any callback (rule 10); fetch what became ready.

        Every record polled so far must have been applied: fetching starts at the positions.

        Raises:
            InvariantError: Topics, ledger and offsets contradict one another.
        """
        waiting = self.unready
        if not waiting:
            return
        opened = [self._advance(lane) for lane in waiting[:RESTORED_AT_ONCE]]
        if not any(opened):
            return
        self._membership.fetch(
            {
                (topic, lane.partition): offset
                for lane in self
                if lane.is_ready
                for topic, offset in lane.positions.items()
            }
        )
        if not self.unready:
            self._log.close()

    def _advance(self, lane: Lane) -> bool:
        """Take one restore a step further; return whether it ended."""
        if lane.opening is None:
            lane.opening = self._open(lane.partition)
        try:
            next(lane.opening)
        except StopIteration as stop:
            lane.opened(stop.value)
            assert lane.task is not None
            self._observer.restored(lane.partition, lane.task, self._clock() - lane.since)
            return True
        except DependencyUnavailableError as error:
            lane.close()
            self._check_deadline(lane, error)
        except KafkaException as error:
            # The broker went away in the middle: this restore begins again.
            check_callback_error(kafka_error(error))
            lane.close()
        return False

    def _check_deadline(self, lane: Lane, error: DependencyUnavailableError) -> None:
        if self._clock() - lane.since > self._deadline_s:
            msg = (
                f"partition {lane.partition}: what was committed must become visible within "
                f"{self._deadline_s:g} s, still missing: {error}"
            )
            raise InvariantError(msg) from error

    def _open(self, partition: int) -> Generator[None, None, Opened]:
        committed = self._membership.committed(partition)
        while committed is None:
            yield
            committed = self._membership.committed(partition)
        return (yield from self._factory.open(partition, committed, self._log))

    def close(self) -> None:
        """Drop all lanes, and the readers they hold."""
        self._begin(())
        self._log.close()

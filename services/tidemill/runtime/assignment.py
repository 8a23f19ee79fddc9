"""The partitions that are ours: restored a few at a time, then read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.deadletters import PoisonWatch
from tidemill.kernel.errors import (
    DependencyUnavailableError,
    InvariantError,
    ServiceAwayError,
)
from tidemill.kernel.processor import Recalling, Spreading
from tidemill.runtime.clients import KafkaException, kafka_error
from tidemill.runtime.failures import check_callback_error
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from tidemill.kernel.processor import Opened, TaskFactory
    from tidemill.runtime.clients import Clients
    from tidemill.runtime.membership import Membership
    from tidemill.runtime.observer import Observer
    from tidemill.runtime.outage import Outage
    from tidemill.runtime.transactions import Transactor

# Each restore under way holds a few readers.
RESTORED_AT_ONCE = 4
# While the cluster is away every step waits for an answer: so much of that per turn of the loop.
TURN_S = 1.0
ANSWER_S = 2.0
PAUSE_S = 1.0
COMMITTED_PAUSE_S = 0.1


class Assignment:
    """The lanes of a worker.

    Args:
        factory: Opens the processor's partitions.
        membership: Which partitions are ours; told what to fetch.
        clients: Makes the readers that a restore needs.
        outage: Told of steps that failed, and of those that came through.
        deadline_s: How long what was committed may take to become visible.
    """

    def __init__(
        self,
        factory: TaskFactory,
        membership: Membership,
        clients: Clients,
        *,
        observer: Observer,
        outage: Outage,
        clock: Callable[[], float],
        deadline_s: float,
    ) -> None:
        self._factory = factory
        self._membership = membership
        self._log = KafkaLog(clients, timeout_s=ANSWER_S)
        self._observer = observer
        self._outage = outage
        self._clock = clock
        self._deadline_s = deadline_s
        self._lanes: dict[int, Lane] = {}
        self._generation = 0
        self._poison: dict[int, dict[str, PoisonWatch]] = {}
        self._is_swept = True

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

    @property
    def due(self) -> list[Lane]:
        """Lanes whose restore can go on now."""
        now = self._clock()
        return [lane for lane in self.unready if lane.resume_at <= now]

    def take_over(self) -> None:
        """Start over with the partitions that are ours now."""
        self._generation = self._membership.generation
        self._membership.settle()
        self._begin(self._membership.partitions)
        self._observer.assigned(self._membership.partitions)

    def discard(self, *, pause_s: float = 0.0) -> None:
        """Forget all state; it is rebuilt from what was committed (rule 8), after a pause."""
        self._membership.fetch({})
        self._begin(tuple(self._lanes))
        for lane in self:
            lane.resume_at = self._clock() + pause_s

    def _begin(self, partitions: tuple[int, ...]) -> None:
        for lane in self:
            lane.close()
            for watch in lane.poison.values():
                watch.forget()
        now = self._clock()
        self._lanes = {number: Lane(number, now, self._poison_of(number)) for number in partitions}
        self._is_swept = not partitions

    def _poison_of(self, partition: int) -> dict[str, PoisonWatch]:
        if partition not in self._poison:
            self._poison[partition] = {topic: PoisonWatch() for topic in self._factory.inputs}
        return self._poison[partition]

    @property
    def _written(self) -> Iterable[int]:
        """The partitions that our tasks write to."""
        factory = self._factory
        return range(factory.spread) if isinstance(factory, Spreading) else self._lanes

    def sweep(self, transactor: Transactor) -> bool:
        """See that nobody's open transaction is left where we shall write; return whether so."""
        if not self._is_swept:
            self._is_swept = transactor.sweep(
                [(topic, number) for number in self._written for topic in self._factory.outputs],
                {(topic, number): 0 for number in self._lanes for topic in self._factory.inputs},
                self._membership.metadata,
            )
        return self._is_swept

    def restore(self) -> None:
        """Take restores a step further, outside any callback (rule 10); fetch what became ready.

        Every record polled so far must have been applied: fetching starts at the positions.

        Raises:
            InvariantError: Topics, ledger and offsets contradict one another.
        """
        if not self._advance_some():
            return
        self._membership.fetch(
            {
                (topic, lane.partition): offset
                for lane in self
                if lane.is_ready
                for topic, offset in lane.positions.items()
            }
        )
        self.release()

    def release(self) -> None:
        """Close readers that nobody needs any more."""
        if not self.unready:
            self._log.close()

    def _advance_some(self) -> bool:
        """Take those due a step further, begun ones first; return whether any ended."""
        started = self._clock()
        ended = False
        for lane in sorted(self.due, key=lambda lane: lane.opening is None)[:RESTORED_AT_ONCE]:
            ended = self._advance(lane) or ended
            if self._clock() - started > TURN_S:
                break
        return ended

    def _advance(self, lane: Lane) -> bool:
        """Take one restore a step further; return whether it ended."""
        if lane.opening is None:
            lane.opening = self._open(lane)
        try:
            next(lane.opening)
        except StopIteration as stop:
            lane.opened(stop.value)
            assert lane.task is not None
            self._observer.restored(lane.partition, lane.task, self._clock() - lane.since)
            self._outage.passed()
            return True
        except ServiceAwayError as error:
            lane.close()
            lane.missed = None
            lane.resume_at = self._clock() + error.retry_after_s
            self._outage.failed(str(error))
        except DependencyUnavailableError as error:
            lane.close()
            self._check_deadline(lane, error)
        except KafkaException as error:
            # The broker went away in the middle: this restore begins again.
            check_callback_error(kafka_error(error))
            lane.close()
            lane.missed = None
            lane.resume_at = self._clock() + PAUSE_S
            self._outage.failed(str(kafka_error(error).name()))
        return False

    def _check_deadline(self, lane: Lane, error: DependencyUnavailableError) -> None:
        """Note what is missing; the deadline runs from when this was first missed."""
        now = self._clock()
        if lane.missed is None or lane.missed[0] != str(error):
            lane.missed = (str(error), now)
        lane.resume_at = now + error.retry_after_s
        if now - lane.missed[1] > self._deadline_s:
            msg = (
                f"partition {lane.partition}: what was committed must become visible within "
                f"{self._deadline_s:g} s, still missing: {error}"
            )
            raise InvariantError(msg) from error

    def _open(self, lane: Lane) -> Generator[None, None, Opened]:
        committed = self._membership.committed(lane.partition)
        while committed is None:
            lane.resume_at = self._clock() + COMMITTED_PAUSE_S
            yield
            committed = self._membership.committed(lane.partition)
        mark = self._membership.mark(lane.partition)
        if isinstance(self._factory, Recalling):
            self._factory.recall(lane.partition, mark)
        opened = yield from self._factory.open(lane.partition, committed, self._log)
        if mark not in {"", opened.mark}:
            msg = f"state {mark} of partition {lane.partition}, found {opened.mark or 'none'},"
            raise DependencyUnavailableError(msg, retry_after_s=0.1)
        return opened

    def close(self) -> None:
        """Drop all lanes, and the readers they hold."""
        self._begin(())
        self._log.close()

"""Work of tasks beside their records: a slice now and then, between transactions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.runtime.clients import KafkaException, kafka_error
from tidemill.runtime.failures import check_callback_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.kernel.processor import Laborious
    from tidemill.kernel.records import Emit
    from tidemill.runtime.applying import Batch
    from tidemill.runtime.assignment import Assignment
    from tidemill.runtime.lanes import Lane
    from tidemill.runtime.observer import Observer
    from tidemill.runtime.outage import Outage

# So long are records kept waiting, while they come and while there are none.
FLOWING_S = 0.02
IDLE_S = 0.1
PAUSE_S = 1.0
# What could not even be done without waits so long: all state is built anew before it.
STUCK_S = 600.0
# What is missing is told once it has been for so long, and again after as long.
TELL_EVERY_S = 60.0


def seconds() -> float:
    """Return monotonic seconds, for tasks to measure their work by."""
    return time.monotonic()


class Labour:
    """Lets the tasks of a worker do their work, one after another.

    Args:
        lanes: The worker's partitions.
        outage: Told when the cluster does not answer.
        observer: Told of work that cannot go on.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lanes: Assignment,
        outage: Outage,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._lanes = lanes
        self._outage = outage
        self._observer = observer
        self._clock = clock
        self._next = 0
        self._stuck: dict[int, float] = {}
        self._missed: dict[int, float] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a task has work."""
        return any(lane.labour is not None and lane.labour.is_busy for lane in self._lanes)

    @property
    def due(self) -> list[Lane]:
        """Lanes whose work can go on now."""
        now = self._clock()
        return [
            lane
            for lane in self._lanes
            if lane.labour is not None
            and lane.labour.is_busy
            and lane.rests_until <= now
            and self._stuck.get(lane.partition, now) <= now
        ]

    def turn(self, came: Mapping[int, Batch], commit: Callable[[dict[int, Batch]], None]) -> None:
        """Let one task work for a slice, and commit what it leads to.

        Args:
            came: The records that came with this turn of the loop.
            commit: Commits what the lanes have beside records.

        Raises:
            InvariantError: A promise would break.
        """
        due = self.due
        if not due:
            return
        # One comes to an end before the next begins: each holds readers and what comes meanwhile.
        lane = min(due, key=lambda lane: (lane.partition < self._next, lane.partition))
        self._next = lane.partition
        emits = self._emits(lane, FLOWING_S if came else IDLE_S)
        if emits is None:
            return
        self._next += 1
        lane.first_emits = [*lane.first_emits, *emits]
        self._lanes.release()
        commit({})

    def _emits(self, lane: Lane, budget_s: float) -> list[Emit] | None:
        """Return what a task's work leads to; None if it has not come to an end."""
        task = lane.labour
        assert task is not None
        try:
            return task.take_over(lane.positions) if self._work(lane, task, budget_s) else None
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - no correction stops predictions; told, kept
            # It may stand half done in memory: as after an abort, nothing of that may stay.
            why = f"it waits for {STUCK_S:g} s, it could not even be done without: {error}"
            self._observer.hindered(lane.partition, why, error)
            self._stuck[lane.partition] = self._clock() + STUCK_S
            self._lanes.discard()
        return None

    def _work(self, lane: Lane, task: Laborious, budget_s: float) -> bool:
        try:
            is_done = task.work(budget_s)
        except DependencyUnavailableError as error:
            self._pause(lane, task, error.retry_after_s)
            self._tell_missed(lane.partition, str(error))
        except KafkaException as error:
            check_callback_error(kafka_error(error))
            self._outage.failed(str(kafka_error(error).name()))
            self._pause(lane, task, PAUSE_S)
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - it comes again: done without, and told aloud
            why = f"the attempt raised {type(error).__name__}: {error}"
            self._observer.hindered(lane.partition, why, error)
            task.give_up(why)
            return True
        else:
            self._missed.pop(lane.partition, None)
            return is_done
        return False

    def _tell_missed(self, partition: int, what: str) -> None:
        """Tell what is missing, once it has been for a while, and then again and again."""
        now = self._clock()
        if now - self._missed.setdefault(partition, now) >= TELL_EVERY_S:
            self._missed[partition] = now
            self._observer.hindered(partition, what)

    def _pause(self, lane: Lane, task: Laborious, seconds: float) -> None:
        """Begin again later: what was read so far may be from before the broker went away."""
        task.let_go()
        lane.rests_until = self._clock() + seconds
        self._lanes.release()

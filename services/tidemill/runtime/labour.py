"""Work of tasks beside their records: a slice now and then, between transactions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.clients import KafkaException, kafka_error
from tidemill.runtime.failures import check_callback_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.kernel.processor import Laborious
    from tidemill.runtime.applying import Batch
    from tidemill.runtime.assignment import Assignment
    from tidemill.runtime.lanes import Lane
    from tidemill.runtime.outage import Outage

# So long are records kept waiting, while they come and while there are none.
FLOWING_S = 0.02
IDLE_S = 0.1
PAUSE_S = 1.0


def seconds() -> float:
    """Return monotonic seconds, for tasks to measure their work by."""
    return time.monotonic()


class Labour:
    """Lets the tasks of a worker do their work, one after another.

    Args:
        lanes: The worker's partitions.
        outage: Told when the cluster does not answer.
        clock: Monotonic seconds.
    """

    def __init__(self, lanes: Assignment, outage: Outage, clock: Callable[[], float]) -> None:
        self._lanes = lanes
        self._outage = outage
        self._clock = clock
        self._next = 0

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
            if lane.labour is not None and lane.labour.is_busy and lane.rests_until <= now
        ]

    def turn(self, came: Mapping[int, Batch], commit: Callable[[dict[int, Batch]], None]) -> None:
        """Let one task work for a slice, and commit what it leads to.

        Args:
            came: The records that came with this turn of the loop.
            commit: Commits what the lanes have beside records.
        """
        due = self.due
        if not due:
            return
        # One comes to an end before the next begins: each holds readers and what comes meanwhile.
        lane = min(due, key=lambda lane: (lane.partition < self._next, lane.partition))
        self._next = lane.partition
        assert lane.labour is not None
        if not self._work(lane, lane.labour, FLOWING_S if came else IDLE_S):
            return
        self._next += 1
        lane.first_emits = [*lane.first_emits, *lane.labour.take_over(lane.positions)]
        self._lanes.release()
        commit({})

    def _work(self, lane: Lane, task: Laborious, budget_s: float) -> bool:
        try:
            return task.work(budget_s)
        except DependencyUnavailableError as error:
            self._pause(lane, task, error.retry_after_s)
        except KafkaException as error:
            check_callback_error(kafka_error(error))
            self._outage.failed(str(kafka_error(error).name()))
            self._pause(lane, task, PAUSE_S)
        except Exception as error:  # noqa: BLE001 - it comes again: do without, predictions go on
            task.give_up(f"the attempt raised {type(error).__name__}: {error}")
            return True
        return False

    def _pause(self, lane: Lane, task: Laborious, seconds: float) -> None:
        """Begin again later: what was read so far may be from before the broker went away."""
        task.let_go()
        lane.rests_until = self._clock() + seconds
        self._lanes.release()

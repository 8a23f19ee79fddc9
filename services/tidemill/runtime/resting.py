"""What tasks do between transactions, a second apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.kernel.processor import Resting
from tidemill.runtime.clients import KafkaException, kafka_error
from tidemill.runtime.failures import check_callback_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.assignment import Assignment
    from tidemill.runtime.lanes import Lane
    from tidemill.runtime.observer import Observer

EVERY_S = 1.0
# A task may ask the broker, or a service beside it. So long do they rest in one turn of the loop.
MOST_S = 0.5


class Rests:
    """Lets the tasks of all lanes rest that have nothing left to commit.

    Args:
        lanes: Those of the worker.
        observer: Told when a rest failed and all state is discarded.
        clock: Monotonic seconds.
    """

    def __init__(self, lanes: Assignment, observer: Observer, clock: Callable[[], float]) -> None:
        self._lanes = lanes
        self._observer = observer
        self._clock = clock
        self._due: dict[int, float] = {}

    def look(self, now: float) -> None:
        """Let those rest whose turn it is; after a failure all state is rebuilt (rule 8).

        Those that have waited longest come first, and where that takes long, others another time.
        """
        due = [lane for lane in self._lanes if now >= self._due.get(lane.partition, now)]
        try:
            for lane in sorted(due, key=lambda lane: self._due.get(lane.partition, 0.0)):
                if _rest(lane):
                    self._due[lane.partition] = now + EVERY_S
                if self._clock() - now >= MOST_S:
                    return
        except DependencyUnavailableError as error:
            self._observer.aborted(str(error))
            self._lanes.discard(pause_s=error.retry_after_s)
        except KafkaException as error:
            # The broker went away in the middle; nothing was decided yet.
            check_callback_error(kafka_error(error))


def _rest(lane: Lane) -> bool:
    """Let one rest; return whether it did."""
    task = lane.task
    if not isinstance(task, Resting) or lane.has_moved:
        return False
    lane.first_emits = task.rest(dict(lane.positions), frozenset(lane.ended))
    return True

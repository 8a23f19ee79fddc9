"""What the worker reports; metrics and tests listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.kernel.processor import Task
    from tidemill.kernel.records import Emit, Message


class Observer(Protocol):
    """Hears of every change of state; must not raise and must not block."""

    def turned(self, now: float) -> None:
        """The loop turned."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """These partitions are ours now; empty after a revocation."""

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        """A partition's state stands and it is read."""

    def committed(self, done: Committed) -> None:
        """A transaction was committed."""

    def aborted(self, reason: str) -> None:
        """A transaction was aborted and the state discarded."""

    def lagging(self, topic: str, partition: int, *, records: int, position_age_s: float) -> None:
        """How far a partition lags behind its end; the age is NaN before the first record."""

    def hindered(self, partition: int, why: str, error: Exception | None = None) -> None:
        """Work beside the records cannot go on: by what nobody expected, or something is missing.

        It is done without, or tried again; records are applied meanwhile.
        """

    def away(self, why: str) -> None:
        """The cluster has not done for seconds what it was asked; it is asked again and again."""

    def back(self, seconds: float) -> None:
        """The cluster does what it is asked, after so many seconds."""


class Committed:
    """What one transaction did."""

    __slots__ = ("emits", "finished", "records", "seconds", "tasks")

    def __init__(
        self,
        records: Sequence[Message],
        emits: Sequence[Emit],
        tasks: dict[int, Task],
        *,
        seconds: float,
        finished: float,
    ) -> None:
        self.records = records
        self.emits = emits
        self.tasks = tasks
        self.seconds = seconds
        self.finished = finished


class Silent:
    """Listens to nothing."""

    def turned(self, now: float) -> None:
        """Ignore."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """Ignore."""

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        """Ignore."""

    def committed(self, done: Committed) -> None:
        """Ignore."""

    def aborted(self, reason: str) -> None:
        """Ignore."""

    def lagging(self, topic: str, partition: int, *, records: int, position_age_s: float) -> None:
        """Ignore."""

    def hindered(self, partition: int, why: str, error: Exception | None = None) -> None:
        """Ignore."""

    def away(self, why: str) -> None:
        """Ignore."""

    def back(self, seconds: float) -> None:
        """Ignore."""

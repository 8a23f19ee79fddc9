"""One assigned partition of a worker: being restored, or running."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.kernel.processor import Laborious

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tidemill.kernel.deadletters import PoisonWatch
    from tidemill.kernel.processor import Opened, Task
    from tidemill.kernel.records import Emit


@dataclass(slots=True)
class Lane:
    """One partition number in all inputs.

    Attributes:
        opening: The restore under way; None when it has ended.
        task: The state; None while it is restored.
        positions: Next offset to read, per input topic.
        committed: As last committed by us; behind `positions` when only markers were passed.
        first_emits: To be committed before the first record.
        ended: Input topics read to their end.
        applied_ms: Kafka timestamp of the last record applied, per input topic.
        since: When the restore began, monotonic seconds.
        poison: One watch per input topic; they outlive the lane.
        missed: What the last try to restore did not find, and when that was first missed.
        resume_at: When the restore goes on, monotonic seconds.
        labour: The task, if it has work beside its records.
        rests_until: When that work begins again, monotonic seconds.
    """

    partition: int
    since: float
    poison: Mapping[str, PoisonWatch] = field(default_factory=dict)
    opening: Generator[None, None, Opened] | None = None
    task: Task | None = None
    positions: dict[str, int] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    first_emits: Sequence[Emit] = ()
    ended: set[str] = field(default_factory=set)
    applied_ms: dict[str, int] = field(default_factory=dict)
    missed: tuple[str, float] | None = None
    resume_at: float = 0.0
    labour: Laborious | None = None
    rests_until: float = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether the state stands where the next record is read."""
        return self.task is not None

    @property
    def has_moved(self) -> bool:
        """Whether something is to be committed though no record came."""
        return bool(self.first_emits) or self.positions != self.committed

    def opened(self, opened: Opened) -> None:
        """Take over the restored task."""
        self.task = opened.task
        self.labour = self.task if isinstance(self.task, Laborious) else None
        self.positions = dict(opened.positions)
        self.first_emits = opened.first_emits
        self.opening = None

    def close(self) -> None:
        """Drop a restore or other work under way, with the readers it holds."""
        if self.labour is not None:
            self.labour.let_go()
        if self.opening is not None:
            self.opening.close()
            self.opening = None

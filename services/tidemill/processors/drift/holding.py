"""How long an asset's models may be held: by event time, and a share of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.processors.drift.plans import Plan
    from tidemill.processors.drift.question import Question


@dataclass(slots=True)
class Clock:
    """Event time of an asset, as far as two events have reached it: one stray clock is nothing."""

    reached_us: int = -(1 << 62)
    newest_us: int = -(1 << 62)

    def after(self, times_us: Iterable[int]) -> list[tuple[int, int]]:
        """Return what was reached, and the newest time, after each of some events."""
        reached, newest, found = self.reached_us, self.newest_us, []
        for time_us in times_us:
            if time_us > newest:
                reached, newest = newest, time_us
            elif time_us > reached:
                reached = time_us
            found.append((reached, newest))
        return found


@dataclass(slots=True)
class Allowance:
    """How many events of an asset there were, and how many of them were held."""

    events: int = 0
    held: int = 0

    def has_room(self, plan: Plan, more: int) -> bool:
        """Return whether so many more may be held, the last of them being the newest event."""
        return self.held + more <= plan.hold_at_most * self.events

    def is_spent(self, plan: Plan, ahead: int) -> bool:
        """Return whether the event that comes after `ahead` more held ones cannot be held."""
        return self.held + ahead + 1 > plan.hold_at_most * (self.events + ahead + 1)


def first_due(
    question: Question, reached: list[tuple[int, int]], allowance: Allowance, plan: Plan
) -> int:
    """Return the first of some events at which a question is due, or their number.

    It is taken as answered there, or what it holds is let go of, as the share is used up.

    Args:
        question: The question.
        reached: Event times reached after each of them.
        allowance: What was held before the first of them.
        plan: Of the stream.
    """
    for n, (reached_us, _) in enumerate(reached):
        if reached_us >= question.until_us:
            return n
        if question.is_held and allowance.is_spent(plan, n):
            return n
    return len(reached)

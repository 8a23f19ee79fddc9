"""Whose answers others contradict, and whose word waits for a domain expert because of that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tidemill.processors.feedback.decision import QUARANTINE
from tidemill.processors.feedback.saying import EXPERT, RIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.processors.feedback.book import Book
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.trust import Limits

# RIGHT costs nothing: a contradiction in which one side has said no more weighs half.
HALF = 0.5
# What a RESUME names in the place of a model to end a person's quarantine.
OF_ACTOR = "actor:"


def differ(one: float | str | None, other: float | str | None, tolerance: float = 0.0) -> bool:
    """Return whether two answers differ: numbers by more than a tolerance, and than rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return not math.isclose(one, other, rel_tol=1e-9, abs_tol=tolerance)
    return one != other


def are_different(one: Decision, other: Decision) -> bool:
    """Return whether two answers to one event differ by more than both tolerate."""
    return differ(one.answer, other.answer, max(one.tolerance, other.tolerance))


def answers_on(book: Book, event: int | None) -> list[Decision]:
    """Return what was answered to an event and neither refused nor taken back."""
    return [
        decision
        for decision in book.of_event(event)
        if decision.answer is not None
        and decision.status != "REFUSED"
        and not book.is_retracted(decision)
    ]


def is_heard(book: Book, decision: Decision) -> bool:
    """Return whether an answer weighs: neither held for its actor's sake nor rejected."""
    if book.is_rejected(decision):
        return False
    return decision.held != QUARANTINE or book.is_approved(decision)


class Doubts:
    """Contradictions among the answers that are remembered and one that is given now.

    The word of a domain expert settles which answer is right, by an answer or by approving one.
    Without it, who says otherwise is weighed against who says the same, a person once; whoever is
    in quarantine weighs nothing. Both sides of a contradiction are contradicted.

    Args:
        now: The answer that is given; it is in no book yet.
    """

    def __init__(self, book: Book, now: Decision, limits: Limits) -> None:
        self._book = book
        self._now = now
        self._limits = limits

    def quarantined(self) -> tuple[str, ...]:
        """Return those whose word is to wait from now on: who answers, or who is contradicted."""
        now = self._now
        here = [d for d in answers_on(self._book, now.event) if is_heard(self._book, d)]
        sides = {d.actor for d in here if d.actor != now.actor and are_different(d, now)}
        return tuple(actor for actor in (now.actor, *sorted(sides)) if self._is_too_much(actor))

    def _is_too_much(self, actor: str) -> bool:
        answers = self._last_of(actor)[-self._limits.answers :]
        return sum(map(self._contradiction, answers)) >= self._limits.contradicted

    def _last_of(self, actor: str) -> list[Decision]:
        """Return the answers of a person since the last quarantine; a domain expert's are none."""
        before = self._book.quarantine(actor)
        since = -1 if before is None else before.offset
        mine = [*self._book.of_actor(actor), *([self._now] if actor == self._now.actor else [])]
        return [
            decision
            for decision in mine
            if decision.answer is not None
            and decision.role != EXPERT
            and decision.status != "REFUSED"
            and decision.held != QUARANTINE
            and decision.offset > since
            and not self._book.is_retracted(decision)
        ]

    def _contradiction(self, mine: Decision) -> float:
        """Return how much an answer is contradicted: 0, 0.5 or 1."""
        if self._book.is_rejected(mine):
            return 1.0
        others = [d for d in self._on(mine) if d.actor != mine.actor and is_heard(self._book, d)]
        settled = [d for d in others if d.role == EXPERT or self._book.is_approved(d)]
        if self._book.is_approved(mine) or settled:
            return float(bool(settled) and are_different(settled[-1], mine))
        last = {d.actor: d for d in others if self._weighs(d.actor)}
        against = sum(_weight(d) for d in last.values() if are_different(d, mine))
        same = sum(_weight(d) for d in last.values() if not are_different(d, mine))
        return min(against, _weight(mine), 1.0) if against > same else 0.0

    def _weighs(self, actor: str) -> bool:
        return quarantine_of(self._book, actor, self._now.time_ms, self._limits) is None

    def _on(self, answer: Decision) -> Iterable[Decision]:
        yield from answers_on(self._book, answer.event)
        if self._now.event == answer.event:
            yield self._now


def _weight(answer: Decision) -> float:
    return HALF if answer.kind == RIGHT else 1.0


def quarantine_of(book: Book, actor: str, now_ms: int, limits: Limits) -> Decision | None:
    """Return what put a person into quarantine; None if no word of that person's waits for it."""
    last = book.quarantine(actor)
    if last is None or now_ms >= last.time_ms + limits.quarantine_ms:
        return None
    freed = book.release(OF_ACTOR + actor)
    return None if freed is not None and freed.offset > last.offset else last


def alarm_of(decision: Decision, limits: Limits) -> str:
    """Return what people must hear of a decision; nothing where it puts nobody into quarantine."""
    if not decision.quarantines:
        return ""
    who = " and ".join(decision.quarantines)
    names = ", ".join(OF_ACTOR + actor for actor in decision.quarantines)
    return (
        f"answers of {who} and of others contradict each other, {limits.contradicted:g} or more of "
        f"the last {limits.answers}: all that {who} says of assets on this partition is held for a "
        f"domain expert for {limits.quarantine_ms / 3_600_000:g} hours; a domain expert's RESUME "
        f"with scope {names} ends that"
    )

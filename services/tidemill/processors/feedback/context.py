"""What a feedback is judged by: earlier decisions, the definition, stored cases, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.doubting import OF_ACTOR, quarantine_of
from tidemill.processors.feedback.saying import EXPERT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.stream import StreamDefinition
    from tidemill.models.outputs import Task
    from tidemill.processors.feedback.book import Book
    from tidemill.processors.feedback.cases import Case, Cases
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.trust import Limits

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Context:
    """All of it; nothing of it is changed by judging.

    Attributes:
        tasks: What the models of a stream answer, by stream.
    """

    book: Book
    cases: Cases
    limits: Limits
    streams: Mapping[str, StreamDefinition]
    tasks: Mapping[str, Task]


def stream_of(context: Context, said: Said, name: str | None) -> StreamDefinition:
    """Return the stream a feedback is about, whose people its actor is one of.

    Raises:
        RefusalError: There is none, or the role is none of its roles.
    """
    if name is None:
        raise RefusalError(f"{said.kind} must name a stream, or an event of one")
    stream = context.streams.get(name)
    if stream is None:
        raise RefusalError(f"stream must be one of {sorted(context.streams)}, was {name!r}")
    if said.stream not in {None, name}:
        raise RefusalError(f"stream must be that of the event, {name!r}, was {said.stream!r}")
    roles = stream.feedback.roles
    if said.role not in roles:
        raise RefusalError(f"role must be one of {', '.join(roles)}, was {said.role!r}")
    experts = stream.feedback.experts
    if said.role == EXPERT and experts and said.actor not in experts:
        raise RefusalError(
            f"a {EXPERT} of stream {stream.name} must be one whom its definition names as such, "
            f"{said.actor!r} is none"
        )
    return stream


def case_of(context: Context, said: Said, category: str) -> tuple[Case, StreamDefinition]:
    """Return the case a feedback names and its stream, which must take such feedback.

    Raises:
        RefusalError: There is none, or its stream takes none.
    """
    case = context.cases.find(said)
    stream = stream_of(context, said, case.prediction["stream"])
    kinds = stream.feedback.kinds
    if category not in kinds:
        taken = ", ".join(kinds) or "none"
        raise RefusalError(
            f"stream {stream.name} takes feedback on {taken}; {said.kind} is on {category}"
        )
    return case, stream


def check_expert(said: Said) -> None:
    """Hold that a domain expert speaks.

    Raises:
        RefusalError: Somebody else does.
    """
    if said.role != EXPERT:
        raise RefusalError(f"{said.kind} must be a {EXPERT}'s, role was {said.role!r}")


def check_free(context: Context, said: Said) -> None:
    """Hold that somebody who speaks for others is not in quarantine.

    Raises:
        RefusalError: Whoever speaks is.
    """
    held = held_until(context, said)
    if held is not None:
        raise RefusalError(
            f"{said.actor} must not be quarantined to {said.kind} for others: {held}"
        )


def held_until(context: Context, said: Said) -> str | None:
    """Return until when a person's feedback is held, in words; None if it is not."""
    began = quarantine_of(context.book, said.actor, said.time_ms, context.limits)
    if began is None:
        return None
    left_ms = began.time_ms + context.limits.quarantine_ms - said.time_ms
    return quarantined(said.actor, left_ms)


def quarantined(actor: str, left_ms: int) -> str:
    """Return what a person in quarantine is told."""
    hours = left_ms / HOUR_MS
    return (
        f"answers of {actor} and of others contradict each other too often: held for a domain "
        f"expert, as all that {actor} says in the next {hours:.1f} hours but for taking back what "
        f"is {actor}'s own, or until a domain expert's RESUME with scope {OF_ACTOR}{actor}"
    )

"""HOLD, FREEZE and RESUME: whether models learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.events import EARLIEST_US, LATEST_US
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import check_expert, check_free, held_until, stream_of
from tidemill.processors.feedback.decision import QUARANTINE
from tidemill.processors.feedback.doubting import OF_ACTOR, quarantine_of
from tidemill.processors.feedback.saying import EXPERT
from tidemill.processors.feedback.writing import ACCEPTED, COUNTED, HELD, Ruling, update_of

if TYPE_CHECKING:
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.writing import Record


def on_model(context: Context, said: Said) -> Ruling:
    """Return what becomes of an instruction.

    Raises:
        RefusalError: It cannot be taken.
    """
    if said.kind == "RESUME" and (said.scope or "").startswith(OF_ACTOR):
        return _freed(context, said, str(said.scope).removeprefix(OF_ACTOR))
    updates, stream, case = steering_updates(context, said)
    known = {"stream": stream.name, "event": None if case is None else case.event}
    held = held_until(context, said)
    if held is not None:
        return Ruling(HELD, held, known={**known, "held": QUARANTINE}, case=case)
    sent = tuple(str(update["kind"]) for update in updates)
    reason = _stays_frozen(context, said, stream)
    return Ruling(ACCEPTED, reason, updates=updates, known={**known, "sent": sent}, case=case)


def _stays_frozen(context: Context, said: Said, stream: StreamDefinition) -> str | None:
    """Return what a RESUME does not end, in words; None where it ends all."""
    if said.kind != "RESUME" or said.role == EXPERT:
        return None
    frozen: Decision | None = None
    for decision in context.book.of_asset(said.asset, stream.name):
        if not context.book.is_undone(decision):
            frozen = decision if "FREEZE" in decision.sent else frozen
            frozen = None if "RESUME" in decision.sent else frozen
    if frozen is None:
        return None
    return (
        f"this ends a hold; models stay frozen by {frozen.feedback_id} of {frozen.actor} until a "
        f"{EXPERT}'s RESUME"
    )


def _freed(context: Context, said: Said, actor: str) -> Ruling:
    """Return what becomes of a domain expert's word that ends a person's quarantine."""
    name = said.stream
    if said.event is not None or said.event_id is not None:
        name = str(context.cases.find(said).prediction["stream"])
    stream = stream_of(context, said, name)
    check_expert(said)
    check_free(context, said)
    if quarantine_of(context.book, actor, said.time_ms, context.limits) is None:
        raise RefusalError(f"{actor} must be in quarantine on this partition, is not")
    reason = f"what {actor} says counts again; what was held waits for APPROVE or REJECT as before"
    return Ruling(COUNTED, reason, known={"stream": stream.name})


def steering_updates(
    context: Context, said: Said
) -> tuple[tuple[Record, ...], StreamDefinition, Case | None]:
    """Return what models are told, of which stream, and the case if one was named.

    Raises:
        RefusalError: It cannot be taken.
    """
    case = None
    if said.event is not None or said.event_id is not None:
        case = context.cases.find(said)
    name = said.stream if case is None else str(case.prediction["stream"])
    stream = stream_of(context, said, name)
    now_us = _now_us(context, said, stream.name) if case is None else case.time_us
    if said.kind == "FREEZE":
        check_expert(said)
    kinds = {"HOLD": ("HOLD",), "FREEZE": ("FREEZE",)}.get(said.kind, _resuming(said))
    known: Record = {"model": _model(said, stream)}
    if case is not None:
        known["time"] = case.time_us
    if said.kind == "HOLD":
        known["until"] = _until(said, case, (now_us, stream))
    return tuple(update_of(said, kind, stream.name, **known) for kind in kinds), stream, case


def _now_us(context: Context, said: Said, stream: str) -> int:
    """Return the event time at which an instruction without an event is given.

    Raises:
        RefusalError: Neither the stream nor anybody before has lately spoken of the asset.
    """
    newest = context.cases.newest_us(said.position.partition, said.asset, stream)
    if newest is not None:
        return newest
    if context.book.of_asset(said.asset, stream):
        return said.time_us  # a quiet one, of which people have said something before
    raise RefusalError(
        f"asset must be one that stream {stream} lately predicted for on partition "
        f"{said.position.partition}, {said.asset!r} is none"
    )


def _resuming(said: Said) -> tuple[str, ...]:
    """Return what RESUME ends: a hold; an expert's, a freeze too."""
    return ("RELEASE", "RESUME") if said.role == EXPERT else ("RELEASE",)


def _model(said: Said, stream: StreamDefinition) -> str | None:
    if said.scope is None:
        return None
    names = list(stream.pipelines)
    full = said.scope if "/" in said.scope else f"{stream.name}/{said.scope}"
    if full not in names:
        raise RefusalError(f"scope must be one of {', '.join(names)} or absent, was {said.scope!r}")
    return full


def _until(said: Said, case: Case | None, begun: tuple[int, StreamDefinition]) -> int | None:
    """Return when a hold ends; only a domain expert's may last for longer than the longest."""
    until, (now_us, stream) = said.until_us, begun
    latest = now_us + round(stream.feedback.longest_hold * 1_000_000)
    if until is None:
        return None if said.role == EXPERT else latest
    if not EARLIEST_US <= until < LATEST_US:
        raise RefusalError(f"until must lie in the years 1 to 9999, was {until} microseconds")
    if case is not None and until <= case.time_us:
        raise RefusalError(
            f"until must lie behind the event named, at {case.time_us} microseconds, was {until}"
        )
    if until > latest and said.role != EXPERT:
        raise RefusalError(
            f"until must lie within {stream.feedback.longest_hold:g} s of the asset's newest event "
            f"but for a {EXPERT}, was {(until - now_us) / 1e6:g} s behind it"
        )
    return until

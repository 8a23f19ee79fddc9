"""RIGHT, WRONG and CORRECTED: what people answer where a model answered."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.fold.instructions import is_at_fault
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import case_of, held_until, quarantined
from tidemill.processors.feedback.decision import DISAGREEMENT, QUARANTINE, decision_of
from tidemill.processors.feedback.doubting import Doubts, answers_on, are_different
from tidemill.processors.feedback.given import FAR, answer_of, is_far, tolerance_of
from tidemill.processors.feedback.saying import EXPERT, RIGHT, is_lesson
from tidemill.processors.feedback.undoing import caused_by, standing, undoing
from tidemill.processors.feedback.writing import (
    ACCEPTED,
    COUNTED,
    HELD,
    RETRACTED,
    Ruling,
    about,
    receipt_of,
    update_of,
)

if TYPE_CHECKING:
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.given import Answer
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.writing import Record

_COPIES = re.compile(r"counterexamples:(?P<copies>[1-5])", re.ASCII)


def on_answer(context: Context, said: Said) -> Ruling:
    """Return what becomes of an answer.

    Raises:
        RefusalError: It cannot be taken.
    """
    case, stream = case_of(context, said, "inference")
    answer = answer_of(context, said, (case, stream))
    known: dict[str, object] = {
        "stream": stream.name,
        "event": case.event,
        "event_id": case.prediction["event_id"],
        "answer": answer,
        "tolerance": tolerance_of(case, stream),
    }
    mine = decision_of(said, "", ACCEPTED, **known)
    doubts = Doubts(context.book, mine, context.limits)
    quarantines = () if answer is None else doubts.quarantined()
    held = held_until(context, said)
    if said.actor in quarantines:
        held = quarantined(said.actor, context.limits.quarantine_ms)
    if not is_lesson(said) or answer is None or stream.target is None:
        ruling = _counted(context, said, (stream, mine), held)
    else:
        ruling = _correction(context, said, (case, stream, mine), held)
    return replace(ruling, known={**known, **ruling.known, "quarantines": quarantines}, case=case)


def _counted(
    context: Context, said: Said, counted: tuple[StreamDefinition, Decision], held: str | None
) -> Ruling:
    """Return what becomes of an answer that teaches nothing."""
    stream, mine = counted
    if held is not None:
        return Ruling(HELD, held, known={"held": QUARANTINE})
    if stream.target is None:
        return Ruling(COUNTED, f"stream {stream.name} has no target: nothing learns an answer")
    if said.kind != RIGHT:
        return Ruling(COUNTED, "send CORRECTED with the right answer to teach it")
    for taught in _effective(context, mine, is_final=True):
        if said.role == EXPERT and are_different(taught, mine):
            reason = f"{taught.feedback_id} says {taught.answer!r} and is learned: RETRACT it"
            return Ruling(COUNTED, reason)
    return Ruling(COUNTED)


def _correction(
    context: Context,
    said: Said,
    corrected: tuple[Case, StreamDefinition, Decision],
    held: str | None,
) -> Ruling:
    """Return what becomes of an answer that is to be learned."""
    case, stream, mine = corrected
    assert mine.answer is not None
    update = _lesson(context, said, case, (stream, mine.answer))  # refused before it is held
    if held is not None:
        return Ruling(HELD, held, known={"held": QUARANTINE})
    is_final = said.role == EXPERT
    others = []
    for earlier in _effective(context, mine, is_final=is_final):
        if not are_different(earlier, mine):
            waits = context.book.is_waiting(earlier)
            state = "waits for a domain expert" if waits else "models were told of"
            return Ruling(COUNTED, f"the same as {earlier.feedback_id}, which {state}")
        if earlier.actor == said.actor:
            raise RefusalError(
                f"{said.actor} must take {earlier.feedback_id} back first (RETRACT): it says "
                f"{earlier.answer!r} of the same event"
            )
        others.append(earlier)
    if is_final:
        return _overruling(context, said, others, update)
    if others:
        reason = (
            f"{others[-1].actor} says {others[-1].answer!r} of the same event "
            f"({others[-1].feedback_id}); a domain expert is to APPROVE or REJECT this"
        )
        return Ruling(HELD, reason, known={"held": DISAGREEMENT})
    if is_far(case, mine.answer):
        reason = (
            f"{mine.answer!r} is further than {FAR} intervals from what was predicted, "
            f"{case.said!r}; a domain expert is to APPROVE or REJECT this"
        )
        return Ruling(HELD, reason, known={"held": DISAGREEMENT})
    return Ruling(ACCEPTED, updates=(update,), known={"sent": (update["kind"],)})


def _overruling(context: Context, said: Said, overruled: list[Decision], update: Record) -> Ruling:
    """Return what a domain expert's correction does: it takes the place of what others taught."""
    undone = [each for one in overruled for each in standing(context.book, one)]
    updates = (*(undoing(said, each) for each in undone), update)
    reason = f"{said.actor} says {update['label']!r} ({said.feedback_id})"
    others = [receipt_of(one, said.position.partition, RETRACTED, reason) for one in overruled]
    known = {
        "sent": tuple(str(each["kind"]) for each in updates),
        "undone": tuple(each.feedback_id for each in undone),
    }
    return Ruling(ACCEPTED, updates=updates, others=others, known=known)


def _effective(context: Context, mine: Decision, *, is_final: bool) -> list[Decision]:
    """Return the corrections of an event that were learned or, but for an expert, wait to be."""
    book = context.book
    return [
        decision
        for decision in answers_on(book, mine.event)
        if is_lesson(decision)
        and decision.feedback_id != mine.feedback_id
        and not any(book.is_undone(each) for each in caused_by(book, decision))
        and (
            decision.sent
            or book.is_approved(decision)
            or (book.is_waiting(decision) and not is_final)
        )
    ]


def lesson_of(context: Context, held: Said) -> Record | None:
    """Return what models are told of an answer that was held and is approved; None for nothing.

    Raises:
        RefusalError: The case is not known any more, or another answer to it stands.
    """
    case, stream = case_of(context, held, "inference")
    answer = answer_of(context, held, (case, stream))
    if not is_lesson(held) or answer is None or stream.target is None:
        return None
    known: dict[str, object] = {"answer": answer, "tolerance": tolerance_of(case, stream)}
    mine = decision_of(held, "", ACCEPTED, **{**known, "event": case.event})
    for earlier in _effective(context, mine, is_final=True):
        if not are_different(earlier, mine):
            return None
        raise RefusalError(
            f"{earlier.feedback_id} must be taken back first (RETRACT): it says "
            f"{earlier.answer!r} of the same event"
        )
    return _lesson(context, held, case, (stream, answer))


def _lesson(
    context: Context, said: Said, case: Case, taught: tuple[StreamDefinition, Answer]
) -> Record:
    stream, answer = taught
    copies = _copies(said)
    about_case = about(case)
    if is_at_fault(about_case):
        flags = ", ".join(case.prediction["quality"])
        msg = f"what is learned must be without a fault, the event was flagged {flags}"
        raise RefusalError(msg)
    return update_of(
        said,
        "EXAMPLE" if copies is None else "COUNTEREXAMPLE",
        stream.name,
        **about_case,
        features=context.cases.features(case, stream),
        label=answer,
        label_time=said.time_us,
        weight=1.0 if copies is None else float(copies),
    )


def _copies(said: Said) -> int | None:
    if said.scope is None:
        return None
    found = _COPIES.fullmatch(said.scope)
    if found is None:
        raise RefusalError(
            f"scope of {said.kind} must be counterexamples:1 to counterexamples:5 or absent, was "
            f"{said.scope!r}"
        )
    return int(found["copies"])

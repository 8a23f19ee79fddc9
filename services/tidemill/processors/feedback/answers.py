"""RIGHT, WRONG and CORRECTED: what people answer where a model answered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import InvalidRecordError
from tidemill.models.outputs import Binary
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import case_of, held_until
from tidemill.processors.feedback.decision import DISAGREEMENT, QUARANTINE
from tidemill.processors.feedback.trust import answers_on, contradicts, differ, is_one_too_many
from tidemill.processors.feedback.writing import (
    ACCEPTED,
    COUNTED,
    HELD,
    Ruling,
    about,
    update_of,
)

if TYPE_CHECKING:
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.writing import Record

_COPIES = re.compile(r"counterexamples:(?P<copies>[1-5])", re.ASCII)

Answer = float | str


def on_answer(context: Context, said: Said) -> Ruling:
    """Return what becomes of an answer.

    Raises:
        RefusalError: It cannot be taken.
    """
    case, stream = case_of(context, said, "inference")
    if said.kind == "RIGHT":
        answer = case.said
    elif said.kind == "WRONG" and said.value is None:
        answer = _other_class(context, case, stream)
    else:
        answer = _given(context, said, stream)
    known = {
        "stream": stream.name,
        "event": case.event,
        "event_id": case.prediction["event_id"],
        "answer": answer,
    }
    if said.kind == "RIGHT" or answer is None:
        reason = (
            None if said.kind == "RIGHT" else "send CORRECTED with the right answer to teach it"
        )
        return _watched(context, said, Ruling(COUNTED, reason, known=known, case=case))
    ruling = _correction(context, said, (case, stream, answer))
    return _watched(context, said, _knowing(ruling, known, case))


def _knowing(ruling: Ruling, known: dict[str, Any], case: Case) -> Ruling:  # Any: attributes
    return Ruling(
        ruling.status, ruling.reason, ruling.updates, known={**known, **ruling.known}, case=case
    )


def _correction(
    context: Context, said: Said, corrected: tuple[Case, StreamDefinition, Answer]
) -> Ruling:
    """Return what becomes of an answer that is to be learned."""
    case, stream, answer = corrected
    said_otherwise = None
    for earlier in _effective(context, said, case.event):
        if not differ(earlier.answer, answer):
            return Ruling(COUNTED, f"the same as {earlier.feedback_id}, which counts already")
        if earlier.actor == said.actor:
            raise RefusalError(
                f"{said.actor} must take {earlier.feedback_id} back first (RETRACT): it says "
                f"{earlier.answer!r} of the same event"
            )
        said_otherwise = earlier
    update = _lesson(context, said, case, (stream, answer))  # refused before it is held
    held = held_until(context, said)
    if held is not None:
        return Ruling(HELD, held, known={"held": QUARANTINE})
    if said_otherwise is not None:
        reason = (
            f"{said_otherwise.actor} says {said_otherwise.answer!r} of the same event "
            f"({said_otherwise.feedback_id}); a domain expert is to APPROVE or REJECT this"
        )
        return Ruling(HELD, reason, known={"held": DISAGREEMENT})
    return Ruling(ACCEPTED, updates=(update,), known={"sent": (update["kind"],)})


def _effective(context: Context, said: Said, event: int) -> list[Decision]:
    """Return the corrections of an event that were learned or wait to be."""
    book = context.book
    return [
        decision
        for decision in answers_on(book, said.asset, event)
        if decision.kind != "RIGHT"
        and not book.is_undone(decision)
        and (decision.sent or book.is_waiting(decision) or book.is_approved(decision))
    ]


def lesson_of(context: Context, held: Said) -> Record:
    """Return what models are told of a correction that was held and is approved.

    Raises:
        RefusalError: The case is not known any more, or another answer to it stands.
    """
    case, stream = case_of(context, held, "inference")
    answer = (
        _other_class(context, case, stream)
        if held.kind == "WRONG" and held.value is None
        else _given(context, held, stream)
    )
    assert answer is not None, "only answers are held"
    for earlier in _effective(context, held, case.event):
        if earlier.feedback_id != held.feedback_id and differ(earlier.answer, answer):
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
    return update_of(
        said,
        "EXAMPLE" if copies is None else "COUNTEREXAMPLE",
        stream.name,
        **about(case),
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


def _other_class(context: Context, case: Case, stream: StreamDefinition) -> str | None:
    """Return the class that is right if the one predicted is wrong; None where many may be."""
    task = context.tasks[stream.name]
    if not isinstance(task, Binary):
        return None
    if case.said is None:
        raise RefusalError("the prediction must name a class to be wrong, it named none")
    classes = [str(task.key(label)) for label in (False, True)]
    return classes[0] if case.said == classes[1] else classes[1]


def _given(context: Context, said: Said, stream: StreamDefinition) -> Answer:
    """Return the right answer as predictions name it."""
    task = context.tasks[stream.name]
    if stream.target is None:
        raise RefusalError(f"stream {stream.name} has no target: there is no answer to correct")
    if said.value is None:
        raise RefusalError(f"{said.kind} must carry the right answer as value, it was null")
    if isinstance(said.value, bool) and task.name == "regression":
        raise RefusalError(f"value must be a number, was {said.value!r}")
    try:
        label = task.read_label(said.value)
    except InvalidRecordError as error:
        raise RefusalError(str(error)) from error
    if label is None:
        raise RefusalError(f"value must be finite and of usual size, was {said.value!r}")
    return task.key(label)


def _watched(context: Context, said: Said, ruling: Ruling) -> Ruling:
    """Note whether an answer contradicts those of others, and whether it is one too many."""
    answer, event = ruling.known["answer"], ruling.known["event"]
    assert isinstance(event, int)
    if answer is None:
        return ruling
    assert isinstance(answer, float | str)
    is_against = contradicts(context.book, said, event, answer)
    too_many = is_one_too_many(context.book, said, context.limits, contradicts_too=is_against)
    alarm = (
        f"more than half of the last answers of {said.actor} contradict what others said; all that "
        f"{said.actor} says is held for a domain expert for "
        f"{context.limits.quarantine_ms / 3_600_000:g} hours"
        if too_many
        else ""
    )
    known = {**ruling.known, "contradicts": is_against, "quarantines": too_many}
    return Ruling(
        ruling.status, ruling.reason, ruling.updates, ruling.others, known, ruling.case, alarm
    )

"""What becomes of a feedback: refused, counted, held for an expert, or told to the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.processors.feedback.answers import on_answer
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.drifts import on_drift
from tidemill.processors.feedback.saying import (
    DRIFTS,
    EXPLANATION,
    INFERENCE,
    LATER,
    MODEL,
    SETTLING,
)
from tidemill.processors.feedback.settling import on_retraction, on_settling
from tidemill.processors.feedback.steering import on_model
from tidemill.processors.feedback.votes import on_vote
from tidemill.processors.feedback.writing import REFUSED, Ruling

if TYPE_CHECKING:
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.saying import Said


def judge(context: Context, said: Said) -> Ruling:
    """Return what becomes of a feedback; changes nothing.

    Raises:
        DependencyUnavailableError: The case cannot be looked up now.
    """
    try:
        return _judged(context, said)
    except RefusalError as refusal:
        return Ruling(REFUSED, str(refusal))


def _judged(context: Context, said: Said) -> Ruling:
    kind = said.kind
    if kind in INFERENCE:
        return on_answer(context, said)
    if kind in EXPLANATION:
        return on_vote(context, said)
    if kind in MODEL:
        return on_model(context, said)
    if kind in DRIFTS:
        return on_drift(context, said)
    if kind in SETTLING:
        return on_settling(context, said)
    if kind == "RETRACT":
        return on_retraction(context, said)
    assert kind in LATER, kind
    raise RefusalError(f"{kind} is not taken by this version: it comes with a later one")

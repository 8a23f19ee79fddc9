"""Receipts of feedback: what became of it, and what it has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK, RECEIPTS
from tidemill.kernel.records import Emit
from tidemill.models.recent import BEFORE_ALL_US

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.instructions import Instruction
    from tidemill.fold.plans import StreamPlan
    from tidemill.kernel.errors import InvalidRecordError
    from tidemill.models.outputs import Answer
    from tidemill.models.state import ModelState

# Numbers that differ by less, of the larger one, are the same.
NEARLY = 1e-9

# What these decide is whether a model learns, not what it answers.
_UNMEASURED = frozenset({"FREEZE", "RESUME", "HOLD", "RELEASE"})


class Asked(NamedTuple):
    """What a model says of the case in question, if there is one, and of the last cases."""

    question: Answer | None
    others: tuple[Answer, ...]


def is_told_by(instruction: Instruction, model: str) -> bool:
    """Return whether the receipt of an instruction is this model's to give."""
    return instruction.is_from_feedback and model == (
        instruction.model or instruction.plan.champion
    )


def ask_last(plan: StreamPlan, state: ModelState) -> tuple[Answer, ...]:
    """Ask a model the last cases of its asset."""
    return tuple(plan.ask(state, case).answer for case in state.recent.cases)


def ask(
    plan: StreamPlan,
    state: ModelState,
    instruction: Instruction,
    others: tuple[Answer, ...] | None = None,
) -> Asked | None:
    """Ask a model before or after an instruction; None where that cannot change its answers.

    The case in question is the instruction's, or else the asset's last one. `others` is what the
    model says of the last cases, where it was asked already.
    """
    if instruction.kind in _UNMEASURED:
        return None
    cases = state.recent.cases
    x: dict[str, Any] | None = cases[-1] if cases else None  # Any: numbers and strings
    if instruction.case is not None:
        x = instruction.case.x
    question = None if x is None else plan.ask(state, x).answer
    return Asked(question, ask_last(plan, state) if others is None else others)


def effect(before: Asked | None, after: Asked | None) -> dict[str, float | int] | None:
    """Return what changed between two times that the same was asked; None where nothing can be.

    Of classes it is the probability of the one named before.
    """
    if before is None or after is None or before.question is None or after.question is None:
        return None
    was, now = _number(before.question, before.question), _number(before.question, after.question)
    if was is None or now is None:
        return None
    changed = [_differs(one, other) for one, other in _pairs(before.others, after.others)]
    return {"before": was, "after": now, "changed": sum(changed), "compared": len(changed)}


def _pairs(before: Sequence[Answer], after: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    return list(zip(before, after, strict=True))


def _number(named_by: Answer, said: Answer) -> float | None:
    if named_by.value is not None:
        return said.value
    if named_by.outcome is None or said.probabilities is None:
        return None
    return said.probabilities.get(named_by.outcome, 0.0)


def _differs(one: Answer, other: Answer) -> bool:
    """Return whether two answers name another class, or numbers that are not nearly the same."""
    if one.value is None or other.value is None:
        return (one.value, one.outcome) != (other.value, other.outcome)
    return abs(one.value - other.value) > NEARLY * max(abs(one.value), abs(other.value))


def receipt(
    update: Mapping[str, Any],  # Any: an Avro record
    status: str,
    *,
    partition: int,
    reason: str | None = None,
    by: tuple[str, ModelState] | None = None,
    changed: dict[str, float | int] | None = None,
) -> Emit:
    """Return the receipt of the feedback that caused an update.

    Args:
        update: Its `origin` is the feedback.
        status: What became of it.
        partition: Of the asset.
        reason: Why, where that is not plain.
        by: The model it names, and its state once this took effect.
        changed: See `effect`.
    """
    cause = update["cause"]
    model, state = (None, None) if by is None else by
    reached = BEFORE_ALL_US if state is None else state.recent.newest_us
    record = {
        "feedback_id": update["origin"],
        "status": status,
        "reason": reason,
        "asset": update["asset"],
        "stream": update["stream"],
        "model": model,
        "version": None if state is None else state.version,
        "lineage": None if state is None else state.lineage,
        "effect": changed,
        "feature": update["feature"],
        "source": {name: cause[name] for name in ("topic", "partition", "offset")},
        "time": None if reached == BEFORE_ALL_US else reached,
    }
    value = codec("Receipt").encode(record)
    return Emit(RECEIPTS, partition, str(update["asset"]).encode(), value)


def refusals(
    update: Mapping[str, Any] | None,  # Any: as above
    error: InvalidRecordError,
    partition: int,
) -> list[Emit]:
    """Return what a feedback is told whose update is a dead letter; nothing where nobody waits."""
    if update is None or update["cause"]["topic"] != FEEDBACK:
        return []
    return [receipt(update, "REFUSED", partition=partition, reason=str(error))]

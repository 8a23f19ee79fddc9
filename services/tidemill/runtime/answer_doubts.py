"""What a model does not know about an event, in sentences without jargon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.runtime.answer_words import has_answer, percent, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.contracts.answer import Answer

# A model that learned from fewer cases is said to know little.
FEW_CASES = 30
# What no sensor accounts for is said from this part of all shares on.
NOTICEABLE = 0.05

_FLAGS = {
    "LATE": "The event came late, after newer ones; the model does not learn from it.",
    "DUPLICATE": "An event of this name had come before; the model does not learn from it.",
    "HELD": "Learning is on hold here until someone says what happened.",
    "FROZEN": "The model is full and learns nothing new.",
}
# Flags of readings that the model was not given as they were.
_DISTRUSTED = {
    "NOT_FINITE": "is no number",
    "OUT_OF_RANGE": "is out of its range",
    "STUCK": "does not move any more",
}


def doubts(answer: Answer) -> list[str]:
    """Return what the model was not told, has not learned, or cannot tell exactly."""
    return [*_of_sensors(answer), *_of_event(answer), *_of_model(answer), *_of_shares(answer)]


def _of_sensors(answer: Answer) -> Iterator[str]:
    readings = answer.readings or {}
    explanation = answer.explanation
    flags = [flag for flag in answer.prediction["quality"] if flag in _DISTRUSTED]
    if explanation is None or answer.readings is None:
        if explanation is not None:
            yield from (f"{name} sent nothing." for name in explanation["missing"])
        yield from (f"A reading {_DISTRUSTED[flag]}; the model was not given it." for flag in flags)
        return
    given = {share["feature"]: share for share in explanation["attributions"]}
    for name, share in given.items():
        raw, seen, unit = readings.get(name), share["observed"], share["unit"]
        if raw is None and name in readings:
            instead = "" if seen is None else f"; its last reading {reading(seen, unit)} was taken"
            yield f"{name} sent nothing{instead}."
        elif raw is None and seen is None:
            yield f"{name} cannot be worked out yet: it has too few readings before it."
        elif flags and _is_other(raw, seen):
            why = " or ".join(_DISTRUSTED[flag] for flag in flags)
            instead = "nothing" if seen is None else reading(seen, unit)
            yield f"{name} read {reading(raw, unit)}, which {why}; the model was given {instead}."


def _is_other(raw: Any, seen: Any) -> bool:  # Any: Avro values
    """Return whether a model was given something else than a sensor read."""
    if seen is None:
        return raw is not None
    if not (isinstance(seen, float) and isinstance(raw, int | float)):
        return False
    return float(raw) != seen


def _of_event(answer: Answer) -> Iterator[str]:
    for flag in answer.prediction["quality"]:
        if flag in _FLAGS:
            yield _FLAGS[flag]


def _of_model(answer: Answer) -> Iterator[str]:
    cases = answer.prediction["version"]
    if cases == 0:
        yield "The model had learned nothing yet."
    elif cases < FEW_CASES:
        yield f"The model had learned from {cases} {'case' if cases == 1 else 'cases'} only."


def _of_shares(answer: Answer) -> Iterator[str]:
    explanation = answer.explanation
    if explanation is None:
        yield f"What each sensor does to it cannot be told: {answer.obstacle}."
        return
    if not has_answer(answer):
        return
    if not explanation["exact"]:
        yield "What each sensor does to it is an estimate here."
    whole = sum(abs(share["attribution"]) for share in explanation["attributions"])
    left = abs(explanation["residual"])
    if left > NOTICEABLE * whole:
        yield f"A part of it, {percent(left / (whole + left))}, belongs to no single sensor."

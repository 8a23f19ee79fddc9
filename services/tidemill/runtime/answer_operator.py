"""An answer for those who run the plant: a short text of sensors, readings and directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.runtime.answer_doubts import doubts
from tidemill.runtime.answer_words import (
    amount,
    by_size,
    came,
    has_answer,
    headline,
    measured,
    percent,
    reading,
    when_made,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.contracts.answer import Answer, Record

MOST_SENSORS = 5
# A sensor with less of all that speaks is not worth a line.
WORTH_A_LINE = 0.05
_IN_AMOUNTS = frozenset({"value", "probability"})


def operator_lines(answer: Answer) -> list[str]:
    """Return the text, line by line."""
    lines = headline(answer)
    if answer.explanation is not None and has_answer(answer):
        lines += [*_why(answer, answer.explanation), *when_made(answer)]
    lines += came(answer)
    unknown = doubts(answer)
    if unknown:
        lines += ["What the model does not know:", *(f"  {each}" for each in unknown)]
    return lines


def _why(answer: Answer, explanation: Record) -> Iterator[str]:
    ranked = by_size(explanation)
    whole = sum(abs(share["attribution"]) for share in ranked)
    shown = [s for s in ranked if abs(s["attribution"]) > WORTH_A_LINE * whole][:MOST_SENSORS]
    if not shown:
        yield "No sensor moves it away from the usual answer."
        return
    yield _compared_with(answer, explanation)
    for share in shown:
        yield f"  {_sensor(share)} {_does(answer, explanation, share, whole)}."
    rest = len(ranked) - len(shown)
    if rest:
        others = "The other sensor does" if rest == 1 else f"The other {rest} sensors do"
        yield f"  {others} little."


def _compared_with(answer: Answer, explanation: Record) -> str:
    base, space = explanation["base"], explanation["output_space"]
    match space:
        case "value":
            return f"Compared with the usual answer of {measured(base, answer.asked.unit)}:"
        case "probability":
            return f"Compared with the usual probability of {percent(min(max(base, 0.0), 1.0))}:"
        case "anomaly score":
            return "What makes the event unusual, and what usual:"
    return "What speaks for it, and what against it:"


def _sensor(share: Record) -> str:
    if share["observed"] is None:
        return f"{share['feature']}, which is not known,"
    return f"{share['feature']} {reading(share['observed'], share['unit'])}"


def _does(answer: Answer, explanation: Record, share: Record, whole: float) -> str:
    """Return what a sensor does to the answer, and how much."""
    value, space = share["attribution"], explanation["output_space"]
    part = f"with {percent(abs(value) / whole)} of the weight of all sensors"
    if space == "anomaly score":
        return f"makes it look {'unusual' if value > 0 else 'usual'}, {part}"
    if space not in _IN_AMOUNTS:
        target, contrast = explanation["target_class"], explanation["contrast_class"]
        against = f"for {contrast}" if contrast is not None else f"against {target}"
        return f"speaks {f'for {target}' if value > 0 else against}, {part}"
    what = f"the predicted {answer.asked.name or 'value'}"
    if space == "probability":
        target = explanation["target_class"]
        what = "the probability" if target is None else f"the probability of {target}"
    verb = "raises" if value > 0 else "lowers"
    return f"{verb} {what} by {amount(explanation, answer.asked, value)}"

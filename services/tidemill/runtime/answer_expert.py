"""An answer for those who know the process: direction and size of each sensor, and the views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.runtime.answer_doubts import doubts
from tidemill.runtime.answer_views import view_lines
from tidemill.runtime.answer_words import (
    aligned,
    amount,
    bar,
    by_size,
    came,
    has_answer,
    headline,
    largest_of,
    number,
    reading,
    when_made,
)

if TYPE_CHECKING:
    from tidemill.contracts.answer import Answer, Record


def expert_lines(answer: Answer) -> list[str]:
    """Return the text, line by line."""
    explanation = answer.explanation
    lines = [*headline(answer), *came(answer)]
    if explanation is not None and has_answer(answer):
        lines += [*_sensors(answer, explanation), *when_made(answer)]
    unknown = doubts(answer)
    if unknown:
        lines += ["What the model does not know:", *(f"  {each}" for each in unknown)]
    return [*lines, *view_lines(answer)]


def _sensors(answer: Answer, explanation: Record) -> list[str]:
    ranked = by_size(explanation)
    largest = largest_of(share["attribution"] for share in ranked)
    reference = explanation["reference"]
    cases = f" of {reference['n']:,} cases" if reference["n"] else ""
    space = explanation["output_space"] + _for(explanation)
    head = (
        f"From {number(explanation['base'])} at the reference ({reference['kind']}{cases}) "
        f"to {number(explanation['prediction'])}, in {space}:"
    )
    rows = [
        [
            share["feature"],
            reading(share["observed"], share["unit"]),
            bar(share["attribution"], largest),
            _effect(answer, explanation, share["attribution"]),
        ]
        for share in ranked
    ]
    return [head, *aligned(rows)]


def _for(explanation: Record) -> str:
    target, contrast = explanation["target_class"], explanation["contrast_class"]
    if target is None:
        return ""
    return f" for {target}" + ("" if contrast is None else f" rather than {contrast}")


def _effect(answer: Answer, explanation: Record, value: float) -> str:
    if value == 0.0:
        return "does nothing"
    verb = "raises" if value > 0 else "lowers"
    return f"{verb} by {amount(explanation, answer.asked, value)}"

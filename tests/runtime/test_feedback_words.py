"""Feedback, receipts and cases in words."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.contracts.feedback_form import field_names
from tidemill.kernel.records import Position
from tidemill.runtime.feedback_words import answer_text, document, feedback_line, receipt_line

RECEIPT: dict[str, Any] = {
    "feedback_id": "f1",
    "status": "COMPENSATED",
    "reason": "no base state is retained",
    "asset": "north/1",
    "kind": None,
    "model": None,
    "version": None,
    "effect": None,
}
FEEDBACK = {
    **dict.fromkeys(field_names()),
    "feedback_id": "f1",
    "kind": "RETRACT",
    "asset": "north/1",
    "actor": "anna",
    "role": "operator",
    "time": 0,
}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((None, {"a": 0.2, "b": 0.1, "c": 0.6, "d": 0.1}, None), "c 0.60 a 0.20 b 0.10"),
        ((None, {}, None), "no answer yet"),
        ((None, None, None), "no answer yet"),
        ((0.1 + 0.2, None, None), "0.3"),
        ((3.25, None, {"low": 2.0, "high": 4.5}), "3.25 (2 to 4.5)"),
    ],
)
def test_an_answer_says_how_sure_it_is(answer: tuple[Any, Any, Any], said: str) -> None:
    assert answer_text(*answer) == said


def test_a_receipt_says_no_more_than_it_knows() -> None:
    effect = {"before": 0.5, "after": 1 / 3, "changed": 0, "compared": 0}

    assert receipt_line(RECEIPT) == "COMPENSATED  f1 of north/1: no base state is retained"
    assert receipt_line({**RECEIPT, "reason": None, "effect": effect}) == (
        "COMPENSATED  f1 of north/1, the case reads 0.5 before and 0.333333 after"
    )


def test_a_feedback_names_what_it_is_about() -> None:
    assert feedback_line({**FEEDBACK, "target_id": "f0"}) == (
        "1970-01-01T00:00:00Z  anna (operator): RETRACT f0 of north/1  f1"
    )
    assert feedback_line({**FEEDBACK, "kind": "HOLD", "scope": "pump/champion"}) == (
        "1970-01-01T00:00:00Z  anna (operator): HOLD of pump/champion of north/1  f1"
    )


def test_a_record_keeps_its_values_and_says_where_it_stands() -> None:
    found = document({**FEEDBACK, "until": 1_500_000, "value": 0.1}, Position("t", 1, 2))

    assert found["position"] == {"topic": "t", "partition": 1, "offset": 2}
    assert (found["time"], found["until"]) == (
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:01.500000Z",
    )
    assert (found["value"], found["comment"]) == (0.1, None)

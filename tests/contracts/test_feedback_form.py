"""What a feedback must say by its kind."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.contracts.codec import our_lock, record_name
from tidemill.contracts.feedback_form import (
    FINAL,
    KINDS,
    OF_ALARMS,
    OF_DRIFTS,
    OF_EVENTS,
    OF_FEEDBACK,
    OF_MODELS,
    answer_in_terms_of,
    deterministic_id,
    field_names,
    form_problems,
)

WHO = {"actor": "anna", "role": "operator"}
# What each kind needs, and nothing it does not take.
NEEDED: dict[str, dict[str, Any]] = {
    **{kind: {"event_id": "e1"} for kind in ("RIGHT", "WRONG")},
    "CORRECTED": {"event_id": "e1", "value": 0.0},
    **{
        kind: {"event_id": "e1", "feature": "flow"}
        for kind in ("IRRELEVANT", "MISSING", "WRONG_DIRECTION")
    },
    **{kind: {"drift_id": "d", "asset": "a"} for kind in ("FAULT", "PROCESS_CHANGE")},
    **{kind: {"asset": "a"} for kind in ("HOLD", "FREEZE", "RESUME", "PROMOTE", "ROLLBACK")},
    **{kind: {"target_id": "f"} for kind in ("RETRACT", "APPROVE", "REJECT")},
    "ACKNOWLEDGE": {"target_id": "f", "asset": "a"},
    "SHELVE": {"target_id": "f", "asset": "a", "until": 1},
}


def problems(**fields: Any) -> list[str]:
    return [f"{problem.field}: {problem.text}" for problem in form_problems(fields)]


def schema(name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        s for _, s in sorted(our_lock().items()) if record_name(s) == f"tidemill.{name}"
    ]
    return found[-1]


def test_the_kinds_and_statuses_are_those_of_the_records() -> None:
    kinds = next(f["type"]["symbols"] for f in schema("Feedback")["fields"] if f["name"] == "kind")
    statuses = next(
        f["type"]["symbols"] for f in schema("Receipt")["fields"] if f["name"] == "status"
    )

    assert list(KINDS) == kinds
    assert {*FINAL, "ACCEPTED"} == set(statuses)
    assert set(NEEDED) == set(KINDS)
    groups = [OF_EVENTS, OF_DRIFTS, OF_FEEDBACK, OF_ALARMS, OF_MODELS]
    assert sorted(kind for group in groups for kind in group) == sorted(KINDS)
    assert "selection" in field_names()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_needs_what_it_is_about_and_who_says_it(kind: str) -> None:
    whole = {"kind": kind, **WHO, **NEEDED[kind]}

    assert problems(**whole) == []
    for name in NEEDED[kind]:
        assert problems(**{**whole, name: None}) == [
            f"{name}: must be given for {kind}, found none"
        ]
    for name in WHO:
        assert problems(**{**whole, name: ""}) == [
            f"{name}: must say who it is from, found nothing"
        ]


@pytest.mark.parametrize(
    ("name", "value", "takers"),
    [
        ("value", 1.0, {"WRONG", "CORRECTED"}),
        ("until", 1, {"HOLD", "SHELVE"}),
        ("target_id", "f", OF_FEEDBACK | OF_ALARMS),
        ("drift_id", "d", OF_DRIFTS),
        ("scope", "m", OF_MODELS | {"WRONG", "CORRECTED"}),
        ("selection", 0.5, {"RIGHT", "WRONG", "CORRECTED"}),
    ],
)
def test_what_a_kind_does_not_take_is_named_with_the_kinds_that_do(
    name: str, value: object, takers: set[str]
) -> None:
    for kind in KINDS:
        found = problems(**{"kind": kind, **WHO, **NEEDED[kind], name: value})
        if kind in takers:
            assert found == []
        else:
            (problem,) = found
            assert problem.startswith(f"{name}: must be left out for {kind}, found one; it is for")
            assert all(taker in problem for taker in takers)


@pytest.mark.parametrize("selection", [0.0, -0.5, 1.5, float("nan")])
def test_a_selection_is_a_probability_above_0(selection: float) -> None:
    found = problems(kind="RIGHT", **WHO, event_id="e", selection=selection)

    assert found == [f"selection: must be a probability in (0, 1], was {selection}"]


def test_a_name_is_no_longer_than_records_can_carry() -> None:
    found = problems(kind="RIGHT", **{**WHO, "actor": "a" * 513}, event_id="e")

    assert found == [f"actor: must have at most 512 bytes, was {'a' * 40!r}... of 513"]


def test_nor_is_an_answer() -> None:
    found = problems(kind="CORRECTED", **WHO, event_id="e", value="a" * 513)

    assert found == [f"value: must have at most 512 bytes, was {'a' * 40!r}... of 513"]


def test_an_event_says_whose_models_are_meant() -> None:
    assert problems(kind="HOLD", **WHO, event_id="e1") == []
    assert problems(kind="HOLD", **WHO, event={"offset": 1}) == []
    assert problems(kind="FAULT", **WHO, drift_id="d", event_id="e1") != []


def test_a_position_stands_for_an_event_and_an_unknown_kind_for_nothing() -> None:
    assert problems(kind="RIGHT", **WHO, event={"offset": 1}) == []
    assert problems(**WHO)[0].startswith("kind: must be one of RIGHT, WRONG, CORRECTED, IRR")


NUMBER = {"value": 1.0, "probabilities": None, "outcome": None}
CLASSES: dict[str, Any] = {"value": None, "probabilities": {}, "outcome": None}
DETECTOR = {"value": 0.7, "probabilities": None, "outcome": "true"}
NOTHING = {"value": None, "probabilities": None, "outcome": None}


@pytest.mark.parametrize(
    ("prediction", "value", "is_text", "right"),
    [
        (NUMBER, "2.5", True, 2.5),
        (NUMBER, 2.5, False, 2.5),
        (CLASSES, "1", True, "1"),
        (CLASSES, True, False, True),
        (DETECTOR, "false", True, "false"),
        (NOTHING, "2.5", True, 2.5),
        (NOTHING, "jam", True, "jam"),
        (NOTHING, True, False, True),
    ],
)
def test_an_answer_is_read_as_the_stream_has_answers(
    prediction: dict[str, Any], value: Any, is_text: bool, right: object
) -> None:
    found = answer_in_terms_of(prediction, value, is_text=is_text)

    assert (type(found), found) == (type(right), right)


@pytest.mark.parametrize(
    ("value", "is_text"), [("jam", True), ("nan", True), ("2.5", False), (True, False)]
)
def test_what_is_no_number_is_refused_where_numbers_are_predicted(
    value: Any, is_text: bool
) -> None:
    with pytest.raises(ValueError, match="must be a finite number, as the prediction is, was"):
        answer_in_terms_of(NUMBER, value, is_text=is_text)


def test_equal_content_has_an_equal_id_whatever_the_order() -> None:
    record = {"kind": "RIGHT", "time": 1, "value": None, "feedback_id": None}
    turned = dict(reversed(list(record.items())))

    assert deterministic_id(record) == deterministic_id({**turned, "feedback_id": "x"})
    assert deterministic_id({**record, "time": 2}) != deterministic_id(record)
    assert len(deterministic_id(record)) == 36

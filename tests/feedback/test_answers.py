"""RIGHT, WRONG and CORRECTED."""

from __future__ import annotations

import math

import pytest

from feedback.stage import (
    ASSET,
    MULTICLASS,
    Stage,
    definition_text,
    prediction,
)
from tidemill.testing.plants import START_US, event_value


def test_a_correction_becomes_an_example_of_the_case_as_it_was_predicted() -> None:
    said = Stage().say("f1", "CORRECTED", value="jam", event_id="e7")

    (update,) = said.updates
    stored = prediction(7)
    assert said.statuses == ["ACCEPTED"]
    assert (update["kind"], update["label"], update["origin"]) == ("EXAMPLE", "jam", "f1")
    assert (update["revision"], update["replaced"], update["weight"]) == (0, None, 1.0)
    assert (update["event_id"], update["event"], update["time"]) == (
        "e7",
        stored["source"],
        stored["time"],
    )
    assert update["features"] == stored["features"]
    assert update["cause"] == {
        "topic": "operator.feedback",
        "partition": 0,
        "offset": 0,
        "index": 0,
    }
    for name in ("model", "version", "lineage", "probabilities", "outcome"):
        assert update["stored"][name] == stored[name]


def test_the_case_is_found_by_its_position_too() -> None:
    event = {"topic": "sensor.events", "partition": 0, "offset": 31}
    said = Stage().say("f1", "CORRECTED", value="jam", event_id=None, event=event)

    assert said.updates[0]["event_id"] == "e31"


def test_right_counts_and_changes_nothing() -> None:
    said = Stage().say("f1", "RIGHT")

    assert said.statuses == ["ACCEPTED", "COUNTED"]
    assert not said.updates


def test_wrong_means_the_other_one_of_two_classes() -> None:
    said = Stage().say("f1", "WRONG")

    assert [update["label"] for update in said.updates] == ["jam"]


def test_wrong_of_many_classes_only_counts_and_asks_for_the_right_one() -> None:
    said = Stage(text=definition_text(MULTICLASS)).say("f1", "WRONG")

    assert said.statuses == ["ACCEPTED", "COUNTED"]
    assert "CORRECTED" in said.reason


def test_copies_are_taught_only_on_request() -> None:
    said = Stage().say("f1", "CORRECTED", value="jam", scope="counterexamples:3")

    assert [(u["kind"], u["weight"]) for u in said.updates] == [("COUNTEREXAMPLE", 3.0)]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"value": None}, "value"),
        ({"value": "broken"}, "broken"),
        ({"value": 7.0}, "7"),
        ({"value": "jam", "event_id": "e4711"}, "prediction on e4711"),
        ({"value": "jam", "event_id": None}, "must name an event"),
        ({"value": "jam", "asset": "plant/other"}, "prediction"),
        ({"value": "jam", "role": "visitor"}, "role must be one of"),
        ({"value": "jam", "stream": "press"}, "stream must be that of the event"),
        ({"value": "jam", "scope": "counterexamples:50"}, "counterexamples:1"),
        (
            {"value": "jam", "event": {"topic": "sensor.events", "partition": 1, "offset": 0}},
            "partition of its event",
        ),
        (
            {
                "value": "jam",
                "event_id": "e1",
                "event": {"topic": "sensor.events", "partition": 0, "offset": 0},
            },
            "event_id must be that",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(
    known: dict[str, object], reason: str
) -> None:
    said = Stage().say("f1", "CORRECTED", **known)

    assert said.statuses == ["REFUSED"]
    assert reason in said.reason
    assert not said.updates


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e60, True, "many"])
def test_a_number_must_be_finite_and_a_number(value: object) -> None:
    text = definition_text(
        {"target": {"field": {"name": "wear", "kind": "regression"}}}, "regression"
    )
    said = Stage(text=text).say("f1", "CORRECTED", value=value)

    assert said.statuses == ["REFUSED"]
    assert "must be" in said.reason


def test_kinds_that_a_stream_does_not_take_are_refused() -> None:
    document = {
        "target": {"label": {"name": "j", "kind": "binary", "classes": ["ok", "jam"], "ttl": "8h"}},
        "feedback": {"kinds": ["drift"]},
    }
    said = Stage(text=definition_text(document)).say("f1", "RIGHT")

    assert said.statuses == ["REFUSED"]
    assert "takes feedback on drift" in said.reason


def test_a_case_with_its_label_in_the_event_is_read_from_the_event() -> None:
    target = {
        "target": {"field": {"name": "is_faulty", "kind": "binary", "classes": [False, True]}}
    }
    stored = [prediction(0, features=None, outcome="false", probabilities={"false": 1.0})]
    x = {"vibration": 3.0, "temperature": 20.0, "flow": None}
    stage = Stage(stored, text=definition_text(target), events=[event_value(ASSET, 0, x, True)])

    (update,) = stage.say("f1", "WRONG").updates

    assert update["features"] == {"vibration": 3.0, "temperature": 20.0}
    assert update["label"] == "true"


def test_an_event_at_fault_is_not_learned_again() -> None:
    target = {
        "target": {"field": {"name": "is_faulty", "kind": "binary", "classes": [False, True]}}
    }
    stored = [prediction(0, features=None, outcome="false")]
    events = [event_value(ASSET, 0, {"temperature": 5000.0})]
    said = Stage(stored, text=definition_text(target), events=events).say("f1", "WRONG")

    assert said.statuses == ["REFUSED"]
    assert "OUT_OF_RANGE" in said.reason


def test_features_made_of_earlier_readings_cannot_be_had_from_one_event() -> None:
    document = {
        "target": {"field": {"name": "is_faulty", "kind": "binary", "classes": [False, True]}},
        "features": {"flow": {}, "before": {"of": "flow", "lag": 1}},
    }
    stored = [prediction(0, features=None, outcome="false")]
    said = Stage(stored, text=definition_text(document)).say("f1", "WRONG")

    assert said.statuses == ["REFUSED"]
    assert "before followed from the readings before it" in said.reason


def test_the_same_answer_again_counts_and_is_not_learned_twice() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    again = stage.say("f2", "CORRECTED", value="jam")
    another = stage.say("f3", "WRONG", actor="bob")

    assert again.statuses == another.statuses == ["ACCEPTED", "COUNTED"]
    assert not again.updates
    assert not another.updates


def test_who_changes_ones_mind_must_take_the_first_answer_back() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    changed = stage.say("f2", "CORRECTED", value="ok")
    stage.say("f3", "RETRACT", target_id="f1")
    anew = stage.say("f4", "CORRECTED", value="ok")

    assert changed.statuses == ["REFUSED"]
    assert "f1" in changed.reason
    assert [update["label"] for update in anew.updates] == ["ok"]


def test_of_two_people_who_disagree_the_later_one_waits_for_an_expert() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    later = stage.say("f2", "CORRECTED", value="ok", actor="bob")

    assert later.statuses == ["ACCEPTED", "HELD_FOR_EXPERT"]
    assert not later.updates


def test_what_is_said_of_alarms_is_left_to_another_processor() -> None:
    for kind in ("ACKNOWLEDGE", "SHELVE"):
        said = Stage().say("f1", kind)
        assert said.statuses == []


def test_later_kinds_are_refused_as_such() -> None:
    for kind in ("PROMOTE", "ROLLBACK"):
        said = Stage().say("f1", kind)
        assert said.statuses == ["REFUSED"]
        assert "later" in said.reason


def test_the_receipt_names_feedback_case_and_person() -> None:
    (receipt,) = Stage().say("f1", "WRONG").receipts

    assert receipt["source"] == {"topic": "operator.feedback", "partition": 0, "offset": 0}
    assert (receipt["stream"], receipt["kind"], receipt["actor"]) == ("pump", "WRONG", "ann")
    assert receipt["time"] == START_US


@pytest.mark.parametrize("scope", [None, "counterexamples:5"])
@pytest.mark.parametrize(("flag", "is_taken"), [("NOT_FINITE", False), ("MISSING", True)])
def test_an_event_at_fault_is_not_taught(scope: str | None, flag: str, *, is_taken: bool) -> None:
    stage = Stage([prediction(0, quality=[flag, "IMPUTED"] if not is_taken else [flag])])
    said = stage.say("f1", "CORRECTED", value="jam", scope=scope)

    assert bool(said.updates) is is_taken
    assert said.statuses == (["ACCEPTED"] if is_taken else ["REFUSED"])
    if not is_taken:
        assert "flagged NOT_FINITE, IMPUTED" in said.reason

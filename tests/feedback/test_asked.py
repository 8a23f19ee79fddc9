"""Answers to cases that people were asked for, and answers that nobody expects."""

from __future__ import annotations

import pytest

from feedback.stage import Stage, definition_text, prediction

EXPERT = {"actor": "eve", "role": "domain_expert"}
LATE_NUMBERS = {"target": {"label": {"name": "visc", "kind": "regression", "ttl": "8h"}}}
REGION = {"low": 4.5, "high": 5.5, "level": 0.9, "method": "aci", "labels": 200}


def measured() -> Stage:
    """Return a stage on which 5.0 was predicted, give or take a half."""
    stored = [
        prediction(n, probabilities=None, outcome=None, value=5.0, interval=REGION)
        for n in range(10)
    ]
    return Stage(stored, text=definition_text(LATE_NUMBERS, "regression"))


def test_a_nod_to_a_case_that_was_asked_for_is_learned_as_the_same_answer_would_be() -> None:
    nod = Stage().say("f", "RIGHT", selection=0.25)
    told = Stage().say("f", "CORRECTED", value="ok", selection=0.25)
    plain = Stage().say("f", "RIGHT")

    assert nod.updates == told.updates
    assert [update["label"] for update in nod.updates] == ["ok"]
    assert nod.statuses == ["ACCEPTED"]
    assert (plain.updates, plain.statuses) == ([], ["ACCEPTED", "COUNTED"])


def test_a_nod_to_a_number_is_learned_as_that_number() -> None:
    (update,) = measured().say("f", "RIGHT", selection=1.0).updates

    assert (update["kind"], update["label"]) == ("EXAMPLE", 5.0)


def test_a_nod_that_is_learned_is_an_answer_like_others() -> None:
    stage = Stage()
    stage.say("f1", "RIGHT", selection=0.5)
    same = stage.say("f2", "CORRECTED", value="ok", actor="bob")
    other = stage.say("f3", "CORRECTED", value="jam", actor="cy")
    back = stage.say("back", "RETRACT", target_id="f1")

    assert same.statuses == ["ACCEPTED", "COUNTED"]
    assert other.statuses == ["ACCEPTED", "HELD_FOR_EXPERT"]
    assert [update["target_id"] for update in back.updates] == ["f1"]
    held = Stage()
    held.say("f1", "CORRECTED", value="jam")
    assert held.say("f2", "RIGHT", selection=0.5, actor="bob").statuses[-1] == "HELD_FOR_EXPERT"
    held.say("back", "RETRACT", target_id="f1")
    approved = held.say("yes", "APPROVE", target_id="f2", **EXPERT)
    assert [update["label"] for update in approved.updates] == ["ok"]


@pytest.mark.parametrize("selection", [0.0, -0.5, 1.5, float("nan")])
def test_a_selection_is_a_probability(selection: float) -> None:
    said = Stage().say("f", "RIGHT", selection=selection)

    assert said.statuses == ["REFUSED"]
    assert "selection must be a probability" in said.reason


def test_without_a_target_nobody_is_told_to_send_what_would_be_refused() -> None:
    document = {"target": "none", "model": {"champion": ["anomaly.HalfSpaceTrees"]}}
    stage = Stage(text=definition_text(document))
    said = [
        stage.say("f1", "RIGHT", selection=0.5),
        stage.say("f2", "WRONG", event_id="e1"),
    ]

    assert [each.statuses for each in said] == [["ACCEPTED", "COUNTED"]] * 2
    assert all("has no target: nothing learns an answer" in each.reason for each in said)
    assert stage.say("f3", "CORRECTED", value=1.0).statuses == ["REFUSED"]


@pytest.mark.parametrize(("value", "is_taken"), [(105.0, True), (106.0, False), (-1e49, False)])
def test_a_number_that_nobody_expects_waits_for_an_expert(value: float, *, is_taken: bool) -> None:
    stage = measured()
    said = stage.say("f", "CORRECTED", value=value)

    assert bool(said.updates) is is_taken
    if not is_taken:
        assert said.statuses == ["ACCEPTED", "HELD_FOR_EXPERT"]
        assert "further than 100 intervals" in said.reason
        approved = stage.say("yes", "APPROVE", target_id="f", **EXPERT)
        assert [update["label"] for update in approved.updates] == [value]
    assert stage.say("x", "CORRECTED", value=value, event_id="e1", **EXPERT).updates

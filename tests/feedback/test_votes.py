"""Votes on explanations, vetoes, and what experts and people do about them."""

from __future__ import annotations

import pytest

from feedback.stage import HOUR_MS, LABELLED, Said, Stage, definition_text
from tidemill.contracts.topics import PREDICTIONS
from tidemill.processors.feedback.trust import Limits

OPERATORS = {**LABELLED, "feedback": {"roles": ["operator"], "veto_needs": "operator"}}


def five_votes(stage: Stage) -> Said:
    """Have three people vote five times; return what the last vote caused."""
    for number, actor in enumerate("abca"):
        stage.vote(number, actor)
    return stage.vote(4, "b")


def test_five_votes_of_three_people_veto_a_sensor_where_operators_may() -> None:
    last = five_votes(Stage(text=definition_text(OPERATORS)))

    (update,) = last.updates
    assert (update["kind"], update["feature"], update["origin"]) == ("VETO", "flow", "v4-b")
    assert update["cause"]["offset"] == 4
    assert update["features"]["flow"] == 1.5
    assert last.statuses == ["ACCEPTED"]


def test_four_votes_do_not() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    said = [stage.vote(number, actor) for number, actor in enumerate("abca")]

    assert all(each.statuses == ["ACCEPTED", "COUNTED"] for each in said)


def test_two_people_do_not_however_often_they_vote() -> None:
    stage = Stage(text=definition_text(OPERATORS))

    assert not any(stage.vote(number, "ab"[number % 2]).updates for number in range(30))


def test_one_persons_votes_count_for_at_most_half() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    for number in range(20):
        stage.vote(number, "a")
    assert not stage.vote(20, "b").updates
    assert not stage.vote(21, "c").updates

    assert stage.vote(22, "b").kinds == ["VETO"]


def test_one_vote_of_a_person_on_an_event_counts() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    for actor in "abc":
        stage.vote(0, actor)
    twice = stage.say("more", "IRRELEVANT", feature="flow", actor="a")
    again = stage.say("and more", "IRRELEVANT", feature="flow", actor="b")

    assert "one vote of a person on an event" in twice.reason
    assert not again.updates
    assert not stage.vote(1, "a").updates
    assert stage.vote(2, "b").kinds == ["VETO"]


def test_less_than_three_in_ten_votes_do_not_veto() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    for number in range(13):
        stage.vote(number, "abcdef"[number % 6], kind="MISSING", feature="vibration")
    said = [stage.vote(20 + number, "abc"[number % 3]) for number in range(6)]

    assert [bool(each.updates) for each in said] == [False] * 5 + [True]


def test_missing_and_wrong_direction_count_and_veto_nothing() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    for first, kind in ((0, "MISSING"), (20, "WRONG_DIRECTION")):
        said = [stage.vote(first + n, "abcdef"[n % 6], kind=kind) for n in range(20)]
        assert all(each.statuses == ["ACCEPTED", "COUNTED"] for each in said)


def test_by_default_a_veto_waits_for_an_expert() -> None:
    stage = Stage()
    held = five_votes(stage)
    more = stage.vote(5, "c")
    approved = stage.say("yes", "APPROVE", target_id="v4-b", actor="eve", role="domain_expert")

    assert held.statuses == ["ACCEPTED", "HELD_FOR_EXPERT"]
    assert "asked already, by v4-b" in more.reason
    (update,) = approved.updates
    assert (update["kind"], update["feature"], update["origin"]) == ("VETO", "flow", "yes")
    assert update["cause"]["offset"] == 6
    assert (approved.of("yes"), approved.of("v4-b")) == (["ACCEPTED"], ["COUNTED"])


def test_an_experts_own_vote_is_approval_enough() -> None:
    stage = Stage()
    stage.vote(0, "eve", role="domain_expert")
    for number, actor in enumerate("abc", 1):
        stage.vote(number, actor)

    assert stage.vote(4, "a").kinds == ["VETO"]


def test_a_rejected_veto_takes_new_votes() -> None:
    stage = Stage()
    five_votes(stage)
    rejected = stage.say("no", "REJECT", target_id="v4-b", actor="eve", role="domain_expert")
    next_vote = stage.vote(5, "c")

    assert (rejected.of("no"), rejected.of("v4-b")) == (["ACCEPTED", "COUNTED"], ["REFUSED"])
    assert next_vote.statuses == ["ACCEPTED", "COUNTED"]


def test_a_vote_for_a_veto_that_was_sent_sends_it_again_for_models_may_be_others() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    five_votes(stage)
    more = stage.vote(5, "c")

    (update,) = more.updates
    assert (update["kind"], update["feature"], update["origin"]) == ("VETO", "flow", "v4-b")
    assert (update["cause"]["offset"], update["event_id"]) == (5, "e5")
    assert more.statuses == ["ACCEPTED", "COUNTED"]


def test_what_was_sent_again_is_taken_back_as_one() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    five_votes(stage)
    stage.vote(5, "d")
    back = stage.say("back", "RETRACT", target_id="v1-b", actor="b")
    gone = stage.say("gone", "RETRACT", target_id="v2-c", actor="c")

    assert not back.updates
    assert [update["target_id"] for update in gone.updates] == ["v4-b"]
    assert stage.vote(9, "c").kinds == ["VETO"]


@pytest.mark.parametrize("role", ["operator", "domain_expert"])
def test_the_last_sensor_is_not_vetoed(role: str) -> None:
    stage = Stage(text=definition_text({**LABELLED, "feedback": {"veto_needs": role}}))
    for first, sensor in enumerate(("flow", "vibration")):
        for number in range(5):
            place = first * 10 + number
            stage.vote(place, "abc"[number % 3], sensor, role="domain_expert")
    said = [stage.vote(40 + number, "abc"[number % 3], "temperature") for number in range(15)]

    assert not any(each.updates for each in said)
    assert said[-1].statuses == ["REFUSED"]
    assert "at least one other sensor" in said[-1].reason


def test_nor_by_an_approval() -> None:
    stage = Stage()
    for place, sensor in enumerate(("flow", "vibration", "temperature")):
        for number in range(15):
            stage.vote(20 * place + number, "abc"[number % 3], sensor)
    held = [(f"v{n}-{'abc'[n % 20 % 3]}", n) for n in range(60)]
    said = [
        stage.say(f"yes{n}", "APPROVE", target_id=name, actor="eve", role="domain_expert")
        for name, n in held
    ]

    assert [each.kinds for each in said if each.updates] == [["VETO"], ["VETO"]]
    assert sum("at least one other sensor" in each.reason for each in said) == 1


def test_a_vote_taken_back_takes_the_veto_with_it() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    five_votes(stage)
    back = stage.say("back", "RETRACT", target_id="v0-a", actor="a")

    (update,) = back.updates
    assert (update["kind"], update["target_id"], update["origin"]) == ("RETRACT", "v4-b", "back")
    assert (back.of("back"), back.of("v0-a")) == (["ACCEPTED"], ["RETRACTED"])
    assert stage.vote(6, "a").kinds == ["VETO"]


def test_a_veto_stands_on_votes_that_came_after_it_too() -> None:
    stage = Stage(text=definition_text(OPERATORS))
    five_votes(stage)
    stage.vote(5, "c")
    back = stage.say("back", "RETRACT", target_id="v0-a", actor="a")

    assert not back.updates
    assert back.of("back") == ["ACCEPTED", "COUNTED"]


@pytest.mark.parametrize("days", [1, 40])
def test_a_vote_taken_back_topples_no_veto_that_stood_without_it_however_old(days: int) -> None:
    stage = Stage()
    for number in range(12):
        stage.vote(number, f"a{number % 6}", role="domain_expert")
    stage.time_ms += days * 24 * HOUR_MS
    late = stage.say("late", "RETRACT", target_id="v11-a5", actor="a5")
    early = stage.say("early", "RETRACT", target_id="v0-a0", actor="a0")

    assert not late.updates
    assert not early.updates


def test_an_old_veto_falls_with_a_vote_it_needed_and_what_is_forgotten_counts_as_given() -> None:
    stage = Stage(text=definition_text(OPERATORS), limits=Limits(per_minute=1_000, per_asset=8))
    five_votes(stage)
    for number in range(20, 26):
        stage.say(f"f{number}", "RIGHT", event_id=f"e{number}")
    stage.time_ms += 40 * 24 * HOUR_MS
    assert stage.say("gone", "RETRACT", target_id="v0-a", actor="a").statuses == ["REFUSED"]
    back = stage.say("back", "RETRACT", target_id="v4-b", actor="b")

    assert [update["target_id"] for update in back.updates] == ["v4-b"]


def test_a_veto_that_was_approved_rests_on_the_votes_for_it() -> None:
    stage = Stage()
    for number in range(7):
        stage.vote(number, "abc"[number % 3])
    held = stage.vote(7, "b", kind="MISSING")
    stage.say("no", "REJECT", target_id="v4-b", actor="eve", role="domain_expert")
    said = [stage.vote(10 + number, "abcd"[number % 4]) for number in range(9)]
    waiting = next(each for each in said if each.statuses[-1] == "HELD_FOR_EXPERT")
    name = waiting.receipts[0]["feedback_id"]
    stage.say("yes", "APPROVE", target_id=name, actor="eve", role="domain_expert")
    stage.time_ms += 40 * 24 * HOUR_MS
    own = stage.say("back", "RETRACT", target_id=name, actor=name[-1])

    assert held.statuses[-1] == "COUNTED"
    assert [update["target_id"] for update in own.updates] == ["yes"]


def test_a_feature_that_no_model_has_is_refused() -> None:
    said = Stage().vote(0, "a", "colour")

    assert said.statuses == ["REFUSED"]
    assert "feature must be one of vibration, temperature, flow" in said.reason


@pytest.mark.parametrize("kind", ["APPROVE", "REJECT"])
def test_only_experts_settle_what_is_held(kind: str) -> None:
    stage = Stage()
    five_votes(stage)
    said = stage.say("yes", kind, target_id="v4-b", actor="bob")
    nothing = stage.say("no", kind, target_id="v0-a", actor="eve", role="domain_expert")

    assert said.statuses == nothing.statuses == ["REFUSED"]
    assert "domain_expert's" in said.reason
    assert "must wait for a domain expert" in nothing.reason


def test_a_veto_is_approved_though_the_prediction_it_was_voted_on_is_gone() -> None:
    stage = Stage()
    five_votes(stage)
    stage.cluster.delete_records(PREDICTIONS, 0, 50)
    approved = stage.say("yes", "APPROVE", target_id="v4-b", actor="eve", role="domain_expert")

    (update,) = approved.updates
    assert (update["kind"], update["feature"], update["features"]) == ("VETO", "flow", None)

"""Taking back, approving, holding: what people say of feedback and of models."""

from __future__ import annotations

import pytest

from feedback.stage import ASSET, LABELLED, START_MS, Stage, definition_text
from tidemill.processors.feedback import cases
from tidemill.testing.plants import START_US, STEP_US

EXPERT = {"actor": "eve", "role": "domain_expert"}


def test_a_correction_taken_back_is_left_out_by_the_models() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    back = stage.say("back", "RETRACT", target_id="f1")

    (update,) = back.updates
    assert (update["kind"], update["target_id"], update["asset"]) == ("RETRACT", "f1", ASSET)
    assert back.statuses == ["ACCEPTED"]


def test_what_an_expert_approved_is_taken_back_by_who_caused_it() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    stage.say("f2", "CORRECTED", value="ok", actor="bob")
    early = stage.say("early", "APPROVE", target_id="f2", **EXPERT)
    stage.say("back", "RETRACT", target_id="f1")
    approved = stage.say("yes", "APPROVE", target_id="f2", **EXPERT)
    gone = stage.say("gone", "RETRACT", target_id="f2", actor="bob")

    assert early.statuses == ["REFUSED"]
    assert "f1 must be taken back first" in early.reason
    assert [(u["label"], u["origin"]) for u in approved.updates] == [("ok", "yes")]
    assert [update["target_id"] for update in gone.updates] == ["yes"]


def test_what_changed_no_model_is_taken_back_without_one() -> None:
    stage = Stage()
    stage.say("f1", "RIGHT")
    back = stage.say("back", "RETRACT", target_id="f1")

    assert not back.updates
    assert (back.of("back"), back.of("f1")) == (["ACCEPTED", "COUNTED"], ["RETRACTED"])


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"target_id": None}, "must name a feedback"),
        ({"target_id": "nothing"}, "'nothing' is none"),
        ({"target_id": "f1", "actor": "bob"}, "must be ann's own"),
        ({"target_id": "f1", "asset": "plant/other"}, "asset must be that of the feedback"),
        ({"target_id": "refused"}, "was refused"),
        ({"target_id": "gone"}, "taken back already"),
        ({"target_id": "back"}, "a RETRACT is not taken back"),
    ],
)
def test_a_retraction_that_cannot_be_is_refused(known: dict[str, object], reason: str) -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    stage.say("refused", "CORRECTED", value="nonsense", event_id="e1")
    stage.say("gone", "RIGHT", event_id="e2")
    stage.say("back", "RETRACT", target_id="gone")

    said = stage.say("now", "RETRACT", **known)

    assert said.statuses == ["REFUSED"]
    assert reason in said.reason


def test_a_domain_expert_may_take_back_what_others_said() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")

    assert stage.say("back", "RETRACT", target_id="f1", **EXPERT).kinds == ["RETRACT"]


def test_a_hold_reaches_models_until_it_ends() -> None:
    until = START_US + 50 * STEP_US
    said = Stage().say("h", "HOLD", event_id="e3", until=until, scope="champion")

    (update,) = said.updates
    assert (update["kind"], update["until"], update["model"]) == ("HOLD", until, "pump/champion")
    assert update["time"] == START_US + 3 * STEP_US


def test_a_hold_needs_no_event_where_stream_and_asset_are_known() -> None:
    stage = Stage()
    known = stage.say("h", "HOLD", event_id=None, stream="pump")
    foreign = stage.say("x", "HOLD", event_id=None, stream="pump", asset="plant/other")
    nowhere = stage.say("y", "HOLD", event_id=None)

    assert known.kinds == ["HOLD"]
    assert "lately predicted" in foreign.reason
    assert "must name a stream" in nowhere.reason


def test_only_experts_freeze_and_unfreeze() -> None:
    stage = Stage()
    refused = stage.say("a", "FREEZE")
    frozen = stage.say("b", "FREEZE", **EXPERT)
    released = stage.say("c", "RESUME")
    resumed = stage.say("d", "RESUME", **EXPERT)

    assert refused.statuses == ["REFUSED"]
    assert frozen.kinds == ["FREEZE"]
    assert released.kinds == ["RELEASE"]
    assert resumed.kinds == ["RELEASE", "RESUME"]
    assert [update["cause"]["index"] for update in resumed.updates] == [0, 1]


def test_a_hold_that_ends_before_it_begins_is_refused() -> None:
    said = Stage().say("h", "HOLD", event_id="e9", until=START_US)

    assert said.statuses == ["REFUSED"]
    assert "until must lie behind the event" in said.reason


def test_receipts_and_updates_pass_the_trace_on() -> None:
    stage = Stage()
    message = stage.message({**_corrected(), "feedback_id": "f1"})
    message = message._replace(headers=(("traceparent", b"00-1"), ("other", b"x")))
    handled = stage.processor.decide(message)

    assert all(emit.headers == (("traceparent", b"00-1"),) for emit in handled.emits)
    assert stage.time_ms == START_MS + 1000


def _corrected() -> dict[str, object]:
    return {
        "kind": "CORRECTED",
        "asset": ASSET,
        "event_id": "e0",
        "actor": "ann",
        "role": "operator",
        "value": "jam",
        "time": START_US,
    }


def test_an_operator_who_resumes_what_is_frozen_is_told_that_it_stays_so() -> None:
    stage = Stage()
    first = stage.say("a", "RESUME")
    stage.say("f", "FREEZE", **EXPERT)
    still = stage.say("b", "RESUME")
    stage.say("c", "RESUME", **EXPERT)
    thawed = stage.say("d", "RESUME")
    stage.say("g", "FREEZE", **EXPERT)
    stage.say("h", "RETRACT", target_id="g", **EXPERT)
    undone = stage.say("e", "RESUME")

    assert still.statuses == ["ACCEPTED"]
    assert "models stay frozen by f of eve" in still.reason
    assert first.reason == thawed.reason == undone.reason == "None"


def test_a_hold_of_an_operator_ends_by_itself() -> None:
    stage = Stage(text=definition_text({**LABELLED, "feedback": {"longest_hold": "10s"}}))
    newest = {"event_id": None, "stream": "pump"}
    bare = stage.say("a", "HOLD", event_id="e3")
    quiet = stage.say("b", "HOLD", **newest)
    longer = stage.say("c", "HOLD", event_id="e3", until=START_US + 3 * STEP_US + 10_000_001)
    expert = stage.say("d", "HOLD", event_id="e3", **EXPERT)

    assert [u["until"] for u in bare.updates] == [START_US + 3 * STEP_US + 10_000_000]
    assert [u["until"] for u in quiet.updates] == [START_US + 99 * STEP_US + 10_000_000]
    assert longer.statuses == ["REFUSED"]
    assert "within 10 s of the asset's newest event" in longer.reason
    assert [u["until"] for u in expert.updates] == [None]


def test_a_quiet_asset_of_which_people_spoke_before_can_be_thawed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    stage.say("f", "FREEZE", **EXPERT)
    monkeypatch.setattr(cases, "LOOKED_AT", 0)
    known = {"event_id": None, "stream": "pump", **EXPERT}

    assert stage.say("r", "RESUME", **known).kinds == ["RELEASE", "RESUME"]
    assert stage.say("x", "RESUME", **known, asset="plant/other").statuses == ["REFUSED"]


def test_where_experts_are_named_nobody_else_is_one() -> None:
    stage = Stage(text=definition_text({**LABELLED, "feedback": {"experts": ["eve"]}}))
    own = stage.say("a", "FREEZE", **EXPERT)
    other = stage.say("b", "FREEZE", actor="mal", role="domain_expert")
    operator = stage.say("c", "CORRECTED", value="jam", actor="mal")

    assert own.kinds == ["FREEZE"]
    assert other.statuses == ["REFUSED"]
    assert "must be one whom its definition names" in other.reason
    assert operator.kinds == ["EXAMPLE"]


def test_what_is_approved_and_then_is_not_says_so_under_its_own_name() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    stage.say("f2", "CORRECTED", value="ok", actor="bob")
    stage.say("back", "RETRACT", target_id="f1")
    approved = stage.say("yes", "APPROVE", target_id="f2", **EXPERT)
    undone = stage.say("no", "RETRACT", target_id="yes", **EXPERT)

    told = [r["reason"] for r in approved.receipts if r["feedback_id"] == "f2"]
    assert told == ["approved by eve (yes); what models made of it, the receipt of yes says"]
    assert [update["target_id"] for update in undone.updates] == ["yes"]
    assert undone.of("f2") == ["REFUSED"]
    assert undone.of("yes") == []


def test_what_models_were_told_of_is_taken_back_when_the_learner_says_so() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    stage.say("f2", "CORRECTED", value="ok", actor="bob")
    stage.say("back", "RETRACT", target_id="f1")
    stage.say("yes", "APPROVE", target_id="f2", **EXPERT)
    gone = stage.say("gone", "RETRACT", target_id="f2", actor="bob")

    assert [update["target_id"] for update in gone.updates] == ["yes"]
    assert gone.of("f2") == []

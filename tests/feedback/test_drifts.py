"""FAULT and PROCESS_CHANGE: answers to an episode that there is, told to the drift processor."""

from __future__ import annotations

from typing import Any

import pytest

from feedback.stage import ASSET, LABELLED, STREAM, Stage, definition_text
from feedback.test_doubting import EXPERT, corrects
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT
from tidemill.fold.why.many import CHUNK
from tidemill.processors.feedback import finding
from tidemill.testing.plants import START_US

MOMENTS = {"n": 1, "mean": 0.0, "sd": 1.0}


def drift(drift_id: str, asset: str = ASSET, **known: object) -> dict[str, Any]:
    """Return a record of an episode."""
    return {
        "drift_id": drift_id,
        "asset": asset,
        "stream": STREAM,
        "kind": "MULTIVARIATE",
        "signal": "",
        "status": "OPEN",
        "started": START_US,
        "detected": START_US,
        "before": MOMENTS,
        "after": MOMENTS,
        "effect": 1.0,
        "autocorrelation": 0.0,
        "run_length": 1e5,
        **known,
    }


def asked(*more: dict[str, Any], text: str | None = None) -> Stage:
    """Return a stage on which an asset's sensors were found to have drifted."""
    stage = Stage(text=text)
    for record in (drift("d1"), drift("far", "plant/other"), *more):
        value = codec("Drift").encode(record)
        stage.cluster.append(DRIFT, 0, value, key=record["asset"].encode())
    return stage


def answer(stage: Stage, kind: str = "FAULT", name: str = "f1", **known: Any) -> Any:
    return stage.say(name, kind, **{"event_id": None, "drift_id": "d1", **known})


@pytest.mark.parametrize("kind", ["FAULT", "PROCESS_CHANGE"])
def test_an_answer_is_told_with_its_episode_and_counted(kind: str) -> None:
    said = answer(asked(), kind)
    (update,) = said.updates
    assert said.statuses == ["ACCEPTED", "COUNTED"]
    assert (update["kind"], update["target_id"], update["origin"]) == (kind, "d1", "f1")
    assert (update["asset"], update["stream"], update["model"]) == (ASSET, STREAM, None)
    assert update["cause"] == {
        "topic": "operator.feedback",
        "partition": 0,
        "offset": 0,
        "index": 0,
    }


def test_the_same_answer_again_tells_nobody_anew_but_the_same_position_does() -> None:
    stage = asked()
    record = {
        "feedback_id": "f1",
        "kind": "FAULT",
        "asset": ASSET,
        "actor": "ann",
        "role": "operator",
        "time": START_US,
        "drift_id": "d1",
    }
    message = stage.message(record)
    first, same = stage.take(message), stage.take(message)
    copy = stage.take(stage.message(record))
    assert (same.updates, copy.updates) == (first.updates, [])
    assert copy.statuses == first.statuses


NOBODYS: dict[str, tuple[dict[str, Any], str]] = {
    "no episode": ({"drift_id": "d9"}, "'d9' is none of the last ones"),
    "another asset's": ({"drift_id": "far"}, "'far' is none of the last ones"),
    "none named": ({"drift_id": None}, "must name an episode by drift_id"),
    "another stream": ({"stream": "press"}, "stream must be that"),
    "a stranger": ({"role": "visitor"}, "role must be one of"),
}


@pytest.mark.parametrize("what", NOBODYS)
def test_what_answers_no_question_of_the_asset_is_refused(what: str) -> None:
    known, why = NOBODYS[what]
    said = answer(asked(), **known)
    assert (said.statuses, said.updates) == (["REFUSED"], [])
    assert why in said.reason


def test_a_stream_may_have_domain_experts_alone_answer() -> None:
    feedback = {"roles": ["domain_expert"]}
    stage = asked(text=definition_text({**LABELLED, "feedback": feedback}))
    assert "role must be one of domain_expert" in answer(stage).reason
    assert answer(stage, name="f2", **EXPERT).kinds == ["FAULT"]


def test_a_stream_may_take_no_answers_to_drifts() -> None:
    stage = asked(text=definition_text({**LABELLED, "feedback": {"kinds": ["inference"]}}))
    assert "takes feedback on inference; FAULT is on drift" in answer(stage).reason


def test_an_answer_is_not_taken_back() -> None:
    stage = asked()
    answer(stage)
    assert "is not taken back" in stage.say("back", "RETRACT", target_id="f1").reason


def test_an_old_episode_is_looked_for_no_further_than_the_last_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "LOOKED_AT", CHUNK)
    more = [drift(f"n{number}") for number in range(CHUNK + 1)]
    assert answer(asked(*more)).statuses == ["REFUSED"]
    assert answer(asked(*more[: CHUNK - 2])).statuses == ["ACCEPTED", "COUNTED"]


def test_records_that_are_none_are_passed_over() -> None:
    stage = asked()
    head = codec("Drift").encode(drift("d1"))
    stage.cluster.append(DRIFT, 0, head[: len(head) // 2], key=ASSET.encode())
    stage.cluster.append(DRIFT, 0, b"\0", key=ASSET.encode())
    assert answer(stage).statuses == ["ACCEPTED", "COUNTED"]


def test_who_is_in_quarantine_answers_no_question() -> None:
    stage = asked()
    corrects(stage, "bob", range(12))
    corrects(stage, "mal", range(10), "ok")
    said = answer(stage, actor="mal")
    assert (said.statuses, said.updates) == (["REFUSED"], [])
    assert "must not be quarantined to FAULT" in said.reason
    assert answer(stage, name="f2", actor="carl").kinds == ["FAULT"]


@pytest.mark.parametrize("status", ["TIMED_OUT", "PROCESS_CHANGE"])
@pytest.mark.parametrize("kind", ["FAULT", "PROCESS_CHANGE"])
def test_an_answer_to_what_is_settled_says_that_it_came_too_late(status: str, kind: str) -> None:
    said = answer(asked(drift("d1", status=status)), kind)
    assert (said.statuses, said.updates) == (["REFUSED"], [])
    assert f"must not be settled, it is {status}" in said.reason


OVER: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a fault that is over": ([{"status": "FAULT"}, {"status": "CLOSED"}], "was a FAULT and is"),
    "over, then a fault": ([{"status": "CLOSED"}, {"status": "FAULT"}], "was a FAULT and is over"),
    "of one signal": ([{"kind": "FEATURE"}, {"kind": "FEATURE", "status": "CLOSED"}], "must last"),
}


@pytest.mark.parametrize("what", OVER)
@pytest.mark.parametrize("kind", ["FAULT", "PROCESS_CHANGE"])
def test_an_answer_to_what_is_over_and_asks_no_more_is_refused(what: str, kind: str) -> None:
    records, why = OVER[what]
    stage = asked(*(drift("d1", **known) for known in records))
    said = answer(stage, kind)
    assert (said.statuses, said.updates) == (["REFUSED"], [])
    assert why in said.reason


def test_the_same_word_of_an_episode_again_is_refused() -> None:
    stage = asked(drift("d1", status="FAULT"))
    refused = answer(stage)
    assert refused.statuses == ["REFUSED"]
    assert "must not be answered so already, it is FAULT" in refused.reason
    assert answer(stage, "PROCESS_CHANGE", "f2").statuses == ["ACCEPTED", "COUNTED"]


@pytest.mark.parametrize("status", ["FAULT", "CLOSED"])
def test_a_fault_may_turn_out_to_be_none_and_what_closed_may_still_be_asked(status: str) -> None:
    said = answer(asked(drift("d1", status=status)), "PROCESS_CHANGE")
    assert said.statuses == ["ACCEPTED", "COUNTED"]


def test_a_signal_of_which_nothing_is_promised_has_no_fault_but_may_be_watched_anew() -> None:
    stage = asked(drift("d1", status="NOT_STATIONARY"))
    refused = answer(stage)
    assert refused.statuses == ["REFUSED"]
    assert "nothing is promised" in refused.reason
    assert answer(stage, "PROCESS_CHANGE", "f2").statuses == ["ACCEPTED", "COUNTED"]

"""A question whose share is used up: models go on, and it can still be answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from drift.test_beside_the_learner import PLAIN, Pair
from drift.test_questions import CHANGE_AT, asking, shifted, statuses
from drift.watched_plant import (
    ASSET,
    KEY,
    REFERENCE,
    answer,
    events,
    prediction,
    task,
    terms,
    told,
)
from fold.plain_order import Plain
from tidemill.contracts.topics import DRIFT, EVENTS, PREDICTIONS, UPDATES
from tidemill.processors.drift.audit import Asked, replay, verify
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import STEP_US

if TYPE_CHECKING:
    from tidemill.processors.drift.task import DriftTask

NEXT = CHANGE_AT + 60


def freed(**drift: object) -> tuple[DriftTask, dict[str, Any], dict[str, Any]]:
    """Return a task whose models were let go, the record that asked, and the release."""
    own, emits, asked = asking(hold_at_most=0.1, **drift)
    emits += own.process_batch(shifted(30, CHANGE_AT + 30))
    _, release = told(emits, "Update")
    assert statuses(emits) == ["OPEN"]
    return own, asked, release


def test_what_was_held_is_learned_and_the_question_stays() -> None:
    own, asked, release = freed()
    (watched,) = own.watching.watched.values()
    assert (release["kind"], release["label"]) == ("RELEASE", "process_change")
    assert release["target_id"] == asked["drift_id"]
    assert watched.question is not None
    assert watched.question.drift_id == asked["drift_id"]
    held = watched.allowance.held
    assert told(own.process_batch(shifted(200, NEXT)), "Update") == []
    assert watched.allowance.held == held


def test_nobody_answers_and_the_models_are_told_nothing_more() -> None:
    own, asked, _ = freed(question_timeout="100s")
    emits = own.process_batch(shifted(100, NEXT))
    assert told(emits, "Update") == []
    assert statuses(emits) == ["TIMED_OUT"]
    (timed_out,) = [r for r in told(emits) if r["drift_id"] == asked["drift_id"]]
    assert timed_out["changed"] == asked["detected"] + 100 * STEP_US
    assert statuses(own.process_batch(shifted(100, NEXT + 100))) == []


def test_a_process_change_tells_the_models_nothing_more() -> None:
    own, asked, _ = freed()
    emits = own.process_batch([answer(9, asked["drift_id"], "PROCESS_CHANGE")])
    assert statuses(emits) == ["PROCESS_CHANGE"]
    assert told(emits, "Update") == []
    assert statuses(own.process_batch(shifted(200, NEXT))) == []


def test_a_fault_is_taken_out_whole_once_it_is_over() -> None:
    own, asked, release = freed()
    emits = own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    assert (statuses(emits), told(emits, "Update")) == (["FAULT"], [])
    emits = own.process_batch(events(700, start=NEXT))
    closed = next(r for r in told(emits) if r["drift_id"] == asked["drift_id"])
    hold = told(emits, "Update")[0]
    last = closed["changed"] - STEP_US
    assert (hold["kind"], hold["origin"]) == ("HOLD", asked["drift_id"])
    assert hold["span"] == {"from": asked["started"], "to": last}
    assert hold["until"] == last
    assert hold["update_id"] != release["update_id"]
    assert own.process_batch([answer(10, asked["drift_id"], "PROCESS_CHANGE")]) == []


def test_a_fault_that_is_over_is_taken_out_at_once() -> None:
    own, asked, _ = freed()
    emits = own.process_batch(events(700, start=NEXT))
    closed = next(r for r in told(emits) if r["drift_id"] == asked["drift_id"])
    assert told(emits, "Update") == []
    (hold,) = told(own.process_batch([answer(9, asked["drift_id"], "FAULT")]), "Update")
    assert (hold["kind"], hold["until"]) == ("HOLD", closed["changed"] - STEP_US)
    assert hold["cause"] == {"topic": UPDATES, "partition": 0, "offset": 9, "index": 0}


def test_a_fault_that_lasts_is_taken_out_up_to_the_time_out_and_may_be_none_after_all() -> None:
    own, asked, _ = freed(question_timeout="100s")
    own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    (hold,) = told(own.process_batch(shifted(100, NEXT)), "Update")
    assert (hold["kind"], hold["until"]) == ("HOLD", asked["detected"] + 99 * STEP_US)
    emits = own.process_batch([answer(10, asked["drift_id"], "PROCESS_CHANGE")])
    (release,) = told(emits, "Update")
    assert (release["label"], release["target_id"]) == ("process_change", asked["drift_id"])


def test_a_fault_that_is_none_after_all_before_it_was_taken_out_stays_learned() -> None:
    own, asked, _ = freed()
    own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    emits = own.process_batch([answer(10, asked["drift_id"], "PROCESS_CHANGE")])
    assert (statuses(emits), told(emits, "Update")) == (["PROCESS_CHANGE"], [])


def test_a_fault_after_the_share_was_used_up_leaves_the_model_that_never_knew_the_span() -> None:
    pair = Pair(terms(hold_at_most=0.1))
    pair.write(150)
    pair.write(60, shift=6.0)
    (asked,) = [r for r in pair.read(DRIFT, "Drift") if r["held"]]
    assert [u["kind"] for u in pair.read(UPDATES, "Update")] == ["HOLD", "RELEASE"]
    reply = answer(0, str(asked["drift_id"]), "FAULT")
    pair.drift.send(UPDATES, 0, reply.value, key=reply.key)
    pair.settle()
    pair.write(300)

    hold = [u for u in pair.read(UPDATES, "Update") if u["origin"] == asked["drift_id"]][-1]
    span = hold["span"]
    assert isinstance(span, dict)
    topics = {t: [m for m in pair.cluster.read(t) if m.partition == 0] for t in PLAIN}
    log: Any = SimpleNamespace(topics=topics)  # Any: as much of a log as is read
    held = [(span["from"], span["to"])]
    plain = Plain(pair.terms, held=held, asset=ASSET).follow(log)
    for each in pair.read(PREDICTIONS, "Prediction")[-50:]:
        source = each["source"]
        assert isinstance(source, dict)
        assert (each["value"], each["lineage"]) == plain.said[source["offset"]]
    memory = MemoryLog(pair.cluster)
    assert replay(memory, 0, asked=Asked(reference=REFERENCE)).findings == []
    assert verify(memory, 0, KEY).findings == []


@pytest.mark.parametrize("kind", ["FAULT", "PROCESS_CHANGE"])
def test_an_answer_that_meets_nothing_is_counted(kind: str) -> None:
    own, asked, _ = freed()
    drift_id = asked["drift_id"]
    own.process_batch([answer(n, drift_id, kind) for n in (9, 10)])
    own.process_batch([answer(11, "nobody's", kind), answer(12, drift_id, kind, asset="other")])
    own.seal({EVENTS: NEXT})
    assert own.report().drifts.unmet == 3
    fresh = task()
    fresh.process_batch([prediction(0, 1.0)])
    assert fresh.report().drifts.unmet == 0

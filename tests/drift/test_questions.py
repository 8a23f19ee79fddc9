"""The question is asked once, held within its share, and settled by answers or event time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from drift.watched_plant import ASSET, answer, event, events, prediction, task, terms, told
from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.processors.drift.holding import Clock
from tidemill.testing.plants import START_US, STEP_US

if TYPE_CHECKING:
    from tidemill.kernel.records import Emit, Message
    from tidemill.processors.drift.task import DriftTask

CHANGE_AT = 150


def shifted(count: int, start: int = CHANGE_AT) -> list[Message]:
    return events(count, start=start, seed=2, shift=6.0)


def asking(**drift: object) -> tuple[DriftTask, list[Emit], dict[str, Any]]:
    """Return a task whose asset changed, what it emitted, and the record that asks."""
    own = task(terms(**drift))
    emits = own.process_batch(events(CHANGE_AT) + shifted(30))
    asked = next(r for r in told(emits) if r["kind"] == "MULTIVARIATE")
    return own, emits, asked


def statuses(emits: list[Emit]) -> list[str]:
    return [r["status"] for r in told(emits) if r["kind"] == "MULTIVARIATE"]


def test_an_episode_holds_from_its_start_until_the_time_out() -> None:
    _, emits, asked = asking(question_timeout="1h")
    (hold,) = told(emits, "Update")

    assert asked["held"]
    assert asked["ranked"][0]["signal"] == "vibration"
    assert hold["kind"] == "HOLD"
    assert hold["origin"] == asked["drift_id"]
    assert hold["asset"] == ASSET
    assert hold["span"] == {"from": asked["started"], "to": None}
    assert asked["started"] <= START_US + (CHANGE_AT + 2) * STEP_US
    detected = hold["cause"]["offset"]
    assert hold["cause"]["topic"] == EVENTS
    assert asked["detected"] == START_US + detected * STEP_US
    assert hold["until"] == START_US + (detected - 1) * STEP_US + 3_600_000_000


def test_a_process_change_releases_the_span_and_begins_references_anew() -> None:
    own, _, asked = asking()
    emits = own.process_batch([answer(9, asked["drift_id"], "PROCESS_CHANGE")])
    (release,) = told(emits, "Update")

    assert statuses(emits) == ["PROCESS_CHANGE"]
    assert release["kind"] == "RELEASE"
    assert release["target_id"] == asked["drift_id"]
    assert release["label"] == "process_change"
    assert release["cause"] == {"topic": UPDATES, "partition": 0, "offset": 9, "index": 0}
    assert statuses(own.process_batch(shifted(200, CHANGE_AT + 30))) == []
    assert len(statuses(own.process_batch(events(60, start=400)))) == 1


def test_a_fault_is_held_as_long_as_the_episode_lasts() -> None:
    own, _, asked = asking()
    emits = own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    assert statuses(emits) == ["FAULT"]
    assert told(emits, "Update") == []

    emits = own.process_batch(events(700, start=CHANGE_AT + 30))
    assert statuses(emits)[0] == "CLOSED"
    release = told(emits, "Update")[0]
    assert (release["kind"], release["label"]) == ("RELEASE", "fault")
    closed = next(r for r in told(emits) if r["drift_id"] == asked["drift_id"])
    assert release["time"] == closed["changed"]
    assert release["span"] == {"from": asked["started"], "to": closed["changed"] - STEP_US}


def test_a_fault_that_was_over_before_it_was_answered_ends_where_it_was_over() -> None:
    own, _, asked = asking()
    emits = own.process_batch(events(700, start=CHANGE_AT + 30))
    closed = next(r for r in told(emits) if r["drift_id"] == asked["drift_id"])
    assert closed["status"] == "CLOSED"
    assert told(emits, "Update") == []
    (release,) = told(own.process_batch([answer(9, asked["drift_id"], "FAULT")]), "Update")
    assert release["label"] == "fault"
    assert release["span"] == {"from": asked["started"], "to": closed["changed"] - STEP_US}


def test_a_fault_that_came_back_is_not_over() -> None:
    own, _, asked = asking(question_timeout="1000s")
    own.process_batch(events(700, start=CHANGE_AT + 30))
    assert "OPEN" in statuses(own.process_batch(shifted(30, CHANGE_AT + 730)))
    assert told(own.process_batch([answer(9, asked["drift_id"], "FAULT")]), "Update") == []
    (release,) = told(own.process_batch(shifted(300, CHANGE_AT + 760)), "Update")
    assert release["span"]["to"] == asked["detected"] - STEP_US + 1_000_000_000


@pytest.mark.parametrize(
    ("verdict", "label"), [("FAULT", "fault"), ("PROCESS_CHANGE", "process_change")]
)
def test_the_episode_that_came_back_may_be_named_by_the_answer(verdict: str, label: str) -> None:
    own, _, asked = asking(question_timeout="3h")
    own.process_batch(events(700, start=CHANGE_AT + 30))
    emits = own.process_batch(shifted(30, CHANGE_AT + 730))
    again = [r for r in told(emits) if r["kind"] == "MULTIVARIATE"][-1]
    assert again["drift_id"] != asked["drift_id"]
    emits = own.process_batch([answer(9, again["drift_id"], verdict)])
    answered = {r["drift_id"]: r["status"] for r in told(emits) if r["kind"] == "MULTIVARIATE"}
    assert answered == dict.fromkeys([again["drift_id"], asked["drift_id"]], verdict)
    emits += own.process_batch(events(700, start=CHANGE_AT + 760))
    (release,) = told(emits, "Update")
    assert (release["label"], release["target_id"]) == (label, asked["drift_id"])


def test_the_episode_that_came_back_may_be_named_when_it_is_over_too() -> None:
    own, _, asked = asking(question_timeout="3h")
    own.process_batch(events(700, start=CHANGE_AT + 30))
    emits = own.process_batch(shifted(30, CHANGE_AT + 730) + events(700, start=CHANGE_AT + 760))
    again, over = [r for r in told(emits) if r["kind"] == "MULTIVARIATE"][:2]
    assert (again["drift_id"], over["status"]) == (over["drift_id"], "CLOSED")
    emits = own.process_batch([answer(9, again["drift_id"], "FAULT")])
    assert [(r["drift_id"], r["status"]) for r in told(emits)] == [(asked["drift_id"], "FAULT")]
    (release,) = told(emits, "Update")
    assert (release["label"], release["span"]["to"]) == ("fault", over["changed"] - STEP_US)


def test_a_second_word_on_the_episode_that_came_back_is_one_on_the_question() -> None:
    own, _, asked = asking(question_timeout="3h")
    own.process_batch(events(700, start=CHANGE_AT + 30))
    emits = own.process_batch(shifted(30, CHANGE_AT + 730))
    again = [r for r in told(emits) if r["kind"] == "MULTIVARIATE"][-1]["drift_id"]
    assert told(own.process_batch([answer(9, again, "FAULT")]), "Update") == []
    (release,) = told(own.process_batch([answer(10, again, "PROCESS_CHANGE")]), "Update")
    assert (release["label"], release["target_id"]) == ("process_change", asked["drift_id"])


def test_a_question_times_out_by_event_time_as_a_process_change() -> None:
    own, _, asked = asking(question_timeout="60s")
    emits = own.process_batch(shifted(60, CHANGE_AT + 30))
    (release,) = told(emits, "Update")

    assert statuses(emits) == ["TIMED_OUT"]
    assert release["label"] == "process_change"
    late = asked["detected"] - STEP_US + 60_000_000
    assert release["time"] == late + STEP_US
    assert release["span"] == {"from": asked["started"], "to": late}


def test_one_stray_clock_times_nothing_out() -> None:
    clock = Clock()
    assert clock.after([5, 9_000, 6, 7])[-1] == (7, 9_000)

    own, _, asked = asking(question_timeout="60s")
    x: dict[str, float | None] = {"vibration": 6.0, "temperature": 40.0, "flow": 2.0}
    stray = event(1_000_000, x)._replace(offset=CHANGE_AT + 30)
    assert told(own.process_batch([stray]), "Update") == []
    assert asked["held"]


def test_one_stray_clock_moves_no_end_of_a_span() -> None:
    own, _, asked = asking(question_timeout="1h")
    own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    x: dict[str, float | None] = {"vibration": 6.0, "temperature": 40.0, "flow": 2.0}
    ahead = event(1_000_000, x)._replace(offset=CHANGE_AT + 30)
    behind = [e._replace(offset=e.offset + 1) for e in events(700, start=CHANGE_AT + 31)]
    closing = told(own.process_batch([ahead, *behind]), "Update")[0]
    assert closing["span"]["to"] in {closing["time"], closing["time"] - STEP_US}

    own, _, asked = asking(question_timeout="1h")
    own.process_batch([event(3, x)._replace(offset=CHANGE_AT + 30)])
    (release,) = told(own.process_batch([answer(9, asked["drift_id"], "PROCESS_CHANGE")]), "Update")
    assert release["span"]["to"] == START_US + (CHANGE_AT + 28) * STEP_US


def test_no_more_is_held_than_the_share() -> None:
    own, emits, asked = asking(hold_at_most=0.1)
    emits += own.process_batch(shifted(100, CHANGE_AT + 30))
    (watched,) = own.watching.watched.values()

    hold, release = told(emits, "Update")
    assert (hold["kind"], release["kind"]) == ("HOLD", "RELEASE")
    assert statuses(emits) == ["OPEN"]
    at = release["cause"]["offset"]
    assert watched.allowance.held <= 0.1 * at
    assert watched.allowance.held + 1 > 0.1 * (at + 1)
    own.seal({EVENTS: at})
    assert own.report().drifts.held_share == pytest.approx(16 / 280)
    assert own.report().drifts.held == watched.allowance.held
    assert asked["held"]


def test_a_span_that_does_not_fit_is_not_held_and_may_be_answered() -> None:
    own, emits, asked = asking(hold_at_most=0.001)
    assert not asked["held"]
    assert told(emits, "Update") == []

    emits = own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    assert statuses(emits) == ["FAULT"]
    assert told(emits, "Update") == []


@pytest.mark.parametrize("kind", ["FAULT", "PROCESS_CHANGE"])
def test_an_answer_to_nothing_changes_nothing(kind: str) -> None:
    own, _, asked = asking()
    again = [answer(9, asked["drift_id"], kind), answer(10, asked["drift_id"], kind)]
    emits = own.process_batch([answer(8, "nobody's", kind), *again])

    assert statuses(emits) == [kind]
    assert own.process_batch([answer(11, asked["drift_id"], kind, asset="other")]) == []


def test_another_structure_begins_references_of_models_anew_and_closes_their_episodes() -> None:
    own = task()
    said = [prediction(n, (n * 7919 % 13) / 13 + 9.0 * (n > 1500)) for n in range(1560)]
    opened = told(own.process_batch(said))
    assert [r["status"] for r in opened] == ["OPEN"]

    (closed,) = told(own.process_batch([prediction(1560, 9.5, structure=1)]))
    assert closed == {**opened[0], "status": "CLOSED", "changed": START_US + 1560 * STEP_US}
    (watched,) = own.watching.watched.values()
    assert watched.signals["PREDICTION"].standing(0).events == 1  # type: ignore[index]  # a StrEnum
    assert own.report().drifts.told == {("PREDICTION", "OPEN"): 1, ("PREDICTION", "CLOSED"): 1}
    assert own.report().drifts.standing == {}

"""A sensor that stands is told when it moves; what nothing would be told of is counted."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from drift.watched_plant import REFERENCE, answer, event, outcome, prediction, task, told
from tidemill.contracts.topics import EVENTS
from tidemill.testing.laws import check_processor
from tidemill.testing.plants import START_US, STEP_US

if TYPE_CHECKING:
    from tidemill.kernel.records import Message
    from tidemill.processors.drift.task import DriftTask

STOOD = 1_200


def valve(count: int, *, start: int = 0, place: float = 3.0) -> list[Message]:
    """Return events of two sensors that vary, and of a valve that stands."""
    rng = random.Random(start)
    found = []
    for number in range(start, start + count):
        load = rng.gauss(0, 1)
        x: dict[str, float | None] = {"vibration": load, "temperature": load + rng.gauss(40, 1)}
        found.append(event(number, {**x, "flow": place}))
    return found


def unwatched(own: DriftTask) -> dict[str, int]:
    own.seal({EVENTS: 0})
    return dict(own.report().drifts.unwatched)


def stood() -> DriftTask:
    own = task()
    own.process_batch(valve(STOOD))
    return own


def test_a_valve_that_stood_and_moves_is_an_episode_of_its_level() -> None:
    own = stood()
    found = told(own.process_batch(valve(100, start=STOOD, place=8.0)))

    (record,) = [each for each in found if each["signal"] == "flow"]
    assert (record["kind"], record["status"], record["channel"]) == ("FEATURE", "OPEN", "level")
    assert (record["started"] - START_US) // STEP_US == STOOD - 1
    assert (record["before"]["mean"], record["before"]["sd"]) == (3.0, 0.0)
    assert record["after"]["mean"] == pytest.approx(8.0)
    assert record["effect"] > 0.0
    assert record["achieved_run_length"] is None


def test_after_a_process_change_it_stands_where_it_is() -> None:
    own = stood()
    found = told(own.process_batch(valve(100, start=STOOD, place=8.0)))
    (opened,) = [each for each in found if each["signal"] == "flow"]
    own.process_batch([answer(1, opened["drift_id"], "PROCESS_CHANGE")])
    assert unwatched(own)["FEATURE"] == 3

    own.process_batch(valve(STOOD, start=STOOD + 100, place=8.0))
    found = told(own.process_batch(valve(100, start=2 * STOOD + 100, place=3.0)))
    (again,) = [each for each in found if each["signal"] == "flow"]
    assert (again["status"], again["before"]["mean"]) == ("OPEN", 8.0)


def test_a_valve_that_moves_keeps_the_laws() -> None:
    state = stood().snapshot()

    def make() -> DriftTask:
        own = task()
        own.restore(state)
        return own

    records = valve(40, start=STOOD, place=8.0) + valve(120, start=STOOD + 40)
    said = {each["status"] for each in told(make().process_batch(records))}
    assert {"OPEN", "CLOSED"} <= said
    check_processor(make, records, max_state_bytes=200_000, repeat=2)


def test_a_model_that_says_something_for_the_first_time_is_no_drift_and_an_error_is() -> None:
    own = task()
    own.process_batch([prediction(n, 0.0) for n in range(STOOD)])
    own.process_batch([outcome(n, 0.0) for n in range(STOOD)])
    assert told(own.process_batch([prediction(n, 4.0) for n in range(STOOD, 2 * STOOD)])) == []
    (record,) = told(own.process_batch([outcome(n, 1.0) for n in range(STOOD, STOOD + 100)]))
    assert (record["kind"], record["status"]) == ("ERROR", "OPEN")


def test_what_nothing_would_be_told_of_is_counted_until_it_is_watched() -> None:
    own = task()
    own.process_batch(valve(REFERENCE // 2))
    assert unwatched(own) == {
        "FEATURE": 3,
        "MULTIVARIATE": 3,
        "PREDICTION": 1,
        "ERROR": 1,
        "EXPLANATION": 3,
    }
    own.process_batch(valve(STOOD, start=REFERENCE // 2))
    # What stands says nothing of the others, and is watched alone.
    assert unwatched(own) == {"MULTIVARIATE": 1, "PREDICTION": 1, "ERROR": 1, "EXPLANATION": 3}

    own.process_batch([prediction(n, random.Random(n).gauss(0, 1)) for n in range(STOOD)])
    own.process_batch([outcome(n, 0.0) for n in range(STOOD)])
    assert unwatched(own) == {"MULTIVARIATE": 1, "EXPLANATION": 3}


def test_what_is_watched_no_more_is_not_counted() -> None:
    own = task()
    own.process_batch(valve(REFERENCE // 2))
    assert unwatched(own)
    (key,) = own.watching.watched
    own.watching.tally.forget(key)
    assert unwatched(own) == {}

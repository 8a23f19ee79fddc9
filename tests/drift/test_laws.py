"""The drift processor keeps the five laws."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.watched_plant import (
    ASSET,
    answer,
    event,
    events,
    explanation,
    outcome,
    prediction,
    task,
    terms,
    told,
)
from tidemill.testing.laws import check_processor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidemill.kernel.records import Message
    from tidemill.processors.drift.task import DriftTask

numbers = st.one_of(
    st.floats(-100, 100), st.just(math.nan), st.just(math.inf), st.floats(), st.none()
)
features = st.fixed_dictionaries({"vibration": numbers, "temperature": numbers, "flow": numbers})
assets = st.sampled_from((ASSET, "south/saw"))
cuts = st.sampled_from([0, 0, 0, 1, 9])


def models(count: int, seed: int = 5) -> list[Message]:
    """Return what models say of events, and what becomes of it; all of it moves at the end."""
    rng = random.Random(seed)
    found: list[Message] = []
    for number in range(count + 60):
        moved = 8.0 * (number >= count)
        found.append(prediction(number, rng.gauss(moved, 1), structure=int(number == count + 59)))
        found.append(outcome(number, abs(rng.gauss(moved, 1))))
        parts = {name: rng.gauss(moved, 1) for name in ("vibration", "temperature", "flow")}
        found.append(explanation(number, parts))
    return sorted(found, key=lambda message: (message.offset // 50, message.topic))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(assets, features, cuts), max_size=20))
def test_any_events_keep_the_laws(drawn: list[tuple[str, dict[str, float | None], int]]) -> None:
    records = []
    for number, (asset, x, cut) in enumerate(drawn):
        message = event(number, x, asset)
        value = message.value or b""
        records.append(message._replace(value=value[: len(value) - cut]))

    check_processor(task, records, max_state_bytes=120_000, repeat=5)


def warm(records: Sequence[Message]) -> Callable[[], DriftTask]:
    """Return what makes a task that has seen these records."""
    first = task()
    first.process_batch(records)
    state = first.snapshot()

    def make() -> DriftTask:
        again = task()
        again.restore(state)
        return again

    return make


USED_UP = {"hold_at_most": 0.1, "question_timeout": "60s"}


def test_episodes_of_features_keep_the_laws() -> None:
    make = warm(events(1290))
    records = events(10, start=1290, seed=3) + events(60, start=1300, seed=2, shift=8.0)

    statuses = {(r["kind"], r["status"]) for r in told(make().process_batch(records))}
    assert {("FEATURE", "OPEN"), ("MULTIVARIATE", "OPEN")} <= statuses
    check_processor(make, records, max_state_bytes=200_000, repeat=2)


def test_episodes_of_what_models_say_keep_the_laws() -> None:
    told_of = models(1500)
    make, records = warm(told_of[: 3 * 1500]), told_of[3 * 1500 :]

    opened = [r["kind"] for r in told(make().process_batch(records)) if r["status"] == "OPEN"]
    assert {*opened} == {"PREDICTION", "ERROR", "EXPLANATION"}
    check_processor(make, records, max_state_bytes=250_000, repeat=1)


@pytest.mark.parametrize("verdict", ["FAULT", "PROCESS_CHANGE"])
def test_answers_keep_the_laws(verdict: str) -> None:
    records = events(90) + events(80, start=90, seed=2, shift=6.0)
    asked = [r for r in told(task().process_batch(records)) if r["held"]]
    records.insert(140, answer(3, asked[0]["drift_id"], verdict))

    statuses = {r["status"] for r in told(task().process_batch(records))}
    assert verdict in statuses
    check_processor(task, records, max_state_bytes=200_000, repeat=1)


@pytest.mark.parametrize("short", [{"question_timeout": "20s"}, USED_UP])
def test_questions_that_time_out_or_run_out_keep_the_laws(short: dict[str, object]) -> None:
    records = events(90) + events(80, start=90, seed=2, shift=6.0)

    emits = task(terms(**short)).process_batch(records)
    assert "TIMED_OUT" in {r["status"] for r in told(emits)}
    assert {r["kind"] for r in told(emits, "Update")} == {"HOLD", "RELEASE"}
    check_processor(lambda: task(terms(**short)), records, max_state_bytes=200_000, repeat=1)


def test_a_fault_after_the_share_was_used_up_keeps_the_laws() -> None:
    records = events(90) + events(30, start=90, seed=2, shift=6.0)
    asked = [r for r in told(task(terms(**USED_UP)).process_batch(records)) if r["held"]]
    records += [answer(3, asked[0]["drift_id"], "FAULT"), *events(60, start=120)]

    updates = told(task(terms(**USED_UP)).process_batch(records), "Update")
    assert [u["kind"] for u in updates] == ["HOLD", "RELEASE", "HOLD"]
    check_processor(lambda: task(terms(**USED_UP)), records, max_state_bytes=200_000, repeat=1)


def test_sensors_that_no_reference_holds_for_keep_the_laws() -> None:
    started = events(34) + events(30, start=34, seed=8, shift=60.0)
    records = started + events(4 * 64 + 70, start=64, seed=6)
    statuses = [r["status"] for r in told(task().process_batch(records))]

    assert statuses[:2] == ["NOT_STATIONARY", "CLOSED"]
    check_processor(task, records, max_state_bytes=200_000, repeat=1)

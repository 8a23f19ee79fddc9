"""What counts as a reading of a signal, and what is passed over."""

from __future__ import annotations

import math
from typing import Any

import pytest

from drift.watched_plant import TERMS, event, outcome, prediction, terms
from tidemill.contracts.definition import parse_definition
from tidemill.fold.terms import Terms
from tidemill.processors.drift.marks import Mark, Marks
from tidemill.processors.drift.plans import MARGIN, Kind, plans_of
from tidemill.processors.drift.reading import Reader
from tidemill.testing.plants import RECORD, RECORD_ID, sample_definition, sample_terms

CLEAN: dict[str, float | None] = {"vibration": 1.0, "temperature": 20.0, "flow": None}


def reader(given: Terms = TERMS) -> Reader:
    return Reader(given.definition, given.schemas, plans_of(given.definition))


def values(message: Any, given: Terms = TERMS) -> tuple[float, ...] | None:  # Any: a message
    found = reader(given).read(message, 0)
    return None if found is None else found[2].values


def test_a_missing_sensor_is_a_reading_and_an_event_at_fault_is_none() -> None:
    found = values(event(1, CLEAN))
    assert found is not None
    assert found[:2] == (1.0, 20.0)
    assert math.isnan(found[2])
    assert values(event(1, {**CLEAN, "temperature": 5000.0})) is None
    assert values(event(1, {**CLEAN, "vibration": math.nan})) is None


@pytest.mark.parametrize("quality", ["OUT_OF_RANGE", "IMPUTED", "LATE", "DUPLICATE"])
def test_predictions_of_events_at_fault_are_passed_over(quality: str) -> None:
    assert values(prediction(1, 3.0)) == (3.0,)
    assert values(prediction(1, 3.0, quality=["MISSING", "HELD"])) == (3.0,)
    assert values(prediction(1, 3.0, quality=[quality])) is None


def test_of_two_classes_the_probability_of_the_positive_one_is_watched() -> None:
    binary = sample_terms(kind="binary")
    scores = {"false": 0.9, "true": 0.1}
    said = prediction(1, None, probabilities=scores)
    assert values(said, binary) == (0.1,)
    assert values(prediction(1, None, probabilities={"false": 1.0}), binary) == (0.0,)
    assert values(said) == (0.9,)


def test_errors_count_once_and_only_of_labels_that_stand() -> None:
    assert values(outcome(1, 2.5)) == (2.5,)
    assert values(outcome(1, 2.5, revision=1)) is None
    assert values(outcome(1, 2.5, label=None)) is None
    found = values(outcome(1, math.inf))
    assert found is not None
    assert math.isnan(found[0])


def test_the_dial_is_divided_over_kinds_and_signals() -> None:
    plan = plans_of(terms(run_length=1000).definition)["pump"]
    rate = sum(1 / watch.run_length for kind in plan.watches.values() for watch in kind)
    assert plan.asset is not None
    assert rate + 1 / plan.asset.run_length == pytest.approx(1 / 1000 / MARGIN)
    assert [len(plan.names[kind]) for kind in Kind] == [3, 1, 1, 3, 0]


def test_what_is_seldom_explained_or_has_no_target_is_not_watched() -> None:
    stream = {"explanations": {"which": "on_request"}}
    plan = plans_of(parse_definition(sample_definition(stream=stream)))["pump"]
    assert set(plan.names) == {Kind.FEATURE, Kind.MULTIVARIATE, Kind.PREDICTION, Kind.ERROR}
    assert (
        plan.digest
        != plans_of(Terms(TERMS.definition, {RECORD_ID: RECORD}).definition)["pump"].digest
    )


def test_marks_name_an_event_before_and_near_the_one_that_is_looked_for() -> None:
    marks = Marks()
    for number in range(20_000):
        marks.note(Mark(number, 3 * number, 7 * number))
    for back in (0, 1, 5, 40, 300, 2_000, 15_000):
        wanted = 19_999 - back
        found = marks.find(wanted)
        assert found is not None
        assert wanted - back / 8 - 1 <= found.number <= wanted
        assert found == Mark(found.number, 3 * found.number, 7 * found.number)
    assert len(marks.dump()) <= 24 * 16
    assert Marks.load(marks.dump()).dump() == marks.dump()

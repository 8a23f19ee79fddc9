"""Running metrics of a model and the naive one, over all labels."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.models.outputs import NO_ANSWER, Answer
from tidemill.models.running_metrics import SMALLEST, ClassMetrics, Mean, NumberMetrics, log_loss

NUMBER = st.floats(-1e50, 1e50)
JUDGED = st.tuples(NUMBER, NUMBER, st.none() | NUMBER, st.none() | st.booleans())


def shares(p: float) -> Answer:
    return Answer(None, {"a": p, "b": 1 - p}, "a" if p >= 0.5 else "b")


@given(st.lists(JUDGED, min_size=1))
def test_numbers_are_judged_as_their_definition_says(
    rows: list[tuple[float, float, float | None, bool | None]],
) -> None:
    scores = NumberMetrics()
    for label, said, naive, covered in rows:
        scores.observe(label, said, naive=naive, covered=covered)
    floor = [abs(label - naive) for label, _, naive, _ in rows if naive is not None]
    inside = [covered for *_, covered in rows if covered is not None]
    errors = [abs(label - said) for label, said, *_ in rows]
    expected = {"count": len(rows), "mae": math.fsum(errors) / len(rows)}
    if floor:
        expected |= {"naive_count": len(floor), "naive_mae": math.fsum(floor) / len(floor)}
    if inside:
        expected["coverage"] = sum(inside) / len(inside)
    assert scores.metrics() == pytest.approx(expected, rel=1e-15)


def test_classes_are_judged_as_their_definition_says() -> None:
    scores = ClassMetrics()
    scores.observe("a", shares(0.8), naive=NO_ANSWER, covered=None)
    scores.observe("b", shares(0.6), naive=shares(0.9), covered=True)
    scores.observe("c", shares(0.6), naive=shares(0.1), covered=False)
    scores.observe("a", NO_ANSWER, naive=shares(0.1), covered=False)
    scores.observe("a", Answer(None, {}, None), naive=shares(0.1), covered=False)
    assert scores.metrics() == pytest.approx(
        {
            "count": 3,
            "accuracy": 1 / 3,
            "log_loss": -(math.log(0.8) + math.log(0.4) + math.log(SMALLEST)) / 3,
            "naive_count": 2,
            "naive_accuracy": 0.0,
            "naive_log_loss": -(math.log(0.1) + math.log(SMALLEST)) / 2,
            "coverage": 0.5,
        }
    )


def test_rounding_does_not_grow_with_the_stream() -> None:
    mean = Mean()
    for value in (1e50, *[0.1] * 100_000):
        mean.add(value)
    mean.add(1e50)
    whole = math.fsum([1e50, 1e50, *[0.1] * 100_000])
    assert mean.mean() == whole / 100_002
    rising = Mean()
    for value in (60.0, 2.0**60, 80.0):
        rising.add(value)
    assert rising.mean() == (2.0**60 + 256.0) / 3
    small = Mean()
    for _ in range(1_000_000):
        small.add(0.1)
    assert small.mean() == 0.1


@pytest.mark.parametrize(("p", "loss"), [(1.0, 0.0), (1.1, 0.0), (0.0, 34.538776394910684)])
def test_log_loss_is_bounded(p: float, loss: float) -> None:
    assert log_loss(p) == pytest.approx(loss, abs=1e-12)


def test_there_are_no_metrics_before_the_first_label() -> None:
    assert NumberMetrics().metrics() == {}
    assert ClassMetrics().metrics() == {}


def test_an_error_that_is_not_finite_is_passed_over() -> None:
    scores = NumberMetrics()
    scores.observe(1.0, math.nan, naive=1.0, covered=True)
    scores.observe(math.inf, 1.0, naive=1.0, covered=True)
    assert scores.metrics() == {}


def test_a_restore_changes_no_metric() -> None:
    rng = random.Random(1)
    numbers, classes = NumberMetrics(), ClassMetrics()
    for n in range(50):
        if n == 20:
            numbers = NumberMetrics.load(numbers.dump())
            classes = ClassMetrics.load(classes.dump())
        numbers.observe(rng.random(), 0.3, naive=0.5, covered=n % 9 > 0)
        classes.observe(rng.choice("ab"), shares(0.7), naive=shares(0.2), covered=n % 3 > 0)
    rng = random.Random(1)
    straight, classed = NumberMetrics(), ClassMetrics()
    for n in range(50):
        straight.observe(rng.random(), 0.3, naive=0.5, covered=n % 9 > 0)
        classed.observe(rng.choice("ab"), shares(0.7), naive=shares(0.2), covered=n % 3 > 0)
    assert numbers.dump() == straight.dump()
    assert classes.dump() == classed.dump()

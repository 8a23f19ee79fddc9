"""How unsure a model is, by what it is asked for."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.fold.asking.recent import Case
from tidemill.fold.asking.scores import Scorer, class_score, width_score
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from tidemill.contracts.targets import ModelKind

probability = st.floats(0.0, 1.0)


def case(value: float | None = None, asset: str = "a", **fields: Any) -> Case:
    said: dict[str, Any] = {
        "source": Position("sensor.events", 0, 0),
        "event_id": "e",
        "asset": asset,
        "stream": "s",
        "time_us": 0,
        "at_ms": 0,
        "model": "s/champion",
        "version": 1,
        "value": value,
        "probabilities": None,
        "outcome": None,
        "interval": None,
        "class_set": None,
        "quality": frozenset(),
        **fields,
    }
    return Case(**said)


def wide(value: float, width: float, asset: str = "a") -> Case:
    return case(value, asset, interval={"low": value - width / 2, "high": value + width / 2})


def scored(kind: ModelKind, cases: list[Case]) -> list[float]:
    scorer = Scorer(cases, {"s": kind})
    return [scorer.score(each) for each in cases]


@pytest.mark.parametrize(
    ("probabilities", "score"),
    [
        ({"true": 0.5, "false": 0.5}, 1.0),
        ({"true": 0.9, "false": 0.1}, 0.2),
        ({"true": 1.0, "false": 0.0}, 0.0),
        ({"true": 1.0}, 0.0),
        ({"true": 9.0, "false": 1.0}, 0.2),
        ({}, 1.0),
        ({"true": 0.0, "false": 0.0}, 1.0),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 1.0),
        ({"a": 1.0, "b": 0.0, "c": 0.0}, 0.0),
        ({"a": 0.5, "b": 0.5, "c": 0.0}, math.log(2) / math.log(3)),
    ],
)
def test_classes_are_scored_by_margin_or_entropy(
    probabilities: dict[str, float], score: float
) -> None:
    assert class_score(probabilities) == pytest.approx(score)


@given(st.dictionaries(st.text(max_size=2), probability, max_size=8))
def test_a_score_of_classes_lies_between_0_and_1(probabilities: dict[str, float]) -> None:
    assert 0.0 <= class_score(probabilities) <= 1.0


@given(probability, probability)
def test_the_more_even_two_classes_the_higher_the_score(one: float, other: float) -> None:
    near, far = sorted((one, other), key=lambda p: abs(p - 0.5))

    assert class_score({"y": near, "n": 1 - near}) >= class_score({"y": far, "n": 1 - far}) - 1e-12


def test_an_interval_is_wide_or_narrow_beside_the_spread_of_answers() -> None:
    assert width_score(3.0, 1.0) == 0.75
    assert width_score(1.0, 3.0) == 0.25
    assert width_score(0.0, 0.0) == 0.0
    assert width_score(2.0, 0.0) == 1.0
    assert width_score(None, 2.0) == 1.0


def test_numbers_are_scored_beside_their_asset_or_their_stream_where_those_are_few() -> None:
    many = [wide(float(n), 5.0, "many") for n in range(12)]
    few = [wide(1000.0 * n, 5.0, "few") for n in range(9)]

    found = scored("regression", [*many, *few])

    own = statistics.pstdev(range(12))
    of_all = statistics.pstdev([c.value for c in (*many, *few) if c.value is not None])
    assert found[0] == pytest.approx(5 / (5 + own))
    assert found[-1] == pytest.approx(5 / (5 + of_all))


def test_an_answer_that_failed_teaches_nothing() -> None:
    assert scored("binary", [case()]) == [0.0]
    assert scored("multiclass", [case(probabilities={})]) == [1.0]
    assert scored("regression", [case(), wide(1.0, 1.0)]) == [0.0, 1.0]

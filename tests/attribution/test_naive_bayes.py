"""Naive Bayes: the prior, and one term of the log-odds for each sensor."""

from __future__ import annotations

import math
from typing import Any

import pytest

from attribution.oracle import NAMES, SEED, UP, built, by_definition, cases, shares_of, taught
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Feature, Step
from tidemill.models.outputs import Multiclass

GAUSS = "naive_bayes.GaussianNB"
BERNOULLI = "naive_bayes.BernoulliNB"


def likelihood(model: Any, x: dict[str, Any], label: Any) -> float:
    return float(model.joint_log_likelihood(x)[label])


@pytest.mark.parametrize("task", [UP, Multiclass()], ids=["binary", "multiclass"])
def test_gaussian_shares_equal_all_subsets_of_what_is_known(task: Any) -> None:
    model = built([GAUSS])
    explainer = taught(model, cases(200, task=task), task)
    for x, _ in cases(10, seed=7):
        explained = explainer.explain(x, SEED)
        scores = model.predict_proba_one(x)
        ranked = sorted(scores, key=scores.get, reverse=True)
        first, second = (True, False) if task is UP else ranked[:2]

        def value(joined: frozenset[str]) -> float:
            seen = {n: x[n] for n in NAMES if n in joined}  # noqa: B023 - used in this round
            return likelihood(model, seen, first) - likelihood(model, seen, second)  # noqa: B023 - as above

        assert explained is not None
        assert shares_of(explained) == pytest.approx(by_definition(value, NAMES), abs=1e-12)
        assert explained.base == pytest.approx(value(frozenset()), abs=1e-15)
        assert explained.prediction == value(frozenset(NAMES))
        assert explained.target_class == task.key(first)
        assert explained.contrast_class == task.key(second)
        assert (explained.method, explained.output_space) == ("NAIVE_BAYES", "log-odds")
        assert (explained.reference_kind, explained.reference_n) == ("absent", 200)


def test_a_gaussian_model_takes_a_missing_sensor_for_nothing() -> None:
    explained = taught(built([GAUSS]), cases(50), UP).explain({"b": 1.0}, SEED)

    assert explained is not None
    assert explained.missing == ("a", "c", "d")
    assert [share.attribution == 0.0 for share in explained.shares] == [True, False, True, True]


def test_bernoulli_terms_are_those_of_the_counts() -> None:
    learned = [({"a": 1.0, "b": 1.0}, True), ({"a": 1.0}, True), ({"b": 1.0}, False)] * 3
    model = built([BERNOULLI], (Feature(name="a"), Feature(name="b")))
    explained = taught(model, learned, UP).explain({"a": 1.0}, SEED)

    def p(came: int, cases_of_class: int) -> float:
        return (came + 1.0) / (cases_of_class + 2.0)

    told = [
        math.log(10e-10 + p(6, 6)) - math.log(10e-10 + p(0, 3)),
        math.log(10e-10 + 1.0 - p(3, 6)) - math.log(10e-10 + 1.0 - p(3, 3)),
    ]
    assert explained is not None
    assert shares_of(explained) == pytest.approx(told, abs=1e-12)
    assert explained.missing == ("b",)
    assert explained.base == pytest.approx(math.log(6 / 3))
    scores = model.predict_proba_one({"a": 1.0})
    assert explained.prediction == pytest.approx(math.log(scores[True] / scores[False]))
    assert explained.additivity_error <= 1e-14


@pytest.mark.parametrize("name", [GAUSS, BERNOULLI])
def test_a_sensor_that_never_came_is_not_known(name: str) -> None:
    model = built([name])
    explainer = explainer_of_pipeline(model, NAMES, UP)
    for n in range(6):
        model.learn_one({"a": float(n % 3), "b": 1.0 - n % 2}, n % 2 == 0)
    explained = explainer.explain({"a": 1.0, "c": 2.0}, SEED)

    assert explained is not None
    assert [share.feature for share in explained.shares] == ["a", "b", "c"]
    assert explained.missing == ("b",)
    assert explained.additivity_error <= 1e-14


def test_encoded_columns_belong_to_their_sensor() -> None:
    model = built(
        ["preprocessing.OneHotEncoder", BERNOULLI], (Feature(name="recipe", kind="nominal"),)
    )
    recipes = ["slow", "fast", "auto"]
    learned = [({"recipe": recipes[n % 3]}, n % 3 == 1) for n in range(60)]
    explained = taught(model, learned, UP).explain({"recipe": "fast"}, SEED)

    assert explained is not None
    assert [share.feature for share in explained.shares] == ["recipe"]
    assert explained.additivity_error <= 1e-13
    assert shares_of(explained)[0] > 1.0


def test_a_model_of_one_class_says_that_nothing_moved_it() -> None:
    explained = taught(built([GAUSS]), [({"a": 1.0}, False)], UP).explain({"a": 5.0}, SEED)

    assert explained is not None
    assert (explained.prediction, explained.base, shares_of(explained)) == (0.0, 0.0, [0.0])
    assert (explained.target_class, explained.output_space) == ("up", "probability")


@pytest.mark.parametrize("name", [GAUSS, BERNOULLI])
def test_before_the_first_class_there_is_nothing_to_explain(name: str) -> None:
    assert explainer_of_pipeline(built([name]), NAMES, UP).explain({"a": 1.0}, SEED) is None


def test_a_case_far_out_adds_up_too() -> None:
    model = built([Step(name=GAUSS)])
    explained = taught(model, cases(200), UP).explain(dict.fromkeys(NAMES, 1e30), SEED)

    assert explained is not None
    assert explained.additivity_error <= 1e-12

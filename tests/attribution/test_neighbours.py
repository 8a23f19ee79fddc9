"""Neighbours: the cases that answered, and Shapley values of the answer against the window."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from attribution.oracle import NAMES, SEED, UP, built, by_definition, cases, shares_of, taught
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Feature, Step
from tidemill.models.outputs import NO_ANSWER, Multiclass, Regression

WINDOW: dict[str, Any] = {"engine": {"neighbors.LazySearch": {"window_size": 40}}}
SCALER = "preprocessing.StandardScaler"


def neighbours(name: str, **more: Any) -> Step:
    return Step(name=f"neighbors.{name}", parameters={**WINDOW, "n_neighbors": 3, **more})


@pytest.mark.parametrize("method", ["mean", "median", "weighted_mean"])
def test_shares_equal_all_subsets_with_the_mean_of_the_window(method: str) -> None:
    model = built([neighbours("KNNRegressor", aggregation_method=method)])
    learned = cases(100, task=Regression())
    explainer = taught(model, learned, Regression())
    window = np.array([[x[name] for name in NAMES] for x, _ in learned[-40:]])
    mean = dict(zip(NAMES, map(float, window.mean(axis=0)), strict=True))
    for x, _ in cases(5, seed=3):
        explained = explainer.explain(x, SEED)

        def value(joined: frozenset[str]) -> float:
            mixed = {n: x[n] if n in joined else mean[n] for n in NAMES}  # noqa: B023 - used in this round
            return float(model.predict_one(mixed))

        assert explained is not None
        assert shares_of(explained) == pytest.approx(by_definition(value, NAMES), abs=1e-12)
        assert explained.prediction == model.predict_one(x)
        assert (explained.method, explained.exact, explained.samples) == ("NEIGHBOURS", True, None)
        assert (explained.reference_kind, explained.reference_n) == ("mean of the window", 40)


def test_the_nearest_cases_are_given_with_distance_and_label() -> None:
    task, model = Multiclass(), built([SCALER, neighbours("KNNClassifier")])
    learned = cases(60, task=task)
    explainer, x = taught(model, learned, task), cases(1, seed=2)[0][0]
    explained = explainer.explain(x, SEED)

    z = model["StandardScaler"].transform_one(x)
    window = list(model.steps.values())[-1]._nn.window
    known = sorted((math.dist(z.values(), case.values()), label) for ((case, label),) in window)
    assert explained is not None
    assert explained.support == 3.0
    nearest = explained.neighbours
    assert [n.label for n in nearest] == [label for _, label in known[:3]]
    assert [n.distance for n in nearest] == pytest.approx([away for away, _ in known[:3]])
    scores = model.predict_proba_one(x)
    assert explained.target_class == max(scores, key=scores.get)
    assert explained.prediction == scores[explained.target_class]


def test_labels_are_named_as_predictions_name_them() -> None:
    explained = taught(built([neighbours("KNNClassifier")]), cases(20), UP).explain(
        cases(1)[0][0], SEED
    )

    assert explained is not None
    assert {n.label for n in explained.neighbours} <= {"up", "down"}
    assert explained.target_class == "up"
    assert explained.neighbours[0].distance == 0.0


def test_a_missing_sensor_takes_part() -> None:
    model = built([neighbours("KNNRegressor")])
    explained = taught(model, cases(60, task=Regression()), Regression()).explain({"a": 3.0}, SEED)

    assert explained is not None
    assert explained.missing == ("b", "c", "d")
    assert explained.prediction == model.predict_one({"a": 3.0})
    assert explained.additivity_error <= 1e-12


def test_many_sensors_are_sampled_with_standard_errors() -> None:
    names = tuple(f"s{n}" for n in range(12))
    model = built([neighbours("KNNRegressor")], tuple(Feature(name=name) for name in names))
    chance = random.Random(1)
    learned = [({n: chance.gauss(0, 1) for n in names}, chance.gauss(0, 1)) for _ in range(40)]
    explained = taught(model, learned, Regression()).explain(learned[3][0], SEED)

    assert explained is not None
    assert (explained.exact, explained.samples) == (False, 32)
    assert all(share.standard_error is not None for share in explained.shares)
    assert explained.additivity_error <= 1e-12


def test_an_answer_that_is_not_finite_is_not_explained() -> None:
    model = built([neighbours("KNNRegressor")])
    explainer = taught(model, [({"a": 0.0}, math.inf)], Regression())

    assert Regression().ask(model, {"a": 1.0}) == NO_ANSWER
    assert explainer.explain({"a": 1.0}, SEED) is None


def test_before_the_first_case_a_classifier_has_nothing_to_explain() -> None:
    model = built([neighbours("KNNClassifier")])
    assert explainer_of_pipeline(model, NAMES, UP).explain({"a": 1.0}, SEED) is None
    number = built([neighbours("KNNRegressor")])
    explained = explainer_of_pipeline(number, NAMES, Regression()).explain({"a": 1.0}, SEED)
    assert explained is not None
    assert (explained.base, explained.prediction, shares_of(explained)) == (0.0, 0.0, [0.0])
    assert explained.neighbours == ()

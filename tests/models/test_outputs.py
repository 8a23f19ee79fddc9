"""What a model may be shown, and what is recorded of what it says."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.fold.instructions import LARGEST_WEIGHT, LEAST_WEIGHT
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.outputs import (
    LARGEST,
    MOST_CLASSES,
    NO_ANSWER,
    Binary,
    Multiclass,
    Regression,
    class_key,
)
from tidemill.models.pipelines import build_pipeline

FEATURES = (Feature(name="x"), Feature(name="z"))
SCALERS = ("Standard", "MinMax", "MaxAbs", "AdaptiveStandard")
LINEAR: tuple[str, dict[str, Any]] = ("linear_model.LinearRegression", {})
OPTIMIZERS = ("SGD", "Adam", "AdaGrad", "RMSProp", "Momentum")
REGRESSORS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    **{scaler: [(f"preprocessing.{scaler}Scaler", {}), LINEAR] for scaler in SCALERS},
    **{name: [(LINEAR[0], {"optimizer": f"optim.{name}"})] for name in OPTIMIZERS},
    **{
        f"{splitter} {leaf}": [
            (
                "tree.HoeffdingTreeRegressor",
                {
                    "grace_period": 20,
                    "splitter": f"tree.splitter.{splitter}Splitter",
                    "leaf_prediction": leaf,
                },
            )
        ]
        for splitter in ("TEBST", "QO")
        for leaf in ("mean", "model", "adaptive")
    },
}
CLASSIFIERS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "logistic": [("linear_model.LogisticRegression", {})],
    "scaled": [
        ("preprocessing.StandardScaler", {}),
        ("linear_model.LogisticRegression", {"optimizer": "optim.Adam"}),
    ],
    **{
        f"{splitter} {criterion}": [
            (
                "tree.HoeffdingTreeClassifier",
                {
                    "grace_period": 20,
                    "splitter": f"tree.splitter.{splitter}Splitter",
                    "split_criterion": criterion,
                },
            )
        ]
        for splitter in ("Gaussian", "Histogram")
        for criterion in ("info_gain", "gini", "hellinger")
    },
}
EXTREMES = (LARGEST, -LARGEST, 1e-300, 0.0, 1.0)


def built(steps: list[tuple[str, dict[str, Any]]]) -> Any:
    named = [Step(name=name, parameters=parameters) for name, parameters in steps]
    return build_pipeline(named, features=FEATURES, seed=1)


def show_extremes(task: Regression | Binary, pipeline: Any, weight: float) -> None:
    """Ask and teach as the fold does: a model that has diverged is asked, and learns no more."""
    rng = random.Random(1)
    for step in range(250):
        x = {"x": rng.choice([*EXTREMES, rng.random()]), "z": rng.choice(EXTREMES)}
        y = rng.random() < 0.5 if isinstance(task, Binary) else rng.choice(EXTREMES)
        answer = task.ask(pipeline, x)
        assert math.isfinite(answer.value or 0.0)
        assert all(map(math.isfinite, (answer.probabilities or {}).values()))
        if step == 0 or answer != NO_ANSWER:
            pipeline.learn_one(x, y, **({} if weight == 1.0 else {"w": weight}))


@pytest.mark.parametrize("weight", [1.0, LARGEST_WEIGHT, LEAST_WEIGHT])
@pytest.mark.parametrize("name", REGRESSORS)
def test_no_number_and_weight_within_bounds_makes_a_regressor_raise(
    name: str, weight: float
) -> None:
    show_extremes(Regression(), built(REGRESSORS[name]), weight)


@pytest.mark.parametrize("weight", [1.0, LARGEST_WEIGHT, LEAST_WEIGHT])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_no_number_and_weight_within_bounds_makes_a_classifier_raise(
    name: str, weight: float
) -> None:
    # River's histograms take a sample as often as it weighs: slow for the heaviest, no more.
    if "Histogram" in name:
        weight = min(weight, 10.0)
    show_extremes(Binary("no", "yes"), built(CLASSIFIERS[name]), weight)


class Scores:
    """A classifier that says what it is told."""

    def __init__(self, scores: dict[Any, float]) -> None:
        self.scores = scores

    def predict_proba_one(self, _x: dict[str, Any]) -> dict[Any, float]:
        return self.scores


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_no_answer(score: float) -> None:
    assert Binary("no", "yes").ask(Scores({False: 0.5, True: score}), {}) == NO_ANSWER
    assert Multiclass().ask(Scores({"a": 0.5, "b": score}), {}) == NO_ANSWER


def test_where_two_classes_tie_the_negative_one_is_said() -> None:
    for scores in ({True: 0.5, False: 0.5}, {False: 0.5, True: 0.5}, {False: 1.0}):
        assert Binary("no", "yes").ask(Scores(scores), {}).outcome == "no"
    assert Binary("no", "yes").ask(Scores({True: 0.1}), {}).outcome == "yes"


def test_a_prediction_names_no_more_than_the_likeliest_classes() -> None:
    scores = {f"c{n}": n / 1000 for n in range(MOST_CLASSES + 44)}
    answer = Multiclass().ask(Scores(scores), {})

    assert answer.outcome == f"c{MOST_CLASSES + 43}"
    assert set(answer.probabilities or {}) == {f"c{n}" for n in range(44, MOST_CLASSES + 44)}
    few = {"b": 0.5, "a": 0.5}
    assert list(Multiclass().ask(Scores(few), {}).probabilities or {}) == ["b", "a"]


@pytest.mark.parametrize("raw", ["x" * 257, "\u00e9" * 129, 1e300])
def test_a_class_too_long_for_a_record_is_refused(raw: object) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        class_key(raw)
    assert caught.value.reason == DeadLetterReason.DOMAIN


@pytest.mark.parametrize("raw", ["x" * 256, "\u00e9" * 128])
def test_a_class_of_256_bytes_is_one(raw: str) -> None:
    assert class_key(raw) == raw

"""The passage: what the predictor is given, whose columns they are, and the mean case there."""

from __future__ import annotations

import pytest

from attribution.oracle import NAMES, NUMBERS, built, cases
from models.cases import PARAMETERS, features_of, steps_of, stream
from tidemill.attribution.passage import Passage, is_filter, kind_of
from tidemill.contracts.stream import Feature
from tidemill.models.families import ALLOWED
from tidemill.models.means import Means
from tidemill.models.pipelines import build_pipeline

RECIPE = Feature(name="recipe", kind="nominal")


@pytest.mark.parametrize("name", [name for name in ALLOWED if ALLOWED[name].role == "transformer"])
def test_the_predictor_is_given_the_same_as_by_river(name: str) -> None:
    features = features_of(name, wants_nominal=True)
    pipeline = build_pipeline(steps_of(name, wants_nominal=True), features=features, seed=1)
    passage = Passage(pipeline, [feature.name for feature in features])
    for case in stream(features, 60, gaps=0.2):
        z = passage.transform(case.x)
        assert list(z.items()) == list(pipeline._transform_one(case.x)[0].items())
        assert set(z) <= set(passage.owners())
        pipeline.learn_one(case.x, case.score)


@pytest.mark.parametrize("name", ["anomaly.QuantileFilter", "anomaly.ThresholdFilter"])
def test_behind_a_filter_stands_its_detector(name: str) -> None:
    pipeline = build_pipeline(steps_of(name), features=features_of(name), seed=1)
    passage = Passage(pipeline, NAMES)

    assert is_filter(pipeline)
    assert passage.predictor is pipeline.anomaly_detector
    assert "anomaly_detector" in PARAMETERS[name]


def test_a_class_goes_by_the_names_of_its_bases_too() -> None:
    model = built(["neighbors.KNNClassifier"])

    assert type(model).__name__ == "SteadyNeighbors"
    assert kind_of(model, frozenset({"KNNClassifier"})) == "KNNClassifier"
    assert kind_of(model, frozenset({"KNNRegressor"})) == ""


def test_one_hot_columns_are_the_sensors() -> None:
    pipeline = built(
        ["preprocessing.OneHotEncoder", "linear_model.LinearRegression"], (RECIPE, *NUMBERS)
    )
    passage = Passage(pipeline, ("recipe", *NAMES))
    assert passage.columns()["recipe"] == ()
    for recipe in ("slow", "fast"):
        pipeline.learn_one({"recipe": recipe, "a": 1.0}, 0.0)

    assert passage.columns()["recipe"] == ("recipe=_slow", "recipe=_fast")
    assert list(passage.owners().items())[:3] == [
        ("recipe=_slow", "recipe"),
        ("recipe=_fast", "recipe"),
        ("a", "a"),
    ]


def test_an_ordinal_code_has_the_mean_of_the_codes_learned() -> None:
    pipeline = built(["preprocessing.OrdinalEncoder", "linear_model.LinearRegression"], (RECIPE,))
    passage, means = Passage(pipeline, ("recipe",)), Means()
    assert passage.reference(means) == ({}, 0)
    for recipe in ("slow", "fast", "fast", "auto"):
        pipeline.learn_one({"recipe": recipe}, 0.0)
        means.learn({"recipe": recipe})
    codes = [passage.transform({"recipe": r})["recipe="] for r in ("slow", "fast", "fast", "auto")]

    reference, count = passage.reference(means)
    assert reference == {"recipe=": pytest.approx(sum(codes) / 4)}
    assert count == 4
    means.learn({"recipe": "hand"})
    assert passage.reference(means)[0] == {"recipe=": pytest.approx(sum(codes) / 4)}


def test_behind_a_scaler_that_centres_the_mean_is_zero_to_the_bit() -> None:
    pipeline = built(["preprocessing.StandardScaler", "linear_model.LinearRegression"])
    passage = Passage(pipeline, NAMES)
    for x, y in cases(37):
        pipeline.learn_one(x, y)

    assert passage.is_centred
    assert passage.reference(Means()) == (dict.fromkeys(NAMES, 0.0), 37)

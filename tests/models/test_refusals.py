"""What a definition is told of each trap in River, by name."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.models.families import ALLOWED, REFUSED
from tidemill.models.pipelines import (
    build_pipeline,
    check_steps,
    nominal_problems,
    pipeline_text,
)

RECIPE = Feature(name="recipe", kind="nominal")
GAUSS = "anomaly.GaussianScorer"


def step(name: str, **parameters: Any) -> Step:
    return Step(name=name, parameters=parameters)


@pytest.mark.parametrize("name", REFUSED)
def test_a_class_that_is_a_trap_is_refused_with_its_reason(name: str) -> None:
    assert name not in ALLOWED
    (problem,) = check_steps([step(name)])
    assert problem == f"{name}: is refused: {REFUSED[name]}"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([step("forest.ARFRegressor", aggregation_method="median")], "cannot be explained"),
        ([step("forest.ARFRegressor", disable_weighted_vote=False)], "weighted vote twice"),
        ([step("forest.ARFRegressor", disable_weighted_vote=1)], "must be True, was 1"),
        ([step("forest.ARFRegressor", metric="metrics.MAE")], "must be left to the forest"),
        ([step("forest.ARFClassifier", max_features="some")], "River must accept"),
        ([step("forest.ARFClassifier", drift_detector="drift.DDM")], "must be one of drift.ADWIN"),
        ([step("forest.ARFClassifier", max_size=10)], "memory budget"),
        ([step("forest.AMFClassifier", max_nodes=None)], "whole number from 3 to 1000, was None"),
        ([step("forest.AMFClassifier", n_estimators=1000)], "whole number from 1 to 100"),
        ([step("tree.HoeffdingTreeClassifier", leaf_prediction="mean")], "must be mc or nb or nba"),
        ([step("tree.HoeffdingTreeClassifier", split_criterion="luck")], "must be info_gain"),
        ([step("tree.HoeffdingTreeRegressor", leaf_model="tree.Bang")], "must be one of linear"),
        ([step("tree.HoeffdingAdaptiveTreeRegressor", seed=None)], "must be a whole number"),
        ([step("linear_model.PARegressor", mode=0)], "without a limit overflows"),
        ([step("linear_model.PAClassifier", C="much")], "River must accept"),
        ([step("linear_model.BayesianLinearRegression", smoothing=0.9)], "singular"),
        ([step("linear_model.SoftmaxRegression", loss="optim.losses.Log")], "cross entropy"),
        ([step("linear_model.LinearRegression", initializer="one")], "River must accept"),
        ([step("ensemble.BaggingClassifier", n_models=1)], "River must accept"),
        ([step("ensemble.BaggingClassifier", model="linear_model.PARegressor")], "must predict"),
        ([step("ensemble.BaggingRegressor", model="os.system")], "must be one of linear_model"),
        ([step("ensemble.LeveragingBaggingClassifier", bagging_method="me")], "raise an error"),
        ([step("neighbors.KNNRegressor", engine="neighbors.SWINN")], "too deep to be saved"),
        ([step("neighbors.KNNClassifier", cleanup_every=5)], "when it cleans up"),
        ([step("neighbors.KNNClassifier", n_neighbors=0)], "whole number from 1 to 1000"),
        (
            [step("neighbors.KNNRegressor", engine={"neighbors.LazySearch": {"window_size": 0}})],
            "whole number from 1 to 10000",
        ),
        ([step("anomaly.HalfSpaceTrees")], "preprocessing.MinMaxScaler must stand before it"),
        (
            [step("anomaly.QuantileFilter", anomaly_detector="anomaly.HalfSpaceTrees")],
            "preprocessing.MinMaxScaler must stand before it",
        ),
        ([step(GAUSS, window_size=10)], "window"),
        ([step("preprocessing.StandardScaler", window_size=10)], "window"),
        ([step("anomaly.QuantileFilter")], "River must accept"),
        ([step("anomaly.QuantileFilter", anomaly_detector=GAUSS, q=1.0)], "between 0 and 1"),
        (
            [step("anomaly.QuantileFilter", anomaly_detector=GAUSS, protect_anomaly_detector=True)],
            "never learns what it alarms on",
        ),
        ([step("anomaly.ThresholdFilter", anomaly_detector=GAUSS)], "threshold"),
        ([step("preprocessing.OneHotEncoder", drop_first=True)], "raises without categories"),
        ([step("preprocessing.OneHotEncoder", categories={})], "they are learned"),
        ([step("preprocessing.StatImputer", statistic="stats.Mode")], "must be one of stats."),
        ([], "must have a predictor"),
    ],
)
def test_every_trap_is_told_by_name(steps: list[Step], told: str) -> None:
    problems = check_steps(steps)
    assert any(told in problem for problem in problems), problems


def test_a_bag_must_hold_a_model_of_the_task() -> None:
    bag = step("ensemble.BaggingClassifier", model="linear_model.LogisticRegression")
    assert check_steps([bag], "binary") == []
    assert "must predict multiclass" in check_steps([bag], "multiclass")[0]


def test_nominal_features_go_through_an_encoder_where_a_model_takes_numbers() -> None:
    features, encoder = (RECIPE, Feature(name="load")), step("preprocessing.OneHotEncoder")
    linear, imputer = step("linear_model.LinearRegression"), step("preprocessing.PreviousImputer")
    scaler = step("preprocessing.StandardScaler")
    assert "OneHotEncoder before it" in nominal_problems([linear], features)[0]
    assert nominal_problems([imputer, encoder, scaler, linear], features) == []
    assert nominal_problems([scaler, encoder, linear], features)
    assert nominal_problems([step("anomaly.HalfSpaceTrees")], features)
    assert nominal_problems([step("ensemble.BaggingRegressor")], features) == []
    assert nominal_problems(
        [step("ensemble.BaggingRegressor", model="linear_model.PARegressor")], features
    )


def test_a_bare_detector_stands_behind_a_filter_whose_share_is_written_down() -> None:
    bare = [step("preprocessing.MinMaxScaler"), step("anomaly.HalfSpaceTrees", n_trees=3)]
    text = pipeline_text(bare)
    assert '"anomaly.QuantileFilter"' in text
    assert '"q":0.99' in text
    pipeline = build_pipeline(bare, features=(), seed=5)
    assert pipeline.protect_anomaly_detector
    assert pipeline.q == 0.99
    assert pipeline.anomaly_detector["SteadyHalfSpaceTrees"].seed == 5
    assert list(pipeline.anomaly_detector.steps) == ["SteadyMinMaxScaler", "SteadyHalfSpaceTrees"]


def test_defaults_of_ours_are_part_of_what_names_a_pipeline() -> None:
    assert '"window_size":500' in pipeline_text([step("neighbors.KNNRegressor")])
    assert '"max_depth":60' in pipeline_text([step("ensemble.BaggingClassifier")])
    assert '"max_nodes":200' in pipeline_text([step("forest.AMFRegressor")])
    assert '"aggregation_method":"mean"' in pipeline_text([step("forest.ARFRegressor")])


def test_the_seed_of_the_definition_reaches_what_a_model_holds() -> None:
    model = {"tree.HoeffdingAdaptiveTreeClassifier": {"drift_detector": "drift.KSWIN"}}
    bag = build_pipeline([step("ensemble.BaggingClassifier", model=model)], features=(), seed=9)
    assert bag.seed == bag.model.seed == bag[0].drift_detector.seed == 9

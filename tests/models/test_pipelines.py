"""What a definition may name, and what it is told otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.models.allowed import DEEPEST
from tidemill.models.pipelines import (
    build_pipeline,
    check_steps,
    nominal_problems,
    pipeline_text,
)

SCALER = Step(name="preprocessing.StandardScaler")
LINEAR = Step(name="linear_model.LinearRegression")


def step(name: str, **parameters: Any) -> Step:
    return Step(name=name, parameters=parameters)


def test_a_pipeline_of_allowed_classes_has_no_problem() -> None:
    steps = [SCALER, step("linear_model.LinearRegression", l2=0.001, intercept_lr=0.1)]
    assert check_steps(steps, "regression") == []
    assert build_pipeline(steps, features=(), seed=0)["LinearRegression"].l2 == 0.001


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([step("os.system")], "must be one of"),
        ([SCALER], "one predictor last"),
        ([LINEAR, SCALER], "one predictor last"),
        ([step("linear_model.LinearRegression", speed=3)], "must be a parameter of the class"),
        ([step("linear_model.LinearRegression", l2=float("nan"))], "must be finite"),
        ([step("linear_model.LinearRegression", optimizer="optim.Bang")], "must be one of optim"),
        ([step("linear_model.LinearRegression", optimizer={"optim.SGD": {"x": 1}})], "optim.SGD.x"),
        ([step("tree.HoeffdingTreeRegressor", max_size=10)], "memory budget"),
        ([step("tree.HoeffdingTreeRegressor", max_depth=61)], "from 1 to 60, was 61"),
        ([step("tree.HoeffdingTreeRegressor", max_depth=0)], "from 1 to 60, was 0"),
        ([step("tree.HoeffdingTreeRegressor", max_depth=None)], "from 1 to 60, was None"),
        ([step("tree.HoeffdingTreeRegressor", max_depth=True)], "from 1 to 60, was True"),
        ([step("tree.HoeffdingTreeRegressor", memory_estimate_period=10)], "memory budget"),
        ([step("tree.HoeffdingTreeRegressor", nominal_attributes=["a"])], "kind: nominal"),
        ([step("tree.HoeffdingTreeRegressor", splitter="tree.splitter.Bang")], "must be one of"),
        ([step("linear_model.LogisticRegression")], "predicts binary, not regression"),
    ],
)
def test_every_problem_is_told(steps: list[Step], told: str) -> None:
    problems = check_steps(steps, "regression")
    assert any(told in problem for problem in problems), problems


def test_optimizers_and_splitters_are_built_by_name() -> None:
    linear = step("linear_model.LinearRegression", optimizer={"optim.SGD": {"lr": 0.5}})
    assert build_pipeline([linear], features=(), seed=0).optimizer.learning_rate == 0.5
    tree = step("tree.HoeffdingTreeRegressor", splitter="tree.splitter.QOSplitter")
    built = build_pipeline([tree], features=(), seed=0)
    assert type(built.splitter).__name__ == "QOSplitter"


def test_a_trees_depth_is_ours_and_part_of_what_names_a_pipeline() -> None:
    plain, given = (
        step("tree.HoeffdingTreeRegressor"),
        step("tree.HoeffdingTreeRegressor", max_depth=9),
    )
    assert build_pipeline([plain], features=(), seed=0).max_depth == DEEPEST
    assert build_pipeline([given], features=(), seed=0).max_depth == 9
    assert f'"max_depth":{DEEPEST}' in pipeline_text([plain])
    assert '"max_depth":9' in pipeline_text([given])


def test_nominal_features_reach_the_tree_and_no_linear_model() -> None:
    features = (Feature(name="recipe", kind="nominal"), Feature(name="load"))
    tree = build_pipeline([step("tree.HoeffdingTreeClassifier")], features=features, seed=0)
    assert tree.nominal_attributes == ["recipe"]
    assert nominal_problems([SCALER, LINEAR], features)
    assert not nominal_problems([step("tree.HoeffdingTreeClassifier")], features)

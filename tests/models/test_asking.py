"""What a model is asked leaves no trace, and a healthy model is never taken for a broken one."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from models.cases import SEED, features_of, stats, steps_of, stream, task_of, tree
from tidemill.contracts.stream import Step
from tidemill.models.families import ALLOWED
from tidemill.models.outputs import NO_ANSWER, NO_CLASS, Anomaly, Answer, Multiclass, Regression
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.pipelines import build_pipeline
from tidemill.models.state import ModelState


def built(name: str) -> Any:
    features = features_of(name, wants_nominal=True)
    return build_pipeline(steps_of(name, wants_nominal=True), features=features, seed=SEED)


@pytest.mark.parametrize("name", ALLOWED)
def test_questions_change_no_answer(name: str) -> None:
    task, chance = task_of(name, wants_classes=True), random.Random(4)
    asked, quiet = built(name), built(name)
    features = features_of(name, wants_nominal=True)
    task.ask(asked, {"f0": 1.0})
    for case in stream(features, 400, gaps=0.2):
        for _ in range(chance.randrange(3)):
            x: dict[str, Any] = {
                feature.name: "new" if feature.kind == "nominal" else chance.gauss(0.0, 9.0)
                for feature in features
                if chance.random() < 0.7
            }
            task.ask(asked, x)
        assert task.ask(asked, case.x) == task.ask(quiet, case.x)
        for pipeline in (asked, quiet):
            task.learn(pipeline, case.x, case.as_label(task))


@pytest.mark.parametrize("name", ALLOWED)
def test_a_sensor_that_comes_late_leaves_a_model_its_voice(name: str) -> None:
    task, pipeline = task_of(name), built(name)
    late = features_of(name, wants_nominal=True)[2:]
    for number, case in enumerate(stream(features_of(name, wants_nominal=True), 400, gaps=0.1)):
        x = dict(case.x)
        if number < 200:
            for feature in late:
                x.pop(feature.name, None)
        answer = task.ask(pipeline, x)
        assert answer != NO_ANSWER, number
        task.learn(pipeline, x, case.as_label(task))


def test_a_bag_that_has_drawn_no_sample_yet_is_not_broken() -> None:
    task, x = Multiclass(), {"a": 1.0}
    said = set()
    for seed in range(40):
        step = Step(name="ensemble.BaggingClassifier", parameters={"n_models": 2, "seed": seed})
        pipeline = build_pipeline([step], features=(), seed=1)
        task.learn(pipeline, x, "x")
        answer = task.ask(pipeline, x)
        said.add(answer.outcome)
        assert answer == NO_CLASS if answer.outcome is None else answer.outcome == "x"
    assert said == {None, "x"}
    assert NO_CLASS != NO_ANSWER


def test_a_regressor_that_has_no_number_yet_is_not_broken() -> None:
    step = Step(name="forest.AMFRegressor")
    pipeline = build_pipeline([step], features=(), seed=1)
    assert Regression().ask(pipeline, {"a": 1.0}) == NO_CLASS


def spikes(samples: int) -> list[tuple[dict[str, float], bool]]:
    chance, listed = random.Random(2), []
    for number in range(samples):
        is_spike = number > 500 and number % 25 == 0
        value = 60.0 if is_spike else chance.gauss(0.0, 1.0)
        listed.append(({"a": value, "b": chance.gauss(5.0, 0.5)}, is_spike))
    return listed


@pytest.mark.parametrize("name", ["anomaly.GaussianScorer", "anomaly.HalfSpaceTrees"])
def test_what_raises_an_alarm_is_never_learned(name: str) -> None:
    steps = [Step(name="preprocessing.MinMaxScaler")] if ALLOWED[name].needs else []
    filtered = Step(
        name="anomaly.QuantileFilter",
        parameters={"q": 0.9, "anomaly_detector": {name: {}}},
    )
    pipeline = build_pipeline([*steps, filtered], features=(), seed=SEED)
    task, found = Anomaly(), 0
    for x, is_spike in spikes(1_500):
        answer = task.ask(pipeline, x)
        if is_spike:
            found += answer.outcome == "true"
        detector = pipeline.anomaly_detector
        before = dump_state(ModelState(detector, b""))
        task.learn(pipeline, x)
        after = dump_state(ModelState(detector, b""))
        if answer.outcome == "true":
            assert after == before
    assert found >= 20


def test_an_alarm_has_a_score_and_no_probabilities() -> None:
    step = Step(
        name="anomaly.ThresholdFilter",
        parameters={
            "threshold": 0.9,
            "anomaly_detector": {"anomaly.GaussianScorer": {"grace_period": 3}},
        },
    )
    pipeline = build_pipeline([step], features=(), seed=1)
    task = Anomaly()
    for number in range(10):
        task.learn(pipeline, {"a": float(number % 3)})
    assert task.ask(pipeline, {"a": 1e50}) == Answer(1.0, None, "true")
    assert task.ask(pipeline, {"a": 1.0}).outcome == "false"
    assert task.ask(pipeline, {}) == Answer(0.0, None, "false")
    assert task.read_label(True) is None


def test_constant_errors_do_not_break_an_adaptive_tree() -> None:
    parameters: dict[str, Any] = {
        "grace_period": 20,
        "drift_window_threshold": 20,
        "bootstrap_sampling": False,
    }
    step = Step(name="tree.HoeffdingAdaptiveTreeRegressor", parameters=parameters)
    pipeline, chance = build_pipeline([step], features=(), seed=1), random.Random(1)
    for number in range(3_000):
        side = chance.choice([-1.0, 1.0])
        size = 10.0 if number < 500 else 1_000.0
        pipeline.learn_one({"a": side}, chance.gauss(size, 1.0) if side > 0 else 0.0)
        if getattr(pipeline._root, "_alternate_tree", None):
            break
    for node in (pipeline._root, pipeline._root._alternate_tree):
        node._error_tracker = stats.Var()
        for _ in range(30):
            node._error_tracker.update(0.0)
    before = pipeline.predict_one({"a": -1.0})
    river: Any = tree.HoeffdingAdaptiveTreeRegressor
    with pytest.raises(ZeroDivisionError):
        river.learn_one(copy.deepcopy(pipeline), {"a": -1.0}, before)
    pipeline.learn_one({"a": -1.0}, before)
    assert pipeline.predict_one({"a": -1.0}) == before


def test_a_forest_whose_first_event_is_empty_looks_at_one_feature() -> None:
    step = Step(name="forest.ARFClassifier", parameters={"max_features": "log2", "n_models": 2})
    pipeline = build_pipeline([step], features=(), seed=1)
    for number in range(100):
        pipeline.learn_one({"a": float(number % 5)} if number else {}, number % 5 > 2)
    assert pipeline.max_features == 1
    assert pipeline.predict_one({"a": 4.0}) is True


@pytest.mark.parametrize("name", ["forest.AMFClassifier", "forest.AMFRegressor"])
def test_a_deep_mondrian_tree_is_saved_and_comes_back(name: str) -> None:
    step = Step(name=name, parameters={"n_estimators": 1, "max_nodes": 999})
    pipeline = build_pipeline([step], features=(), seed=1)
    task = Regression() if "Regressor" in name else Multiclass()
    for number in range(345):
        task.learn(
            pipeline,
            {"a": (-1.0) ** number * 10.0 ** (number - 300)},
            float(number % 2) if task.name == "regression" else str(number % 2),
        )
    again = load_state(dump_state(ModelState(pipeline, b""))).pipeline
    for number in range(100):
        x = {"a": 2.0**number}
        assert task.ask(again, x) == task.ask(pipeline, x)

"""Laws of every explainer: the same as a new one, the same anywhere, and it changes nothing."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from attribution.oracle import NAMES, SEED, UP, built, cases, taught
from models.cases import features_of, steps_of, stream, task_of
from tidemill.attribution.explained import Explained, Share
from tidemill.attribution.explaining import explainer_of, explainer_of_pipeline
from tidemill.attribution.question import Question
from tidemill.contracts.stream import Feature, Step
from tidemill.models.compiled import quicken
from tidemill.models.families import ALLOWED
from tidemill.models.means import Means
from tidemill.models.outputs import Anomaly, Multiclass, Regression
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.pipelines import build_pipeline
from tidemill.models.state import Blueprint, ModelKey, ModelState

if TYPE_CHECKING:
    from tidemill.models.outputs import Task

EVENTS = 120


def fresh(name: str) -> tuple[Any, list[str], Task]:
    features = features_of(name, wants_nominal=True)
    steps = steps_of(name, wants_nominal=True)
    pipeline = quicken(build_pipeline(steps, features=features, seed=7))
    return pipeline, [feature.name for feature in features], task_of(name, wants_classes=True)


def copied(means: Means | None) -> Means | None:
    return None if means is None else Means.load(means.dump())


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_kept_says_the_same_as_what_is_new_after_every_case(name: str) -> None:
    pipeline, names, task = fresh(name)
    kept = explainer_of_pipeline(pipeline, names, task)
    for n, case in enumerate(stream(features_of(name, wants_nominal=True), EVENTS, gaps=0.1)):
        new = explainer_of_pipeline(pipeline, names, task, copied(kept.means))
        assert kept.explain(case.x, SEED) == new.explain(case.x, SEED)
        if n % 3:
            kept.learning(case.x)
            task.learn(pipeline, case.x, case.as_label(task))
            kept.learned(case.x)


@pytest.mark.parametrize("name", ALLOWED)
def test_a_restored_model_is_explained_to_the_same_bits(name: str) -> None:
    pipeline, names, task = fresh(name)
    explainer = explainer_of_pipeline(pipeline, names, task)
    events = list(stream(features_of(name, wants_nominal=True), EVENTS, gaps=0.1))
    for case in events[:-20]:
        explainer.learning(case.x)
        task.learn(pipeline, case.x, case.as_label(task))
        explainer.learned(case.x)
    again = load_state(dump_state(ModelState(pipeline, b""))).pipeline
    other = explainer_of_pipeline(again, names, task, copied(explainer.means))
    for case in events[-20:]:
        assert explainer.explain(case.x, SEED) == other.explain(case.x, SEED)


@pytest.mark.parametrize("name", ALLOWED)
def test_explaining_changes_nothing_in_the_model(name: str) -> None:
    pipeline, names, task = fresh(name)
    explainer = explainer_of_pipeline(pipeline, names, task)
    for case in stream(features_of(name, wants_nominal=True), EVENTS, gaps=0.1):
        task.ask(pipeline, case.x)
        before = dump_state(ModelState(pipeline, b""))
        means = None if explainer.means is None else explainer.means.dump()
        explainer.explain(case.x, SEED)
        assert dump_state(ModelState(pipeline, b"")) == before
        assert explainer.means is None or explainer.means.dump() == means
        explainer.learning(case.x)
        task.learn(pipeline, case.x, case.as_label(task))
        explainer.learned(case.x)


def say_all() -> None:
    """Print a line for each class: its name, and a digest of what is said of it, to the bit."""
    for name in ALLOWED:
        pipeline, names, task = fresh(name)
        explainer = explainer_of_pipeline(pipeline, names, task)
        digest = hashlib.sha256()
        for n, case in enumerate(stream(features_of(name, wants_nominal=True), EVENTS, gaps=0.1)):
            digest.update(repr(explainer.explain(case.x, str(n).encode())).encode())
            explainer.learning(case.x)
            task.learn(pipeline, case.x, case.as_label(task))
            explainer.learned(case.x)
        print(name, digest.hexdigest())  # noqa: T201 - read by the test


def told(hash_seed: int) -> str:
    """Return what a process of its own, with this order of sets, says of every class."""
    code = "from attribution.test_explainer import say_all; say_all()"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        check=True,
        text=True,
        timeout=900,
    ).stdout


def test_it_says_the_same_under_every_hash_seed() -> None:
    one, other = told(1).splitlines(), told(2).splitlines()
    assert len(one) == len(ALLOWED)
    assert one == other


def test_what_a_filter_keeps_away_is_no_part_of_the_means() -> None:
    parameters: dict[str, Any] = {
        "threshold": 0.99,
        "anomaly_detector": {"anomaly.GaussianScorer": {}},
    }
    detector = built([Step(name="anomaly.ThresholdFilter", parameters=parameters)])
    explainer = taught(detector, [(x, None) for x, _ in cases(150)], Anomaly())
    assert explainer.means is not None
    calm, far = explainer.means.n, dict.fromkeys(NAMES, 1e6)
    explainer.learning(far)

    assert Anomaly().ask(detector, far).outcome == "true"
    assert explainer.means.n == calm
    explained = explainer.explain({**cases(1)[0][0], "b": 1e6}, SEED)
    assert explained is not None
    assert explained.ranked[0].feature == "b"
    assert explained.output_space == "anomaly score"


def test_an_imputed_sensor_is_missing_from_the_event_behind_trees_too() -> None:
    steps: list[str | Step] = ["preprocessing.PreviousImputer", "tree.HoeffdingTreeRegressor"]
    explainer = taught(built(steps), cases(50, task=Regression()), Regression())
    explained = explainer.explain({"a": 1.0, "b": 2.0, "d": 1.0}, SEED)

    assert explained is not None
    assert explained.method == "TREE_PATH"
    assert explained.missing == ("c",)


def test_means_are_kept_where_the_model_does_not_know_them() -> None:
    scaled: list[str | Step] = ["preprocessing.StandardScaler", "linear_model.LinearRegression"]
    ways: tuple[list[str | Step], ...] = (
        scaled,
        scaled[1:],
        ["naive_bayes.GaussianNB"],
        ["dummy.PriorClassifier"],
    )
    kept = [
        explainer_of_pipeline(quicken(built(steps)), NAMES, UP).means is not None for steps in ways
    ]
    assert kept == [False, True, False, True]


def test_a_model_is_explained_by_its_state_and_blueprint() -> None:
    features = (Feature(name="a"), Feature(name="b"))
    steps = [Step(name="linear_model.LinearRegression")]
    blueprint = Blueprint.of("s/champion", steps, features, target="", seed=1)
    state = ModelState.fresh(ModelKey("s", "x", "s/champion"), blueprint)
    means = Means()
    explainer = explainer_of(state, blueprint, Regression(), means)
    explainer.learning({"a": 2.0, "b": 1.0})
    state.pipeline.learn_one({"a": 2.0, "b": 1.0}, 3.0)
    explained = explainer.explain({"b": 1.0, "a": 1.0}, SEED)

    assert explained is not None
    assert explainer.means is means
    assert means.n == 1
    assert [share.feature for share in explained.shares] == ["a", "b"]


def test_a_sampled_answer_that_is_none_is_not_explained() -> None:
    quantile: dict[str, Any] = {"statistic": {"stats.Quantile": {}}}
    pipeline = built([Step(name="dummy.StatisticRegressor", parameters=quantile)])
    explainer = explainer_of_pipeline(pipeline, NAMES, Regression())
    assert pipeline.predict_one({"a": 1.0}) is None
    assert explainer.explain({"a": 1.0}, SEED) is None


def test_of_runners_up_that_score_alike_the_first_by_name_is_compared() -> None:
    question = Question(Multiclass(), ())
    assert question.contrast("c", {"d": 1.0, "b": 1.0, "c": 2.0, "a": 0.5}) == "b"
    assert question.contrast("c", {"b": 1.0, "d": 1.0, "c": 2.0}) == "b"
    assert question.contrast("c", {"c": 2.0}) is None


class Counting:
    """Answers with how many sensors there are."""

    def predict_one(self, x: dict[str, Any]) -> float:
        return float(len(x))


def test_a_sensor_that_was_never_learned_is_left_out_of_the_reference() -> None:
    means = Means()
    means.learn({"a": 1.0})
    explainer = explainer_of_pipeline(Counting(), ["a", "b"], Regression(), means)
    explained = explainer.explain({"a": 2.0, "b": 2.0}, SEED)

    assert explained is not None
    assert (explained.base, explained.prediction) == (1.0, 2.0)
    assert [share.attribution for share in explained.shares] == [0.0, 1.0]


MANY = [f"s{n}" for n in range(12)]


def test_sensors_at_the_reference_do_not_play() -> None:
    means = Means()
    means.learn(dict.fromkeys(MANY, 1.0))
    explainer = explainer_of_pipeline(Counting(), MANY, Regression(), means)
    few = explainer.explain({**dict.fromkeys(MANY, 1.0), "s3": 2.0}, SEED)
    all_of_them = explainer.explain(dict.fromkeys(MANY, 2.0), SEED)

    assert few is not None
    assert all_of_them is not None
    assert (few.exact, few.samples, len(few.shares)) == (True, None, 12)
    assert (all_of_them.exact, all_of_them.samples) == (False, 32)


def test_before_the_first_case_nothing_is_drawn() -> None:
    explainer = explainer_of_pipeline(Counting(), MANY, Regression())
    explained = explainer.explain(dict.fromkeys(MANY, 2.0), SEED)

    assert explained is not None
    assert (explained.base, explained.prediction, explained.exact) == (12.0, 12.0, True)
    assert not any(share.attribution for share in explained.shares)


class Broken:
    """Answers what it is asked with nothing joined with infinity."""

    def predict_one(self, x: dict[str, Any]) -> float:
        return x["a"] if x["a"] else math.inf


def test_an_answer_that_cannot_be_measured_from_the_reference_is_not_explained() -> None:
    means = Means()
    means.learn({"a": 0.0})
    explainer = explainer_of_pipeline(Broken(), ["a"], Regression(), means)
    assert explainer.explain({"a": 1.0}, SEED) is None
    means.learn({"a": 2.0})
    assert explainer.explain({"a": 3.0}, SEED) is not None


def test_shares_are_ranked_by_size_and_sum_up_in_order() -> None:
    shares = (Share("a", 1.0), Share("b", -3.0), Share("c", 3.0))
    explained = Explained("LINEAR", True, "value", 0.5, 2.0, shares, residual=0.25)

    assert [share.feature for share in explained.ranked] == ["b", "c", "a"]
    assert explained.additivity_error == 0.25

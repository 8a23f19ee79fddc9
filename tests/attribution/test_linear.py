"""Linear models: shares are weights times distances from the mean learned, exactly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attribution.oracle import (
    NAMES,
    SEED,
    UP,
    built,
    by_definition,
    cases,
    shares_of,
    taught,
)
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Feature, Step
from tidemill.models.compiled import compiled, slow
from tidemill.models.outputs import NO_ANSWER, Multiclass, Regression

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.models.outputs import Task

SCALER = "preprocessing.StandardScaler"
LINEAR = "linear_model.LinearRegression"
LOGISTIC = "linear_model.LogisticRegression"
AFFINE = [
    [],
    [SCALER],
    ["preprocessing.MinMaxScaler"],
    ["preprocessing.MaxAbsScaler"],
    ["preprocessing.AdaptiveStandardScaler"],
    ["preprocessing.StatImputer"],
    [SCALER, "preprocessing.MinMaxScaler"],
]
PREDICTORS: list[tuple[str | Step, Task]] = [
    (LINEAR, Regression()),
    (LOGISTIC, UP),
    (Step(name=LOGISTIC, parameters={"loss": "optim.losses.Hinge"}), UP),
    ("linear_model.PARegressor", Regression()),
    ("linear_model.PAClassifier", UP),
    ("linear_model.BayesianLinearRegression", Regression()),
    (Step(name="ensemble.BaggingRegressor", parameters={"model": LINEAR}), Regression()),
]
KINDS = ["numbers", "log", "hinge", "PA numbers", "PA classes", "Bayesian", "bag"]
RATE: dict[str, Any] = {"optimizer": {"optim.SGD": {"lr": 0.002}}}


def steady(name: str) -> Step:
    """Return a linear model that unscaled cases do not make diverge."""
    return Step(name=name, parameters=RATE)


def logit(p: float) -> float:
    return math.log(p / (1.0 - p))


def score(pipeline: Any, task: Task, x: dict[str, Any]) -> float:
    """Return the model's own answer, in the space that is explained."""
    answer = task.ask(pipeline, x)
    if answer.value is not None:
        return answer.value
    assert answer.probabilities is not None
    return logit(answer.probabilities["up"])


def mean_case(learned: list[tuple[dict[str, Any], Any]]) -> dict[str, float]:
    table = np.array([[x[name] for name in NAMES] for x, _ in learned])
    return dict(zip(NAMES, map(float, table.mean(axis=0)), strict=True))


def test_a_scaled_model_equals_the_closed_form() -> None:
    learned = cases(300, task=Regression())
    pipeline = built([SCALER, LINEAR])
    x = {"a": 3.0, "b": -1.0, "c": 0.5, "d": 4.0}
    explained = taught(pipeline, learned, Regression()).explain(x, SEED)

    table = np.array([[case[name] for name in NAMES] for case, _ in learned])
    model = pipeline["LinearRegression"]
    weights = np.array([model.weights[name] for name in NAMES])
    z = (np.array([x[name] for name in NAMES]) - table.mean(axis=0)) / table.std(axis=0)
    assert explained is not None
    assert shares_of(explained) == pytest.approx(list(weights * z), rel=1e-9)
    assert explained.base == model.intercept
    assert explained.prediction == pipeline.predict_one(x)
    assert (explained.method, explained.exact, explained.output_space) == ("LINEAR", True, "value")
    assert (explained.reference_kind, explained.reference_n) == ("running mean", 300)


@pytest.mark.parametrize("before", AFFINE, ids=lambda steps: "+".join(steps) or "bare")
@pytest.mark.parametrize(("predictor", "task"), PREDICTORS, ids=KINDS)
def test_shares_equal_all_subsets_with_the_mean_of_the_learned_cases(
    before: list[str | Step], predictor: str | Step, task: Task
) -> None:
    learned = [
        ({name: value / 10.0 for name, value in x.items()}, y) for x, y in cases(60, task=task)
    ]
    pipeline = built([*before, predictor])
    explainer, mean = taught(pipeline, learned, task), mean_case(learned)
    x, _ = cases(1, seed=9)[0]
    x = {name: value / 10.0 for name, value in x.items()}
    explained = explainer.explain(x, SEED)

    def value(joined: frozenset[str]) -> float:
        return score(pipeline, task, {n: x[n] if n in joined else mean[n] for n in NAMES})

    assert explained is not None
    scale = max(1.0, *map(abs, shares_of(explained)), abs(explained.base))
    assert shares_of(explained) == pytest.approx(by_definition(value, NAMES), abs=1e-12 * scale)
    assert explained.base == pytest.approx(value(frozenset()), abs=1e-12 * scale)
    assert explained.prediction == pytest.approx(value(frozenset(NAMES)), abs=1e-12 * scale)
    assert explained.additivity_error <= 1e-14 * scale


@pytest.mark.parametrize("before", [[], [SCALER]], ids=["bare", "scaled"])
@pytest.mark.parametrize(("name", "task"), [(LINEAR, Regression()), (LOGISTIC, UP)])
def test_the_compiled_form_is_explained_as_river_is_to_the_bit(
    before: list[str | Step], name: str, task: Task
) -> None:
    river, fast = built([*before, steady(name)]), compiled(built([*before, steady(name)]))
    if slow(fast) is fast:
        return  # the package was built without a compiler
    one, other = (explainer_of_pipeline(model, NAMES, task) for model in (river, fast))
    for number, (x, y) in enumerate(cases(200, task=task)):
        seen = {n: v for n, v in x.items() if n != NAMES[number % 7 % 4] or number % 7 > 3}
        assert one.explain(seen, SEED) == other.explain(seen, SEED)
        for model, explainer in ((river, one), (fast, other)):
            explainer.learning(seen)
            task.learn(model, seen, y)
            explainer.learned(seen)


def test_log_odds_are_the_logit_of_the_probability_of_the_positive_class() -> None:
    pipeline = built([SCALER, LOGISTIC])
    explainer = taught(pipeline, cases(200), UP)
    for x, _ in cases(50, seed=2):
        explained = explainer.explain(x, SEED)
        p = pipeline.predict_proba_one(x)[True]
        assert explained is not None
        assert 1.0 / (1.0 + math.exp(-explained.prediction)) == pytest.approx(p, abs=1e-15)
        assert (explained.target_class, explained.contrast_class) == ("up", "down")
        assert explained.output_space == "log-odds"


def test_log_odds_go_on_where_river_answers_with_certainty() -> None:
    pipeline = built([steady(LOGISTIC)])
    explainer = taught(pipeline, cases(200), UP)
    x = {"a": 1e4, "b": 0.0, "c": 0.0, "d": 0.0}
    explained = explainer.explain(x, SEED)

    assert pipeline.predict_proba_one(x)[True] == 1.0
    assert explained is not None
    assert explained.prediction > 30.0
    assert explained.additivity_error <= 1e-9 * explained.prediction


def test_a_link_follows_the_loss() -> None:
    straight = built([Step(name=LOGISTIC, parameters={"loss": "optim.losses.Squared", **RATE})])
    bent = built([Step(name=LINEAR, parameters={"loss": "optim.losses.Log", **RATE})])
    x = cases(1, seed=3)[0][0]
    one = taught(straight, cases(50), UP).explain(x, SEED)
    other = taught(bent, [(x, y > 0) for x, y in cases(50, task=Regression())], Regression())
    two = other.explain(x, SEED)

    assert one is not None
    assert two is not None
    assert (one.output_space, one.target_class) == ("probability", "up")
    assert one.prediction == straight.predict_proba_one(x)[True]
    assert (two.output_space, two.target_class) == ("log-odds", None)
    assert two.prediction == pytest.approx(logit(bent.predict_one(x)), abs=1e-9)


def test_softmax_compares_the_predicted_class_with_the_runner_up() -> None:
    task, pipeline = Multiclass(), built([SCALER, "linear_model.SoftmaxRegression"])
    explainer = taught(pipeline, cases(300, task=task), task)
    for x, _ in cases(30, seed=4):
        explained = explainer.explain(x, SEED)
        scores = pipeline.predict_proba_one(x)
        first, second, _ = sorted(scores, key=scores.get, reverse=True)
        assert explained is not None
        assert (explained.target_class, explained.contrast_class) == (first, second)
        assert explained.prediction == pytest.approx(math.log(scores[first] / scores[second]))
        weights = pipeline["SoftmaxRegression"].weights
        z = pipeline["StandardScaler"].transform_one(x)
        centre = {n: sum(w[n] for w in weights.values()) / 3 for n in NAMES}
        centred = {c: [(w[n] - centre[n]) * z[n] for n in NAMES] for c, w in weights.items()}
        told = [a - b for a, b in zip(centred[first], centred[second], strict=True)]
        assert shares_of(explained) == pytest.approx(told, abs=1e-12)


def test_softmax_with_one_class_says_that_nothing_moved_it() -> None:
    task = Multiclass()
    explainer = taught(built(["linear_model.SoftmaxRegression"]), [({"a": 1.0}, "low")], task)
    explained = explainer.explain({"a": 2.0}, SEED)

    assert explained is not None
    assert (explained.base, explained.prediction, shares_of(explained)) == (1.0, 1.0, [0.0])
    assert (explained.output_space, explained.target_class) == ("probability", "low")


def test_the_positive_class_is_explained_before_it_ever_came() -> None:
    explainer = taught(built(["linear_model.SoftmaxRegression"]), [({"a": 1.0}, False)], UP)
    explained = explainer.explain({"a": 2.0}, SEED)

    assert explained is not None
    assert (explained.prediction, explained.target_class) == (0.0, "up")


def test_before_the_first_case_nothing_has_moved_the_answer() -> None:
    model = Step(name=LINEAR, parameters={"intercept_init": 2.5})
    explained = explainer_of_pipeline(built([model]), NAMES, Regression()).explain({"a": 1.0}, SEED)

    assert explained is not None
    assert (explained.base, explained.prediction) == (2.5, 2.5)
    assert shares_of(explained) == [0.0]
    softmax = built(["linear_model.SoftmaxRegression"])
    assert explainer_of_pipeline(softmax, NAMES, UP).explain({"a": 1.0}, SEED) is None


def test_a_model_that_diverged_has_nothing_to_explain() -> None:
    pipeline = built([LINEAR])
    explainer = taught(pipeline, [({"a": 1e40}, 1.0)] * 30, Regression())

    assert Regression().ask(pipeline, {"a": 10.0}) == NO_ANSWER
    assert explainer.explain({"a": 10.0}, SEED) is None
    fast = explainer_of_pipeline(compiled(pipeline), NAMES, Regression())
    assert fast.explain({"a": 10.0}, SEED) is None


def without(x: dict[str, Any], name: str) -> dict[str, Any]:
    return {n: value for n, value in x.items() if n != name}


def test_a_missing_sensor_adds_what_the_model_takes_it_for() -> None:
    learned, x = cases(100, task=Regression()), {"a": 1.0, "c": 2.0, "d": 3.0}
    said = {}
    ways: dict[str, list[str | Step]] = {
        "bare": [steady(LINEAR)],
        "scaled": [SCALER, LINEAR],
        "imputed": ["preprocessing.PreviousImputer", steady(LINEAR)],
    }
    for way, steps in ways.items():
        pipeline = built(steps)
        explained = taught(pipeline, learned, Regression()).explain(x, SEED)
        assert explained is not None
        assert explained.missing == ("b",)
        assert [share.feature for share in explained.shares] == list(NAMES)
        assert explained.prediction == pipeline.predict_one(x)
        model = getattr(pipeline, "steps", {"LinearRegression": pipeline})["LinearRegression"]
        said[way] = explained.shares[1].attribution, model.weights["b"]

    mean, last = mean_case(learned)["b"], learned[-1][0]["b"]
    assert said["bare"][0] == pytest.approx(-said["bare"][1] * mean, rel=1e-12)
    assert said["scaled"][0] == 0.0
    assert said["imputed"][0] == pytest.approx(said["imputed"][1] * (last - mean), rel=1e-12)


def encoded_cases(count: int) -> list[tuple[dict[str, Any], Any]]:
    recipes = ["slow", "fast", "fast", "auto"]
    return [
        ({**x, "recipe": recipes[n % 4]}, y + (1.0 if n % 4 == 0 else 0.0))
        for n, (x, y) in enumerate(cases(count, task=Regression()))
    ]


@pytest.mark.parametrize("scaler", [[], [SCALER], ["preprocessing.MinMaxScaler"]])
@pytest.mark.parametrize("encoder", ["OneHotEncoder", "OrdinalEncoder"])
def test_what_is_encoded_belongs_to_the_sensor_it_comes_from(
    encoder: str, scaler: list[str | Step]
) -> None:
    features = (*(Feature(name=name) for name in NAMES), Feature(name="recipe", kind="nominal"))
    pipeline = built([f"preprocessing.{encoder}", *scaler, steady(LINEAR)], features)
    learned = encoded_cases(200)
    x = {**learned[7][0], "recipe": "slow"}
    explained = taught(pipeline, learned, Regression()).explain(x, SEED)

    def given(case: dict[str, Any]) -> dict[str, Any]:
        for step in list(pipeline.steps.values())[:-1]:
            case = step.transform_one(case)
        return case

    columns = [column for column in given(x) if column.startswith("recipe=")]
    is_centred = SCALER in scaler
    means = {
        c: 0.0 if is_centred else float(np.mean([given(case)[c] for case, _ in learned]))
        for c in columns
    }
    weights = pipeline["LinearRegression"].weights
    told = sum(weights[c] * (given(x)[c] - means[c]) for c in columns)
    assert len(columns) == (3 if encoder == "OneHotEncoder" else 1)
    assert explained is not None
    assert [share.feature for share in explained.shares] == [*NAMES, "recipe"]
    assert shares_of(explained)[-1] == pytest.approx(told, abs=1e-12)
    assert explained.prediction == pipeline.predict_one(x)
    assert explained.additivity_error <= 1e-12


def test_a_bag_of_logistic_models_is_not_linear() -> None:
    bag = Step(name="ensemble.BaggingClassifier", parameters={"model": LOGISTIC, "n_models": 3})
    pipeline = built([bag])
    explained = taught(pipeline, cases(50), UP).explain(cases(1, seed=8)[0][0], SEED)

    assert explained is not None
    assert (explained.method, explained.output_space) == ("SAMPLED", "probability")


def test_a_bag_of_models_with_a_bent_link_is_not_linear() -> None:
    model: dict[str, Any] = {LINEAR: {"loss": "optim.losses.Log", **RATE}}
    pipeline = built([Step(name="ensemble.BaggingRegressor", parameters={"model": model})])
    learned = [(x, y > 0) for x, y in cases(50, task=Regression())]
    explained = taught(pipeline, learned, Regression()).explain(cases(1, seed=8)[0][0], SEED)

    assert explained is not None
    assert (explained.method, explained.exact) == ("SAMPLED", True)
    assert explained.additivity_error <= 1e-12


def test_shares_follow_the_reference_and_not_the_seed() -> None:
    make: Callable[[], Any] = lambda: built([steady(LINEAR)])  # noqa: E731 - a new one each time
    x = cases(1, seed=6)[0][0]
    few = taught(make(), cases(50, task=Regression()), Regression())
    assert few.explain(x, b"one") == few.explain(x, b"other")
    assert few.means is not None
    few.means.learn({"a": 100.0})
    moved = few.explain(x, b"one")
    assert moved is not None
    assert moved.reference_n == 51
    assert moved.additivity_error <= 1e-12

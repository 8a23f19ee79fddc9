"""State to bytes and back: the same answers, and nothing but River's classes."""

from __future__ import annotations

import gc
import math
import os
import pickle
import random
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.kernel.errors import InvariantError
from tidemill.models.pickles import dump_state, load_state, own_method
from tidemill.models.state import Blueprint, ModelKey, ModelState

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURES = tuple(Feature(name=f"f{n}") for n in range(3))
KEY = ModelKey("s", "site/a|b", "s/champion")
PIPELINES = {
    "linear": (["preprocessing.StandardScaler", "linear_model.LinearRegression"], False),
    "logistic": (["preprocessing.MinMaxScaler", "linear_model.LogisticRegression"], True),
    "adaptive": (["preprocessing.AdaptiveStandardScaler", "linear_model.LinearRegression"], False),
    "max": (["preprocessing.MaxAbsScaler", "linear_model.LinearRegression"], False),
    "classifier": (["tree.HoeffdingTreeClassifier"], True),
    "regressor": (["tree.HoeffdingTreeRegressor"], False),
}


def taught(name: str, samples: int) -> ModelState:
    steps, is_binary = PIPELINES[name]
    blueprint = Blueprint.of(
        "s/champion", [Step(name=s) for s in steps], FEATURES, target="", seed=1
    )
    state = ModelState.fresh(KEY, blueprint)
    teach(state, is_binary, random.Random(1), samples)
    return state


def teach(state: ModelState, is_binary: bool, rng: random.Random, samples: int) -> list[Any]:
    answers = []
    for _ in range(samples):
        x = {feature.name: rng.gauss(0, 1) for feature in FEATURES}
        y = x["f0"] * 3 if x["f1"] > 0 else -x["f2"]
        label = y > 0 if is_binary else y
        ask = state.pipeline.predict_proba_one if is_binary else state.pipeline.predict_one
        answers.append(ask(x))
        state.pipeline.learn_one(x, label)
        state.advance(b"x")
    return answers


@pytest.mark.parametrize("name", PIPELINES)
def test_a_restored_state_answers_and_learns_to_the_same_bits(name: str) -> None:
    state = taught(name, 800)
    again = load_state(dump_state(state))

    assert (again.lineage, again.version) == (state.lineage, state.version)
    is_binary = PIPELINES[name][1]
    live = teach(state, is_binary, random.Random(2), 600)
    assert teach(again, is_binary, random.Random(2), 600) == live
    assert again.lineage == state.lineage


def steep(number: int) -> tuple[dict[str, float], float]:
    """Return a sample of a counter that rises for ever, under a label that swings."""
    return {"f0": float(number)}, math.sin(number / 170)


def flat(number: int) -> tuple[dict[str, float], float]:
    """Return a sample of such a counter, under a label that has nothing to do with it."""
    return {"f0": float(number)}, random.Random(number).random()


@pytest.mark.parametrize(
    ("sample", "samples", "grace_period"), [(steep, 25_000, 50), (flat, 3_000, 1_000_000)]
)
def test_a_tree_over_a_value_that_rises_for_ever_is_saved_and_comes_back(
    sample: Callable[[int], tuple[dict[str, float], float]], samples: int, grace_period: int
) -> None:
    step = Step(name="tree.HoeffdingTreeRegressor", parameters={"grace_period": grace_period})
    state = ModelState.fresh(KEY, Blueprint.of("s/champion", [step], FEATURES, target="", seed=1))
    for number in range(samples):
        state.pipeline.learn_one(*sample(number))

    again = load_state(dump_state(state))

    for number in range(samples, samples + 300):
        x, y = sample(number)
        assert again.pipeline.predict_one(x) == state.pipeline.predict_one(x)
        again.pipeline.learn_one(x, y)
        state.pipeline.learn_one(x, y)


def test_a_search_tree_that_is_none_of_ours_is_refused() -> None:
    spelled = b"\x80\x05ctidemill.models.pickles\nsearch_tree\n](KKKKet\x85R."
    with pytest.raises(InvariantError):
        load_state(spelled)


def test_the_garbage_collector_is_on_again_after_a_load_that_fails() -> None:
    assert gc.isenabled()
    with pytest.raises(InvariantError):
        load_state(b"no state")
    assert gc.isenabled()
    load_state(dump_state(taught("linear", 1)))
    assert gc.isenabled()


def test_a_kept_method_that_is_none_of_rivers_is_refused() -> None:
    with pytest.raises(InvariantError, match="a kept method must be one of"):
        load_state(pickle.dumps(Named("mro", dict)))


class Named:
    """What a forged state would hold to reach a method of its choice."""

    def __init__(self, name: str, owner: Any) -> None:
        self.name, self.owner = name, owner

    def __reduce__(self) -> tuple[Any, tuple[Any, str]]:
        return own_method, (self.owner, self.name)


def test_random_numbers_that_nobody_draws_are_not_saved() -> None:
    step = Step(name="naive_bayes.GaussianNB")
    state = ModelState.fresh(KEY, Blueprint.of("s/champion", [step], FEATURES, target="", seed=1))
    for number in range(50):
        state.pipeline.learn_one({"f0": float(number % 7), "f1": 1.0}, number % 2 == 0)
    data = dump_state(state)

    assert len(data) < 2_000
    gaussian = load_state(data).pipeline.gaussians[True]["f0"]
    assert gaussian.n_samples == 25
    assert gaussian.mu == state.pipeline.gaussians[True]["f0"].mu


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


def test_a_state_that_would_run_a_foreign_function_is_refused() -> None:
    with pytest.raises(InvariantError, match="classes of River only"):
        load_state(pickle.dumps((Evil(), b"", 0, 0, {}, False, -1)))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("river.utils.pretty", "os.system"),
        ("river.datasets.base", "Dataset"),
        ("builtins", "eval"),
        ("os", "system"),
        ("functools", "reduce"),
    ],
)
def test_only_named_classes_come_back(module: str, name: str) -> None:
    spelled = b"\x80\x04\x8c" + bytes((len(module),)) + module.encode()
    spelled += b"\x8c" + bytes((len(name),)) + name.encode() + b"\x93."
    with pytest.raises(InvariantError):
        load_state(spelled)


def test_a_key_names_its_model_whatever_the_asset_is_called() -> None:
    assert ModelKey.decode(KEY.encode()) == KEY

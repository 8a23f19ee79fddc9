"""State to bytes and back: the same answers, and nothing but River's classes."""

from __future__ import annotations

import os
import pickle
import random
from typing import Any

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.kernel.errors import InvariantError
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import Blueprint, ModelKey, ModelState

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

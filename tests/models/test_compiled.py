"""The compiled linear models hold River to the last bit, and River computes where they are not."""

from __future__ import annotations

import math
import random
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, optim, preprocessing, tree

from tidemill.contracts.stream import Feature, Step
from tidemill.models import compiled as module
from tidemill.models.compiled import compiled, is_trusted, quicken, slow
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import Blueprint, ModelKey, ModelState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_compiled = pytest.mark.skipif(
    module.Linear is None, reason="the package was installed without a compiler: River computes"
)

PARAMETERS = [
    {},
    {"l2": 0.01},
    {"clip_gradient": 0.5},
    {"optimizer": 0.5, "intercept_lr": 0.0, "intercept_init": -3.0},
]


@pytest.fixture
def forgets_trust() -> Iterator[None]:
    is_trusted.cache_clear()
    yield
    is_trusted.cache_clear()


def build(*, is_scaled: bool, is_binary: bool, parameters: dict[str, float]) -> Any:
    given_parameters: dict[str, Any] = dict(parameters)
    if "optimizer" in given_parameters:
        given_parameters["optimizer"] = optim.SGD(given_parameters["optimizer"])
    cls = linear_model.LogisticRegression if is_binary else linear_model.LinearRegression
    model = cls(**given_parameters)
    return preprocessing.StandardScaler() | model if is_scaled else model


def bits(answer: float | dict[bool, float]) -> object:
    if isinstance(answer, dict):
        return {label: bits(p) for label, p in answer.items()}
    return "nan" if math.isnan(answer) else struct.pack("<d", answer)


def ask(model: Any, x: dict[str, float], *, is_binary: bool) -> object:
    return bits(model.predict_proba_one(x) if is_binary else model.predict_one(x))


numbers = st.floats(-1e50, 1e50) | st.floats(-10.0, 10.0)
events = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional=dict.fromkeys("abcd", numbers)),
        numbers,
        st.sampled_from([1.0, 1.0, 0.5, 20.0]),
    ),
    max_size=30,
)


@needs_compiled
@settings(max_examples=150, deadline=None)
@given(
    events=events,
    is_scaled=st.booleans(),
    is_binary=st.booleans(),
    parameters=st.sampled_from(PARAMETERS),
)
def test_any_events_at_all_get_the_same_bits(
    events: list[tuple[dict[str, float], float, float]],
    is_scaled: bool,
    is_binary: bool,
    parameters: dict[str, float],
) -> None:
    def one() -> Any:
        return build(is_scaled=is_scaled, is_binary=is_binary, parameters=parameters)

    river, fast = one(), compiled(one())
    assert type(fast) is module.Linear
    for x, number, weight in events:
        y = number > 0 if is_binary else number
        assert ask(river, x, is_binary=is_binary) == ask(fast, x, is_binary=is_binary)
        for model in (river, fast):
            model.learn_one(x, y, **({} if weight == 1.0 else {"w": weight}))


@needs_compiled
@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize("is_binary", [False, True])
def test_changing_between_both_forms_at_any_event_changes_no_bit(
    is_scaled: bool, is_binary: bool
) -> None:
    chance = random.Random(1)
    parameters = {"l2": 0.001}
    river = build(is_scaled=is_scaled, is_binary=is_binary, parameters=parameters)
    mixed = build(is_scaled=is_scaled, is_binary=is_binary, parameters=parameters)
    for _ in range(3_000):
        x = {name: chance.gauss(0.0, 0.1) for name in "abcdef" if chance.random() < 0.9}
        y = sum(x.values()) + chance.gauss(0.0, 0.1)
        assert ask(river, x, is_binary=is_binary) == ask(mixed, x, is_binary=is_binary)
        for model in (river, mixed):
            model.learn_one(x, y > 0 if is_binary else y)
        if chance.random() < 0.05:
            mixed = slow(mixed) if type(mixed) is module.Linear else compiled(mixed)
    assert slow(mixed) is not river


@needs_compiled
def test_a_refused_case_leaves_the_model_as_it_was() -> None:
    fast = compiled(build(is_scaled=True, is_binary=False, parameters={}))
    fast.learn_one({"a": 1.0, "b": 2.0}, 3.0)
    before = fast.give()
    for x, y in (({"a": 1.0, "b": "much"}, 3.0), ({"a": 1.0}, "three")):
        with pytest.raises(TypeError):
            fast.learn_one(x, y)
    assert fast.give() == before


def pipelines_of_others() -> dict[str, Callable[[], Any]]:
    scaler, linear = preprocessing.StandardScaler, linear_model.LinearRegression
    logistic = linear_model.LogisticRegression
    return {
        "l1": lambda: scaler() | linear(l1=0.1),
        "other optimiser": lambda: scaler() | linear(optimizer=optim.Adam()),
        "other loss": lambda: scaler() | linear(loss=optim.losses.Huber()),
        "weighted classes": lambda: logistic(loss=optim.losses.Log(weight_pos=2.0)),
        "changing rate": lambda: linear(optimizer=optim.SGD(optim.schedulers.InverseScaling(0.1))),
        "window": lambda: scaler(window_size=9) | linear(),
        "centred": lambda: scaler(with_std=False) | linear(),
        "other scaler": lambda: preprocessing.MinMaxScaler() | linear(),
        "three steps": lambda: compose.Pipeline(scaler(), preprocessing.MinMaxScaler(), linear()),
        "tree": tree.HoeffdingTreeRegressor,
        "scaled tree": lambda: scaler() | tree.HoeffdingTreeRegressor(),
    }


@pytest.mark.parametrize("name", pipelines_of_others())
def test_whatever_is_not_compiled_stays_rivers(name: str) -> None:
    pipeline = pipelines_of_others()[name]()
    assert compiled(pipeline) is pipeline
    assert slow(pipeline) is pipeline


@needs_compiled
def test_one_bit_of_difference_at_the_start_leaves_all_to_river(
    forgets_trust: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rounding(module.Linear):  # type: ignore[misc]  # Any where unbuilt
        def predict_one(self, x: dict[str, float]) -> float:
            return math.nextafter(super().predict_one(x), math.inf)

    monkeypatch.setattr(module, "Linear", Rounding)
    pipeline = build(is_scaled=True, is_binary=False, parameters={})

    assert not is_trusted()
    assert quicken(pipeline) is pipeline


def test_without_a_compiler_states_are_the_same(
    forgets_trust: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["preprocessing.StandardScaler", "linear_model.LogisticRegression"]
    features = (Feature(name="a"), Feature(name="b"))
    blueprint = Blueprint.of(
        "s/champion", [Step(name=s) for s in steps], features, target="", seed=1
    )

    def taught(cases: int, state: ModelState) -> ModelState:
        chance = random.Random(cases)
        for _ in range(cases):
            x = {"a": chance.gauss(0, 1), "b": chance.gauss(0, 1)}
            state.pipeline.learn_one(x, x["a"] > x["b"])
        return load_state(dump_state(state))

    key = ModelKey("s", "a", "s/champion")
    here = taught(200, taught(300, ModelState.fresh(key, blueprint)))
    is_trusted.cache_clear()
    monkeypatch.setattr(module, "Linear", None)
    there = taught(200, taught(300, ModelState.fresh(key, blueprint)))

    assert type(there.pipeline) is compose.Pipeline
    x = {"a": 0.3, "b": 0.2}
    assert ask(here.pipeline, x, is_binary=True) == ask(there.pipeline, x, is_binary=True)

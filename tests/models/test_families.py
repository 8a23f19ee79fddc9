"""Laws that every allowed class keeps: River's bits, any restore, any process, bounded, whole."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cases import (
    BINARY,
    DETECTORS,
    LINEAR,
    PARAMETERS,
    PLAIN,
    SEED,
    features_of,
    steps_of,
    stream,
    task_of,
    tree,
)
from models.snapshot_table import rows
from tidemill.contracts.stream import Step
from tidemill.models.entries import NEVER
from tidemill.models.families import ALLOWED
from tidemill.models.outputs import NO_ANSWER, NO_CLASS, takes_weights
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.pipelines import build_pipeline, check_steps, nominal_problems
from tidemill.models.state import ModelState

if TYPE_CHECKING:
    from tidemill.models.outputs import Answer, Task

# Trees that split as long as they learn: their bound is the memory budget.
GROWING = {name for name in ALLOWED if name.startswith(("tree.", "forest.ARF", "ensemble."))} - {
    "ensemble.BaggingRegressor"  # of linear models, in these cases
}


def built(name: str, **wanted: bool) -> Any:
    return build_pipeline(steps_of(name, **wanted), features=features_of(name, **wanted), seed=SEED)


def restored(pipeline: Any) -> Any:
    return load_state(dump_state(ModelState(pipeline, b""))).pipeline


def is_nan(said: Any) -> bool:
    return isinstance(said, float) and math.isnan(said)


def same(task: Task, answer: Answer, said: Any) -> bool:
    """Return whether an answer is to the bit what River said."""
    if task is BINARY:
        keys = {"no": False, "yes": True}
        return bool({keys[key]: p for key, p in (answer.probabilities or {}).items()} == said)
    return bool(answer.value == said) or (said is None and answer is NO_CLASS)


def test_every_allowed_class_is_tried() -> None:
    assert set(PARAMETERS) == set(PLAIN) == set(ALLOWED)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_built_has_no_problem(name: str) -> None:
    task = task_of(name)
    assert check_steps(steps_of(name), task.name) == []
    assert nominal_problems(steps_of(name), features_of(name)) == []


@pytest.mark.parametrize("name", ALLOWED)
def test_it_answers_and_learns_as_plain_river_does_through_restores(name: str) -> None:
    task, plain, pipeline = task_of(name), PLAIN[name](), built(name)
    for number, case in enumerate(stream(features_of(name), 1_200)):
        y = case.as_label(task)
        answer = task.ask(pipeline, case.x)
        said = plain.ask(case.x)
        if number or not is_nan(said):  # River's scaler makes NaN before it has learned
            assert same(task, answer, said), number
        task.learn(pipeline, case.x, y)
        plain.learn(case.x, y)
        if number % 157 == 3:
            pipeline = restored(pipeline)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_named_as_a_parameter_is_rivers(detector: str) -> None:
    parameters: dict[str, Any] = {"grace_period": 20, "drift_detector": detector}
    step = Step(name="tree.HoeffdingAdaptiveTreeClassifier", parameters=parameters)
    assert check_steps([step], "binary") == []
    pipeline = build_pipeline([step], features=(), seed=SEED)
    plain = tree.HoeffdingAdaptiveTreeClassifier(
        grace_period=20,
        drift_detector=DETECTORS[detector](),
        max_depth=60,
        memory_estimate_period=NEVER,
        seed=SEED,
    )
    for number, case in enumerate(stream(features_of(step.name), 800)):
        y = case.as_label(BINARY)
        assert same(BINARY, BINARY.ask(pipeline, case.x), plain.predict_proba_one(case.x))
        BINARY.learn(pipeline, case.x, y)
        plain.learn_one(case.x, y)
        if number % 157 == 3:
            pipeline = restored(pipeline)


@pytest.mark.parametrize("scaler", ["MinMaxScaler", "MaxAbsScaler"])
def test_a_scaler_with_a_window_comes_back(scaler: str) -> None:
    step = Step(name=f"preprocessing.{scaler}", parameters={"window_size": 9})
    steps = [step, Step(name=LINEAR)]
    assert check_steps(steps, "regression") == []
    task, live = task_of(LINEAR), build_pipeline(steps, features=(), seed=SEED)
    again = live
    for number, case in enumerate(stream(features_of(LINEAR), 200)):
        again = restored(live) if number == 100 else again
        assert task.ask(again, case.x) == task.ask(live, case.x)
        for pipeline in {id(live): live, id(again): again}.values():
            task.learn(pipeline, case.x, case.score)


def bits_of(name: str) -> str:
    """Return a digest of all that a class says of a stream with gaps, categories and classes."""
    task, pipeline = task_of(name, wants_classes=True), built(name, wants_nominal=True)
    digest = hashlib.sha256()
    for number, case in enumerate(stream(features_of(name, wants_nominal=True), 500, gaps=0.1)):
        answer = task.ask(pipeline, case.x)
        digest.update(repr(answer).encode())
        task.learn(pipeline, case.x, case.as_label(task))
        if number == 250:
            pipeline = restored(pipeline)
    return digest.hexdigest()


TELL = """
from models.test_families import bits_of
from tidemill.models.families import ALLOWED
for name in ALLOWED:
    print(name, bits_of(name))
"""


@pytest.fixture(scope="module")
def told() -> list[dict[str, str]]:
    """What processes with different orders of sets say of every class."""
    said = []
    for hash_seed in ("1", "2"):
        path = os.pathsep.join(sys.path)
        done = subprocess.run(
            [sys.executable, "-c", TELL],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            capture_output=True,
            check=False,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        said.append(dict(line.split() for line in done.stdout.splitlines()))
    return said


@pytest.mark.parametrize("name", ALLOWED)
def test_it_says_the_same_under_every_hash_seed(name: str, told: list[dict[str, str]]) -> None:
    assert told[0][name] == told[1][name]


@pytest.mark.parametrize("name", sorted(set(ALLOWED) - GROWING))
def test_its_state_levels_off(name: str) -> None:
    task, pipeline = task_of(name, wants_classes=True), built(name, wants_nominal=True)
    sizes = []
    for number, case in enumerate(stream(features_of(name, wants_nominal=True), 3_000)):
        task.learn(pipeline, case.x, case.as_label(task))
        if number in {1_499, 2_999}:
            sizes.append(len(dump_state(ModelState(pipeline, b""))))
    assert sizes[1] <= sizes[0] * 1.02 + 64


numbers = st.sampled_from([1e50, -1e50, 1e-300, -1e-300, 0.0, 1.0]) | st.floats(-10.0, 10.0)
events = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional=dict.fromkeys(("f0", "f1", "f2"), numbers)),
        st.none() | st.sampled_from("abcdefgh"),
        numbers,
        st.sampled_from([1.0, 1.0, 1e-6, 20.0, 1e6]),
    ),
    max_size=60,
)


@pytest.mark.parametrize("name", ALLOWED)
@settings(max_examples=25, deadline=None)
@given(events=events, wants_classes=st.booleans())
def test_no_event_makes_it_raise(name: str, events: list[Any], wants_classes: bool) -> None:
    task, pipeline = task_of(name, wants_classes=wants_classes), built(name, wants_nominal=True)
    takes_recipe = len(features_of(name, wants_nominal=True)) > 3
    for number, (x, recipe, score, weight) in enumerate(events):
        seen = {**x, "recipe": recipe} if recipe and takes_recipe else dict(x)
        answer = task.ask(pipeline, seen)
        for said in (answer.value or 0.0, *(answer.probabilities or {}).values()):
            assert math.isfinite(said)
        if number and answer == NO_ANSWER:
            continue
        label = {"regression": score, "binary": score > 0}.get(task.name, recipe or "none")
        task.learn(pipeline, seen, label, weight)


@pytest.mark.parametrize("name", [n for n in ALLOWED if ALLOWED[n].role != "transformer"])
def test_it_takes_weights_where_the_list_says_so(name: str) -> None:
    steps = [step for step in steps_of(name) if "ensemble" not in name] or [Step(name=name)]
    pipeline = build_pipeline(steps, features=(), seed=1)
    assert takes_weights(pipeline) == ALLOWED[name].weights


def test_the_table_of_snapshots_has_a_line_for_every_class() -> None:
    lines = list(rows(20))[2:]
    assert [line.split()[1] for line in lines] == list(ALLOWED)

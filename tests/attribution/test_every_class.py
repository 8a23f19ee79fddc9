"""Every allowed class can say why, and what its shares add up to is what it really answered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from attribution.rows import DATA_SETS
from models.cases import ENCODER, LINEAR, PARAMETERS
from tidemill.attribution.explained import OUTPUT_SPACES
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Step
from tidemill.models.compiled import quicken
from tidemill.models.families import ALLOWED
from tidemill.models.means import keeps_means
from tidemill.models.outputs import NO_ANSWER, NO_CLASS
from tidemill.models.pipelines import build_pipeline, check_steps, nominal_problems

if TYPE_CHECKING:
    from attribution.rows import DataSet
    from tidemill.attribution.explained import Explained, Method
    from tidemill.models.outputs import Answer

ROWS = 400
EXPLAIN_EVERY = 7
SCALER = "preprocessing.StandardScaler"
BOUNDS: dict[Method, float] = {"TREE_PATH": 1e-6}
BOUND = 1e-9


def steps_for(name: str, data: DataSet) -> list[Step]:
    """Return the pipeline of a class on a data set, scaled where its readings are large."""
    own = Step(name=name, parameters=PARAMETERS[name])
    entry, is_small = ALLOWED[name], data.name.startswith("elec")
    has_texts = any(feature.kind == "nominal" for feature in data.features)
    encoder = [Step(name=ENCODER)] if has_texts else []
    scaler = [] if is_small else [Step(name=SCALER)]
    if entry.role == "transformer":
        first = [own] if entry.nominal else [*encoder, own]
        then = encoder if entry.nominal and not entry.encodes else []
        return [*first, *then, *scaler, Step(name=LINEAR)]
    if entry.needs:
        return [Step(name=entry.needs), own]
    return [own] if not nominal_problems([own], data.features) else [*encoder, *scaler, own]


def pairs() -> list[Any]:
    found = []
    for name in ALLOWED:
        wanted = ALLOWED[name].tasks or {"regression"}
        sets = [data for data in DATA_SETS if data.task.name in wanted]
        if ALLOWED[name].role == "transformer":
            sets += [data for data in DATA_SETS if data.name == "ai4i failure"]
        found += [pytest.param(name, data, id=f"{name}-{data.name}") for data in sets]
    return found


def really(explained: Explained, answer: Answer) -> float | None:
    """Return what the model answered, in the space of the explanation; None where it is infinite.

    Of log-odds beyond 30 River's probabilities are 0 and 1.
    """
    if explained.output_space in {"value", "anomaly score"}:
        return answer.value
    assert answer.probabilities is not None
    p = answer.probabilities.get(explained.target_class or "", 0.0)
    if explained.output_space in {"probability", "vote share"}:
        return p
    q = answer.probabilities[explained.contrast_class or ""]
    return math.log(p / q) if p > 1e-4 and q > 1e-4 else None


def errors_of(name: str, data: DataSet) -> tuple[list[float], set[Method]]:
    """Return how far explanations are from adding up, relative, and the methods they name."""
    steps = steps_for(name, data)
    if ALLOWED[name].role == "transformer" and data.task.name == "binary":
        steps[-1] = Step(name="linear_model.LogisticRegression")
    assert check_steps(steps, data.task.name) == []
    assert nominal_problems(steps, data.features) == []
    names = [feature.name for feature in data.features]
    pipeline = quicken(build_pipeline(steps, features=data.features, seed=3))
    explainer = explainer_of_pipeline(pipeline, names, data.task)
    errors: list[float] = []
    methods: set[Method] = set()
    for number, (x, y) in enumerate(data.rows(ROWS)):
        if number % EXPLAIN_EVERY == 0:
            answer = data.task.ask(pipeline, x)
            explained = explainer.explain(x, str(number).encode())
            assert (explained is None) == (answer in (NO_CLASS, NO_ANSWER))
            if explained is not None:
                check_shape(explained, names, x)
                errors.append(relative_error(explained, answer))
                methods.add(explained.method)
        explainer.learning(x)
        data.task.learn(pipeline, x, y)
        explainer.learned(x)
    return errors, methods


def check_shape(explained: Explained, names: list[str], x: dict[str, Any]) -> None:
    listed = [share.feature for share in explained.shares]
    assert listed == [name for name in names if name in x or name in explained.missing]
    assert not set(explained.missing) & set(x)
    assert explained.output_space in OUTPUT_SPACES
    assert explained.residual == 0.0 or not explained.exact


def relative_error(explained: Explained, answer: Answer) -> float:
    said = really(explained, answer)
    if said is not None:
        bound = BOUNDS.get(explained.method, BOUND)
        assert explained.prediction == pytest.approx(said, rel=bound, abs=bound)
    return explained.additivity_error / max(1.0, abs(explained.prediction))


@pytest.mark.parametrize(("name", "data"), pairs())
def test_shares_add_up_to_what_the_class_answers(name: str, data: DataSet) -> None:
    errors, methods = errors_of(name, data)

    assert len(errors) > ROWS // EXPLAIN_EVERY / 2
    assert max(errors) <= max(BOUNDS.get(method, BOUND) for method in methods)


def test_every_allowed_class_is_tried() -> None:
    assert {param.values[0] for param in pairs()} == set(ALLOWED)


@pytest.mark.parametrize(("name", "data"), pairs())
def test_a_model_that_is_explained_from_means_keeps_them(name: str, data: DataSet) -> None:
    steps = steps_for(name, data)
    pipeline = quicken(build_pipeline(steps, features=data.features, seed=1))
    names = [feature.name for feature in data.features]
    if explainer_of_pipeline(pipeline, names, data.task).means is not None:
        assert keeps_means(steps)

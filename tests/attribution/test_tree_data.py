"""On the public data sets the shares of trees add up to what the models really answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attribution.rows import DATA_SETS
from models.cases import ENCODER
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Step
from tidemill.models.families import ALLOWED
from tidemill.models.pipelines import build_pipeline

if TYPE_CHECKING:
    from attribution.rows import DataSet

BOUND = 1e-6
ROWS = 1_200
EXPLAIN_EVERY = 5
FRESH_EVERY = 40

_CLASSES = {"leaf_prediction": "mc", "grace_period": 50, "delta": 1e-3}
_NUMBERS = {"leaf_prediction": "mean", "grace_period": 50, "delta": 1e-3}
_FOREST = {"n_models": 4, "lambda_value": 3}

MODELS: dict[str, dict[str, Any]] = {
    "tree.HoeffdingTreeClassifier": _CLASSES,
    "tree.HoeffdingAdaptiveTreeClassifier": _CLASSES,
    "tree.HoeffdingTreeRegressor": _NUMBERS,
    "tree.HoeffdingAdaptiveTreeRegressor": _NUMBERS,
    "forest.ARFClassifier": {**_CLASSES, **_FOREST},
    "forest.ARFRegressor": {**_NUMBERS, **_FOREST},
    "forest.AMFClassifier": {"n_estimators": 4, "max_nodes": 61},
    "forest.AMFRegressor": {"n_estimators": 4, "max_nodes": 61},
    "ensemble.BaggingClassifier": {
        "n_models": 4,
        "model": {"tree.HoeffdingTreeClassifier": _CLASSES},
    },
    "ensemble.BaggingRegressor": {
        "n_models": 4,
        "model": {"tree.HoeffdingTreeRegressor": _NUMBERS},
    },
    "ensemble.LeveragingBaggingClassifier": {
        "n_models": 4,
        "w": 3,
        "model": {"tree.HoeffdingTreeClassifier": _CLASSES},
    },
    "anomaly.HalfSpaceTrees": {"n_trees": 6, "height": 7, "window_size": 100},
}

PAIRS = [
    pytest.param(name, data, id=f"{name}-{data.name}".replace(" ", "-"))
    for name in MODELS
    for data in DATA_SETS
    if data.task.name in ALLOWED[name].tasks
]


def steps_for(name: str, data: DataSet) -> list[Step]:
    """Return the pipeline; categories are encoded where the model takes none, readings scaled."""
    own = Step(name=name, parameters=MODELS[name])
    is_nominal = any(feature.kind == "nominal" for feature in data.features)
    encoder = [Step(name=ENCODER)] if is_nominal and not ALLOWED[name].nominal else []
    scales = ALLOWED[name].needs or name.startswith("forest.AMF")
    return [*encoder, *([Step(name="preprocessing.MinMaxScaler")] if scales else []), own]


@pytest.mark.parametrize(("name", "data"), PAIRS)
def test_shares_add_up_and_nothing_kept_is_stale(name: str, data: DataSet) -> None:
    worst, compared = worst_error(name, data, ROWS)
    assert worst <= BOUND
    assert compared > ROWS // FRESH_EVERY / 2


def worst_error(name: str, data: DataSet, rows: int) -> tuple[float, int]:
    """Return by how much shares missed an answer at worst, and how often they were compared."""
    pipeline = build_pipeline(steps_for(name, data), features=data.features, seed=3)
    names = [feature.name for feature in data.features]
    explainer = explainer_of_pipeline(pipeline, names, data.task)
    worst, compared = 0.0, 0
    for number, (x, y) in enumerate(data.rows(rows)):
        if number % EXPLAIN_EVERY == 0:
            said = explainer.explain(x, b"")
            if said is not None:
                assert said.method == "TREE_PATH"
                assert said.exact
                scale = max(1.0, abs(said.prediction))
                worst = max(worst, said.additivity_error / scale)
            if number % FRESH_EVERY == 0 and said is not None:
                fresh = explainer_of_pipeline(pipeline, names, data.task).explain(x, b"")
                assert repr(said) == repr(fresh)
                compared += 1
        data.task.learn(pipeline, x, y)
        explainer.learned(x)
    return worst, compared

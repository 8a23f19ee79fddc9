"""Models of trees, small ones that split, reset and swap often, and streams that make them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from river import anomaly, drift, ensemble, forest, tree

from tidemill.models import steady
from tidemill.models.outputs import Anomaly, Binary, Multiclass, Regression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidemill.models.outputs import Task

NUMBERS = ("s0", "s1", "s2", "s3")
OWNER = {name: name for name in (*NUMBERS, "recipe")}
RECIPES = ("slow", "fast", "auto", "hand", "test")
BINARY = Binary("false", "true")
GAPS = 0.15


@dataclass(frozen=True, slots=True)
class Row:
    """One case, how high it is, and by how much all are raised just then."""

    x: dict[str, Any]
    height: float
    raised: float

    def label(self, task: Task) -> Any:
        """Return what a model of this task learns."""
        if task.name == "regression":
            return self.height + self.raised
        return self.height > 1.0 if task.name == "binary" else self._kind

    @property
    def _kind(self) -> str:
        return f"c{min(2, max(0, int(self.height * 1.5)))}"


@dataclass(frozen=True, slots=True)
class Case:
    """A model to try.

    Attributes:
        events: What must have happened to it by the end of its stream.
    """

    name: str
    build: Callable[[], Any]
    task: Task
    events: Callable[[Any], dict[str, int]]
    has_texts: bool = False
    rows: int = 800


def stream(count: int, *, has_texts: bool = False, seed: int = 3) -> Iterator[Row]:
    """Yield cases whose rule turns round every 200, some without some features.

    Numbers are raised whenever it has turned.

    Recipes come into use one after the other.
    """
    rng = random.Random(seed)
    for n in range(count):
        x: dict[str, Any] = {name: rng.random() for name in NUMBERS}
        turn = -1.0 if n // 200 % 2 else 1.0
        y = 0.7 + turn * (x["s0"] - 0.3) + 0.8 * (x["s1"] > 0.5) + rng.gauss(0, 0.05)
        if has_texts:
            x["recipe"] = rng.choice(RECIPES[: 2 + n // 120])
            y += 0.5 * (x["recipe"] in ("slow", "auto"))
        yield Row({name: v for name, v in x.items() if rng.random() > GAPS}, y, 1.5 - 1.5 * turn)


def leaves(model: Any) -> int:
    """Return how many leaves the trees of a model have."""
    trees = [model] if hasattr(model, "_root") else list(getattr(model, "trees", None) or model)
    roots = [getattr(one, "_root", one) for one in trees]
    return sum(sum(1 for _ in root.iter_leaves()) for root in roots if root is not None)


def _grown(model: Any) -> dict[str, int]:
    return {"splits": leaves(model) - 1}


def _swapped(model: Any) -> dict[str, int]:
    return {
        "splits": leaves(model) - 1,
        "alternates": model.n_alternate_trees,
        "swaps": model.n_switch_alternate_trees,
    }


def _alternated(model: Any) -> dict[str, int]:
    return {"splits": leaves(model) - 1, "alternates": model.n_alternate_trees}


def _reset(model: Any) -> dict[str, int]:
    return {"splits": leaves(model) - 1, "resets": model.n_drifts_detected()}


def _changed(model: Any) -> dict[str, int]:
    return {"splits": leaves(model) - 1, "resets": model.n_detected_changes}


def _windows(model: Any) -> dict[str, int]:
    return {"windows": int(not model._first_window)}


_adwin: Any = drift.ADWIN  # Any: River carries no types
_none: Any = drift.NoDrift  # Any: as above
EAGER = _adwin(0.5, clock=1, grace_period=5)
MORE_EAGER = _adwin(0.9, clock=1, grace_period=5)

GROWTH: dict[str, Any] = {"grace_period": 20, "delta": 0.05, "tau": 0.1, "max_depth": 5}
ADAPTIVE: dict[str, Any] = {
    **GROWTH,
    "drift_detector": EAGER,
    "drift_window_threshold": 5,
    "switch_significance": 0.3,
    "seed": 5,
}
FOREST: dict[str, Any] = {
    **GROWTH,
    "n_models": 3,
    "lambda_value": 2,
    "drift_detector": EAGER,
    "warning_detector": MORE_EAGER,
    "seed": 5,
}
# Without a tree in the background the place of one that was reset stays empty for a while.
BARE = {**FOREST, "warning_detector": _none()}
MEAN: dict[str, Any] = {"aggregation_method": "mean", "leaf_prediction": "mean"}


def _classes(**more: Any) -> Any:
    return tree.HoeffdingTreeClassifier(**{**GROWTH, "leaf_prediction": "mc", **more})


def _numbers(**more: Any) -> Any:
    return tree.HoeffdingTreeRegressor(**{**GROWTH, "leaf_prediction": "mean", **more})


def _steady_classes(**more: Any) -> Any:
    parameters = {"leaf_prediction": "mc", "nominal_attributes": ["recipe"]}
    return steady.SteadyTreeClassifier(**{**GROWTH, **parameters, **more})


def _adaptive_classes(**more: Any) -> Any:
    parameters = {**ADAPTIVE, "leaf_prediction": "mc", **more}
    return steady.SteadyAdaptiveTreeClassifier(**parameters)


def _adaptive_numbers(**more: Any) -> Any:
    parameters = {**ADAPTIVE, "leaf_prediction": "mean", **more}
    return steady.SteadyAdaptiveTreeRegressor(**parameters)


def _forest(**more: Any) -> Any:
    return steady.SteadyForestClassifier(**{**FOREST, "leaf_prediction": "mc", **more})


def _number_forest(**more: Any) -> Any:
    return steady.SteadyForestRegressor(**{**FOREST, **MEAN, **more})


def _leaf_model() -> Any:
    return steady.SteadyLeafModel()


def _spaces() -> Any:
    limits: Any = dict.fromkeys(NUMBERS, (0.0, 1.0))  # Any: as above
    return steady.SteadyHalfSpaceTrees(n_trees=3, height=4, window_size=50, limits=limits, seed=5)


TEXTS: dict[str, Any] = {"nominal_attributes": ["recipe"]}
LEVERAGED: dict[str, Any] = {"n_models": 3, "w": 2, "adwin_delta": 0.9, "seed": 5}

CASES = (
    Case("tree", _classes, BINARY, _grown),
    Case("tree of classes", _classes, Multiclass(), _grown),
    Case("tree of texts", _steady_classes, BINARY, _grown, has_texts=True),
    Case(
        "tree of texts in two",
        lambda: _steady_classes(binary_split=True),
        BINARY,
        _grown,
        has_texts=True,
    ),
    Case("number tree", _numbers, Regression(), _grown),
    Case("number tree of texts", lambda: _numbers(**TEXTS), Regression(), _grown, has_texts=True),
    Case(
        "number tree in many",
        lambda: _numbers(splitter=tree.splitter.QOSplitter(0.25, allow_multiway_splits=True)),
        Regression(),
        _grown,
    ),
    Case("linear leaves", lambda: _numbers(leaf_prediction="model"), Regression(), _grown),
    Case(
        "linear leaves and texts",
        lambda: _numbers(leaf_prediction="model", leaf_model=_leaf_model(), **TEXTS),
        Regression(),
        _grown,
        has_texts=True,
    ),
    Case("choosing leaves", lambda: _numbers(leaf_prediction="adaptive"), Regression(), _grown),
    Case("adaptive tree", _adaptive_classes, BINARY, _swapped),
    Case(
        "adaptive tree of texts",
        lambda: _adaptive_classes(**TEXTS),
        Multiclass(),
        _alternated,
        has_texts=True,
    ),
    Case("adaptive number tree", _adaptive_numbers, Regression(), _swapped),
    Case(
        "adaptive linear leaves",
        lambda: _adaptive_numbers(leaf_prediction="model"),
        Regression(),
        _alternated,
    ),
    Case("forest", _forest, BINARY, _reset),
    Case("forest of texts", lambda: _forest(**TEXTS), Multiclass(), _reset, has_texts=True),
    Case(
        "bare forest",
        lambda: steady.SteadyForestClassifier(**{**BARE, "leaf_prediction": "mc"}),
        BINARY,
        _reset,
    ),
    Case("unweighted forest", lambda: _forest(disable_weighted_vote=True), BINARY, _reset),
    Case("number forest", _number_forest, Regression(), _reset),
    Case(
        "bare number forest",
        lambda: steady.SteadyForestRegressor(**{**BARE, **MEAN}),
        Regression(),
        _reset,
    ),
    Case(
        "linear number forest",
        lambda: _number_forest(leaf_prediction="adaptive"),
        Regression(),
        _reset,
    ),
    Case(
        "bag",
        lambda: ensemble.BaggingClassifier(_classes(), n_models=3, seed=5),
        BINARY,
        _grown,
    ),
    Case(
        "number bag",
        lambda: ensemble.BaggingRegressor(_numbers(), n_models=3, seed=5),
        Regression(),
        _grown,
    ),
    Case(
        "leveraged bag",
        lambda: ensemble.LeveragingBaggingClassifier(_classes(), **LEVERAGED),
        BINARY,
        _changed,
    ),
    Case(
        "bag of adaptive trees",
        lambda: ensemble.BaggingClassifier(_adaptive_classes(), n_models=2, seed=5),
        BINARY,
        _grown,
        rows=400,
    ),
    Case(
        "mondrian forest",
        lambda: steady.SteadyMondrianClassifier(n_estimators=3, max_nodes=25, seed=5),
        Multiclass(),
        _grown,
        rows=150,
    ),
    Case(
        "plain mondrian forest",
        lambda: steady.SteadyMondrianClassifier(
            n_estimators=3, max_nodes=25, use_aggregation=False, seed=5
        ),
        BINARY,
        _grown,
        rows=150,
    ),
    Case(
        "mondrian number forest",
        lambda: forest.AMFRegressor(n_estimators=3, max_nodes=25, seed=5),
        Regression(),
        _grown,
        rows=150,
    ),
    Case("half-space trees", _spaces, Anomaly(), _windows, rows=220),
    Case(
        "river's own half-space trees",
        lambda: anomaly.HalfSpaceTrees(n_trees=3, height=4, window_size=50, seed=5),
        Anomaly(),
        _windows,
        rows=220,
    ),
)


def learn(model: Any, row: Row, task: Task) -> None:
    """Let a model learn a case."""
    if task.name == "anomaly":
        model.learn_one(row.x)
    else:
        model.learn_one(row.x, row.label(task))

"""Every allowed class: how a definition names it, and the same as plain River, written apart."""

from __future__ import annotations

import random
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.stream import Feature, Step
from tidemill.models.entries import NEVER
from tidemill.models.families import ALLOWED
from tidemill.models.outputs import Anomaly, Binary, Multiclass, Regression, Task
from tidemill.models.pipelines import nominal_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _module(name: str) -> Any:
    """Return a module of River's, which carries no types."""
    return import_module(f"river.{name}")


SEED = 7

anomaly, drift, dummy, ensemble, forest, linear_model, naive_bayes, neighbors = (
    _module(name)
    for name in (
        "anomaly",
        "drift",
        "dummy",
        "ensemble",
        "forest",
        "linear_model",
        "naive_bayes",
        "neighbors",
    )
)
preprocessing, stats, tree = map(_module, ("preprocessing", "stats", "tree"))

NAMES = ("f0", "f1", "f2")
NUMERIC = tuple(Feature(name=name) for name in NAMES)
RECIPE = Feature(name="recipe", kind="nominal")
BINARY = Binary("no", "yes")
ENCODER = "preprocessing.OneHotEncoder"
LINEAR = "linear_model.LinearRegression"
TREE: dict[str, Any] = {"grace_period": 20}
GROWN: dict[str, Any] = {"max_depth": 60, "memory_estimate_period": NEVER}
GAUSS = {"anomaly.GaussianScorer": {"grace_period": 20}}
ENGINE = {"neighbors.LazySearch": {"window_size": 30}}

# Parameters of each class in a definition, small enough for the class to show all it does.
PARAMETERS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ALLOWED},
    **{name: TREE for name in ALLOWED if name.startswith("tree.")},
    "forest.ARFClassifier": {"n_models": 3},
    "forest.ARFRegressor": {"n_models": 3},
    "forest.AMFClassifier": {"n_estimators": 2, "max_nodes": 31},
    "forest.AMFRegressor": {"n_estimators": 2, "max_nodes": 31},
    "ensemble.BaggingClassifier": {
        "n_models": 3,
        "model": {"tree.HoeffdingAdaptiveTreeClassifier": TREE},
    },
    "ensemble.BaggingRegressor": {"n_models": 3, "model": "linear_model.PARegressor"},
    "ensemble.LeveragingBaggingClassifier": {
        "n_models": 3,
        "model": {"tree.HoeffdingTreeClassifier": TREE},
    },
    "neighbors.KNNClassifier": {"engine": ENGINE},
    "neighbors.KNNRegressor": {"engine": ENGINE},
    "anomaly.HalfSpaceTrees": {"window_size": 25, "n_trees": 4, "height": 5},
    "anomaly.GaussianScorer": {"grace_period": 20},
    "anomaly.QuantileFilter": {"q": 0.9, "anomaly_detector": GAUSS},
    "anomaly.ThresholdFilter": {"threshold": 0.95, "anomaly_detector": GAUSS},
}


def task_of(name: str, *, wants_classes: bool = False) -> Task:
    """Return a task that a class can do; a transformer stands before a regression."""
    tasks = ALLOWED[name].tasks
    if "anomaly" in tasks:
        return Anomaly()
    if not tasks or "regression" in tasks:
        return Regression()
    return Multiclass() if wants_classes and "multiclass" in tasks else BINARY


def steps_of(name: str, *, wants_nominal: bool = False) -> list[Step]:
    """Return the pipeline that a definition would make of a class."""
    step = Step(name=name, parameters=PARAMETERS[name])
    needed = ALLOWED[name].needs
    if needed:
        return [Step(name=needed), step]
    if ALLOWED[name].role != "transformer":
        return [step]
    passes_on = wants_nominal and ALLOWED[name].nominal and not ALLOWED[name].encodes
    return [step, *([Step(name=ENCODER)] if passes_on else []), Step(name=LINEAR)]


def features_of(name: str, *, wants_nominal: bool = False) -> tuple[Feature, ...]:
    """Return the features to show a class: nominal ones where it takes them."""
    both = (*NUMERIC, RECIPE)
    is_asked = wants_nominal or ALLOWED[name].encodes
    is_refused = nominal_problems(steps_of(name, wants_nominal=wants_nominal), both)
    return both if is_asked and not is_refused else NUMERIC


class Case(NamedTuple):
    """One event and its label as a number; `as_label` makes the task's own of it."""

    x: dict[str, Any]
    score: float

    def as_label(self, task: Task) -> Any:
        """Return the label that the task learns."""
        match task:
            case Regression():
                return self.score
            case Multiclass():
                return "low" if self.score < -1 else "high" if self.score > 1 else "middle"
            case _:
                return self.score > 0


def stream(features: tuple[Feature, ...], samples: int, *, gaps: float = 0.0) -> Iterator[Case]:
    """Yield events under a rule that turns round in the middle, now and then far outside."""
    chance = random.Random(3)
    for number in range(samples):
        x: dict[str, Any] = {}
        for feature in features:
            if chance.random() < gaps:
                continue
            far = 20.0 if chance.random() < 0.01 else 1.0
            nominal = chance.choice(["slow", "fast", "auto", "hand"])
            x[feature.name] = nominal if feature.kind == "nominal" else chance.gauss(0.0, far)
        turn = 1.0 if number < samples / 2 else -1.0
        score = turn * (x.get("f0", 0.0) + 0.5 * x.get("f1", 0.0)) + chance.gauss(0.0, 0.2)
        yield Case(x, score + (0.5 if x.get("recipe") == "slow" else 0.0))


class Plain:
    """A loop over one plain River model: ask, then learn."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def ask(self, x: dict[str, Any]) -> Any:
        """Return what River says: a number, or probabilities."""
        classes = getattr(self.model, "predict_proba_one", None)
        try:
            return classes(x) if classes is not None else self.model.predict_one(x)
        except AttributeError:  # a pipeline whose last step has no classes
            return self.model.predict_one(x)

    def learn(self, x: dict[str, Any], y: Any) -> None:
        """Teach the model."""
        self.model.learn_one(x, y)


class PlainFilter:
    """Detectors and a quantile, in a loop: what scores high is not learned."""

    def __init__(self, detector: Any, quantile: float) -> None:
        self.model = anomaly.QuantileFilter(detector, q=quantile)

    def ask(self, x: dict[str, Any]) -> Any:
        """Return the score."""
        return self.model.score_one(x)

    def learn(self, x: dict[str, Any], _y: Any) -> None:
        """Teach the detector what is no alarm."""
        self.model.learn_one(x)


class PlainScorers:
    """One of River's scorers per feature, and a limit on the largest score."""

    def __init__(self, make: Callable[[], Any], quantile: float, threshold: float = 0.0) -> None:
        self.scorers = {name: make() for name in NAMES}
        self.quantile = stats.Quantile(quantile) if quantile else None
        self.threshold = threshold

    def ask(self, x: dict[str, Any]) -> Any:
        """Return the largest score."""
        return max(self.scorers[name].score_one(None, value) for name, value in x.items())

    def learn(self, x: dict[str, Any], _y: Any) -> None:
        """Teach every scorer what is no alarm."""
        score = self.ask(x)
        limit = self.threshold
        if self.quantile is not None:
            limit = self.quantile.get() or float("inf")
            self.quantile.update(score)
        if score < limit:
            for name, value in x.items():
                self.scorers[name].learn_one(None, value)


class PlainEncoder:
    """A linear model over numbers, and one encoder of the recipe beside it."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self.model = linear_model.LinearRegression()

    def _encoded(self, x: dict[str, Any]) -> dict[str, Any]:
        known = self.encoder.values.get("recipe=", ())
        recipe = {"recipe=": x["recipe"]} if x["recipe"] in known else {}
        numbers = {name: value for name, value in x.items() if name != "recipe"}
        return {**self.encoder.transform_one(recipe), **numbers}

    def ask(self, x: dict[str, Any]) -> Any:
        """Return the number."""
        return self.model.predict_one(self._encoded(x))

    def learn(self, x: dict[str, Any], y: Any) -> None:
        """Teach encoder and model."""
        self.encoder.learn_one({"recipe=": x["recipe"]})
        self.model.learn_one(self._encoded(x), y)


def _linear(scaler: Any) -> Plain:
    return Plain(scaler | linear_model.LinearRegression())


def _engine() -> Any:
    return neighbors.LazySearch(window_size=30)


def _half_spaces() -> Any:
    trees = anomaly.HalfSpaceTrees(window_size=25, n_trees=4, height=5, seed=SEED)
    return preprocessing.MinMaxScaler() | trees


def _scorer() -> Any:
    return anomaly.GaussianScorer(grace_period=20)


PLAIN: dict[str, Callable[[], Any]] = {
    "preprocessing.StandardScaler": lambda: _linear(preprocessing.StandardScaler()),
    "preprocessing.MinMaxScaler": lambda: _linear(preprocessing.MinMaxScaler()),
    "preprocessing.MaxAbsScaler": lambda: _linear(preprocessing.MaxAbsScaler()),
    "preprocessing.AdaptiveStandardScaler": lambda: _linear(preprocessing.AdaptiveStandardScaler()),
    "preprocessing.OneHotEncoder": lambda: PlainEncoder(preprocessing.OneHotEncoder()),
    "preprocessing.OrdinalEncoder": lambda: PlainEncoder(preprocessing.OrdinalEncoder()),
    "preprocessing.StatImputer": lambda: _linear(
        preprocessing.StatImputer(*((name, stats.Mean()) for name in NAMES))
    ),
    "preprocessing.PreviousImputer": lambda: _linear(preprocessing.PreviousImputer()),
    "linear_model.LinearRegression": lambda: Plain(linear_model.LinearRegression()),
    "linear_model.LogisticRegression": lambda: Plain(linear_model.LogisticRegression()),
    "linear_model.PARegressor": lambda: Plain(linear_model.PARegressor()),
    "linear_model.PAClassifier": lambda: Plain(linear_model.PAClassifier()),
    "linear_model.BayesianLinearRegression": lambda: Plain(linear_model.BayesianLinearRegression()),
    "linear_model.SoftmaxRegression": lambda: Plain(linear_model.SoftmaxRegression()),
    "tree.HoeffdingTreeClassifier": lambda: Plain(tree.HoeffdingTreeClassifier(**TREE, **GROWN)),
    "tree.HoeffdingTreeRegressor": lambda: Plain(tree.HoeffdingTreeRegressor(**TREE, **GROWN)),
    "tree.HoeffdingAdaptiveTreeClassifier": lambda: Plain(
        tree.HoeffdingAdaptiveTreeClassifier(**TREE, **GROWN, seed=SEED)
    ),
    "tree.HoeffdingAdaptiveTreeRegressor": lambda: Plain(
        tree.HoeffdingAdaptiveTreeRegressor(**TREE, **GROWN, seed=SEED)
    ),
    "forest.ARFClassifier": lambda: Plain(forest.ARFClassifier(n_models=3, seed=SEED, **GROWN)),
    "forest.ARFRegressor": lambda: Plain(
        forest.ARFRegressor(n_models=3, aggregation_method="mean", seed=SEED, **GROWN)
    ),
    "forest.AMFClassifier": lambda: Plain(
        forest.AMFClassifier(n_estimators=2, max_nodes=31, seed=SEED)
    ),
    "forest.AMFRegressor": lambda: Plain(
        forest.AMFRegressor(n_estimators=2, max_nodes=31, seed=SEED)
    ),
    "ensemble.BaggingClassifier": lambda: Plain(
        ensemble.BaggingClassifier(
            tree.HoeffdingAdaptiveTreeClassifier(**TREE, **GROWN, seed=SEED), 3, SEED
        )
    ),
    "ensemble.BaggingRegressor": lambda: Plain(
        ensemble.BaggingRegressor(linear_model.PARegressor(), 3, SEED)
    ),
    "ensemble.LeveragingBaggingClassifier": lambda: Plain(
        ensemble.LeveragingBaggingClassifier(
            tree.HoeffdingTreeClassifier(**TREE, **GROWN), 3, seed=SEED
        )
    ),
    "naive_bayes.GaussianNB": lambda: Plain(naive_bayes.GaussianNB()),
    "naive_bayes.BernoulliNB": lambda: Plain(naive_bayes.BernoulliNB()),
    "neighbors.KNNClassifier": lambda: Plain(neighbors.KNNClassifier(engine=_engine())),
    "neighbors.KNNRegressor": lambda: Plain(neighbors.KNNRegressor(engine=_engine())),
    "dummy.NoChangeClassifier": lambda: Plain(dummy.NoChangeClassifier()),
    "dummy.PriorClassifier": lambda: Plain(dummy.PriorClassifier()),
    "dummy.StatisticRegressor": lambda: Plain(dummy.StatisticRegressor(stats.Mean())),
    "anomaly.HalfSpaceTrees": lambda: PlainFilter(_half_spaces(), 0.99),
    "anomaly.GaussianScorer": lambda: PlainScorers(_scorer, 0.99),
    "anomaly.QuantileFilter": lambda: PlainScorers(_scorer, 0.9),
    "anomaly.ThresholdFilter": lambda: PlainScorers(_scorer, 0.0, 0.95),
}

DETECTORS: dict[str, Any] = {
    "drift.ADWIN": drift.ADWIN,
    "drift.KSWIN": lambda: drift.KSWIN(seed=SEED),
    "drift.NoDrift": drift.NoDrift,
    "drift.PageHinkley": drift.PageHinkley,
}

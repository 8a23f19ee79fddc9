"""Every family that a definition may name: how it names it, and the same in plain River."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.data import LOOP_FEATURES
from chaos.machine_rows import GRADE, MODES
from chaos.plain_models import (
    PlainClasses,
    PlainEncoded,
    PlainFilter,
    PlainMinMax,
    PlainNumber,
    PlainScorers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos.plain_models import Plain

SEED = 7
FLOW, GAPS, POWER, MACHINE, GRADED = "flow", "gaps", "power", "machine", "graded"
BINARY = ("0", "1")
SCALER = "preprocessing.StandardScaler"
# As the product sets them in every tree: the budget decides, and no tree is too deep to be saved.
GROWN: dict[str, Any] = {"max_depth": 60, "memory_estimate_period": 1 << 62}
WINDOW = 200

(  # Any: River carries no types
    anomaly,
    dummy,
    ensemble,
    forest,
    linear_model,
    naive_bayes,
    neighbors,
    preprocessing,
    stats,
    tree,
) = (
    import_module(f"river.{name}")
    for name in (
        "anomaly",
        "dummy",
        "ensemble",
        "forest",
        "linear_model",
        "naive_bayes",
        "neighbors",
        "preprocessing",
        "stats",
        "tree",
    )
)

FIXED = "by the number of features"
FEW = "by the numbers of features and classes"
NODES = "max_nodes of each tree"
BUDGET = "memory budget of the definition; depth at most 60"
NEAR = f"window of {WINDOW}"


class Family(NamedTuple):
    """One class of River on one stream.

    Attributes:
        steps: Its pipeline, as a definition names it.
        plain: The same in plain River.
        bound: What bounds its state.
    """

    sheet: str
    cls: str
    steps: list[Any]  # Any: names, and parameters by name
    plain: Callable[[], Plain]
    bound: str

    @property
    def name(self) -> str:
        """Its model's name, within the stream."""
        return self.cls.rpartition(".")[2].lower()


def _scaled(cls: str, **parameters: Any) -> list[Any]:  # Any: River's parameters
    return [SCALER, {cls: parameters}]


def _behind(model: Any) -> Any:  # Any: River's
    return preprocessing.StandardScaler() | model


def _behind_it(cls: Any) -> Callable[[], Any]:  # Any: River's
    return lambda: _behind(cls())


def _bag_of_it(cls: Any) -> Callable[[], Any]:  # Any: River's
    return lambda: cls(tree.HoeffdingTreeClassifier(**GROWN), n_models=5, seed=SEED)


def _before_a_line(cls: Any, plain: type[PlainNumber]) -> Callable[[], Plain]:  # Any: River's
    return lambda: plain(cls() | linear_model.LinearRegression())


def _encoded_by_it(cls: Any) -> Callable[[], Plain]:  # Any: River's
    return lambda: PlainEncoded(cls(), _behind(linear_model.LogisticRegression()), BINARY, GRADE)


def _engine() -> Any:  # Any: as above
    return neighbors.LazySearch(window_size=WINDOW)


def _numbers() -> Iterator[Family]:
    """Yield the regressions."""

    def family(cls: str, steps: list[Any], make: Callable[[], Any], bound: str) -> Family:
        return Family(FLOW, cls, steps, lambda: PlainNumber(make()), bound)

    for name in ("LinearRegression", "PARegressor", "BayesianLinearRegression"):
        cls = getattr(linear_model, name)
        path = f"linear_model.{name}"
        yield family(path, _scaled(path), _behind_it(cls), FIXED)
    yield family(
        "tree.HoeffdingTreeRegressor",
        ["tree.HoeffdingTreeRegressor"],
        lambda: tree.HoeffdingTreeRegressor(**GROWN),
        BUDGET,
    )
    yield family(
        "tree.HoeffdingAdaptiveTreeRegressor",
        [{"tree.HoeffdingAdaptiveTreeRegressor": {"seed": SEED}}],
        lambda: tree.HoeffdingAdaptiveTreeRegressor(**GROWN, seed=SEED),
        BUDGET,
    )
    yield family(
        "forest.ARFRegressor",
        [{"forest.ARFRegressor": {"seed": SEED}}],
        lambda: forest.ARFRegressor(aggregation_method="mean", seed=SEED, **GROWN),
        BUDGET,
    )
    yield family(
        "forest.AMFRegressor",
        [{"forest.AMFRegressor": {"seed": SEED}}],
        lambda: forest.AMFRegressor(max_nodes=200, seed=SEED),
        NODES,
    )
    yield family(
        "ensemble.BaggingRegressor",
        [{"ensemble.BaggingRegressor": {"seed": SEED}}],
        lambda: ensemble.BaggingRegressor(tree.HoeffdingTreeRegressor(**GROWN), seed=SEED),
        BUDGET,
    )
    yield family(
        "neighbors.KNNRegressor",
        _scaled("neighbors.KNNRegressor", engine={"neighbors.LazySearch": {"window_size": WINDOW}}),
        lambda: _behind(neighbors.KNNRegressor(engine=_engine())),
        NEAR,
    )
    yield family(
        "dummy.StatisticRegressor",
        ["dummy.StatisticRegressor"],
        lambda: dummy.StatisticRegressor(stats.Mean()),
        "one number",
    )


def _transformers() -> Iterator[Family]:
    """Yield what may stand before a model: scalers, imputers on rows with gaps, encoders."""
    line, logistic = "linear_model.LinearRegression", "linear_model.LogisticRegression"
    for name in ("StandardScaler", "MaxAbsScaler", "AdaptiveStandardScaler", "MinMaxScaler"):
        cls = getattr(preprocessing, name)
        plain = PlainMinMax if name == "MinMaxScaler" else PlainNumber
        path = f"preprocessing.{name}"
        yield Family(
            FLOW,
            path,
            [path, line],
            _before_a_line(cls, plain),
            FIXED,
        )
    yield Family(
        GAPS,
        "preprocessing.StatImputer",
        ["preprocessing.StatImputer", SCALER, line],
        lambda: PlainNumber(
            preprocessing.StatImputer(*((name, stats.Mean()) for name in LOOP_FEATURES))
            | preprocessing.StandardScaler()
            | linear_model.LinearRegression()
        ),
        FIXED,
    )
    yield Family(
        GAPS,
        "preprocessing.PreviousImputer",
        ["preprocessing.PreviousImputer", SCALER, line],
        lambda: PlainNumber(
            preprocessing.PreviousImputer()
            | preprocessing.StandardScaler()
            | linear_model.LinearRegression()
        ),
        FIXED,
    )
    for name in ("OneHotEncoder", "OrdinalEncoder"):
        cls, path = getattr(preprocessing, name), f"preprocessing.{name}"
        yield Family(
            GRADED,
            path,
            [path, SCALER, logistic],
            _encoded_by_it(cls),
            "256 categories of a feature",
        )


def _classes(sheet: str, names: tuple[str, ...]) -> Iterator[Family]:
    """Yield the classifications that can name as many classes as a stream has."""

    def family(cls: str, steps: list[Any], make: Callable[[], Any], bound: str) -> Family:
        return Family(sheet, cls, steps, lambda: PlainClasses(make(), names), bound)

    if len(names) == 2:
        for name in ("LogisticRegression", "PAClassifier"):
            cls, path = getattr(linear_model, name), f"linear_model.{name}"
            yield family(path, _scaled(path), _behind_it(cls), FIXED)
    yield family(
        "linear_model.SoftmaxRegression",
        _scaled("linear_model.SoftmaxRegression"),
        lambda: _behind(linear_model.SoftmaxRegression()),
        FEW,
    )
    yield family(
        "tree.HoeffdingTreeClassifier",
        ["tree.HoeffdingTreeClassifier"],
        lambda: tree.HoeffdingTreeClassifier(**GROWN),
        BUDGET,
    )
    yield family(
        "tree.HoeffdingAdaptiveTreeClassifier",
        [{"tree.HoeffdingAdaptiveTreeClassifier": {"seed": SEED}}],
        lambda: tree.HoeffdingAdaptiveTreeClassifier(**GROWN, seed=SEED),
        BUDGET,
    )
    yield family(
        "forest.ARFClassifier",
        [{"forest.ARFClassifier": {"seed": SEED}}],
        lambda: forest.ARFClassifier(seed=SEED, **GROWN),
        BUDGET,
    )
    yield family(
        "forest.AMFClassifier",
        [{"forest.AMFClassifier": {"seed": SEED}}],
        lambda: forest.AMFClassifier(max_nodes=200, seed=SEED),
        NODES,
    )
    for name in ("BaggingClassifier", "LeveragingBaggingClassifier"):
        cls, path = getattr(ensemble, name), f"ensemble.{name}"
        yield family(
            path,
            [{path: {"n_models": 5, "seed": SEED}}],
            _bag_of_it(cls),
            BUDGET,
        )
    yield family("naive_bayes.GaussianNB", ["naive_bayes.GaussianNB"], naive_bayes.GaussianNB, FEW)
    yield family(
        "naive_bayes.BernoulliNB",
        _scaled("naive_bayes.BernoulliNB"),
        lambda: _behind(naive_bayes.BernoulliNB()),
        FEW,
    )
    yield family(
        "neighbors.KNNClassifier",
        _scaled(
            "neighbors.KNNClassifier", engine={"neighbors.LazySearch": {"window_size": WINDOW}}
        ),
        lambda: _behind(neighbors.KNNClassifier(engine=_engine())),
        NEAR,
    )
    for name in ("NoChangeClassifier", "PriorClassifier"):
        path = f"dummy.{name}"
        yield family(path, [path], getattr(dummy, name), "by the number of classes")


def _scorer() -> Any:  # Any: River's
    return anomaly.GaussianScorer()


def _strange() -> Iterator[Family]:
    """Yield the detectors, a stream for each: without a target there are no challengers."""
    held = {"anomaly_detector": "anomaly.GaussianScorer"}
    yield Family(
        "half",
        "anomaly.HalfSpaceTrees",
        ["preprocessing.MinMaxScaler", {"anomaly.HalfSpaceTrees": {"seed": SEED}}],
        lambda: PlainFilter(preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=SEED), 0.99),
        "trees and depth of the definition",
    )
    yield Family(
        "gauss",
        "anomaly.GaussianScorer",
        ["anomaly.GaussianScorer"],
        lambda: PlainScorers(_scorer, q=0.99),
        FIXED,
    )
    yield Family(
        "quantile",
        "anomaly.QuantileFilter",
        [{"anomaly.QuantileFilter": {**held, "q": 0.95}}],
        lambda: PlainScorers(_scorer, q=0.95),
        FIXED,
    )
    yield Family(
        "threshold",
        "anomaly.ThresholdFilter",
        [{"anomaly.ThresholdFilter": {**held, "threshold": 0.999}}],
        lambda: PlainScorers(_scorer, threshold=0.999),
        FIXED,
    )


STRANGE = tuple(_strange())
FAMILIES = (
    *_numbers(),
    *_transformers(),
    *_classes(POWER, BINARY),
    *_classes(MACHINE, MODES),
    *STRANGE,
)

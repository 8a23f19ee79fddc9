"""The allow-list: which classes of River a definition may name, family by family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.models.entries import BY_BUDGET, DEEPEST, NEVER, NODES, QUANTILE, Allowed, Choice

if TYPE_CHECKING:
    from collections.abc import Mapping

_REGRESSION = frozenset({"regression"})
_BINARY = frozenset({"binary"})
_CLASSES = frozenset({"binary", "multiclass"})
_ANOMALY = frozenset({"anomaly"})

_TREE_FIXED = (("memory_estimate_period", NEVER),)
_TREE_DEFAULTS = (("max_depth", DEEPEST),)
_CLASS_TREE = {
    "leaf_prediction": Choice(("mc", "nb", "nba")),
    "split_criterion": Choice(("info_gain", "gini", "hellinger")),
}
_NUMBER_TREE = {"leaf_prediction": Choice(("mean", "model", "adaptive"))}
_NO_METRIC = {**BY_BUDGET, "metric": "must be left to the forest"}
_STEPS = Choice((1, 2), "a passive-aggressive step without a limit overflows")
_AVERAGE = Choice(("mean",), "a median of trees is no sum, and cannot be explained exactly")
_PLAIN_VOTE = Choice((True,), "River divides a weighted vote twice")
_NO_SUBSETS = {"categories": "must be left to the stream: they are learned"}
_NO_WINDOW = {
    "window_size": "must be left out: the variance in a window may fall below zero,"
    " and River takes its root"
}
_FILTER_FIXED = (("protect_anomaly_detector", True),)
_FILTER_REFUSED = {
    "protect_anomaly_detector": "must be left out: a detector never learns what it alarms on"
}


def _tree(tasks: frozenset[str]) -> Allowed:
    choices = _NUMBER_TREE if tasks == _REGRESSION else _CLASS_TREE
    return Allowed(
        "predictor",
        tasks,
        _TREE_DEFAULTS,
        BY_BUDGET,
        _TREE_FIXED,
        choices,
        nominal=True,
        weights=True,
    )


def _forest(
    tasks: frozenset[str],
    defaults: tuple[tuple[str, object], ...],
    choices: Mapping[str, Choice],
) -> Allowed:
    """Return an adaptive random forest: it takes weights as arguments, and ignores them."""
    defaults = (*_TREE_DEFAULTS, *defaults)
    return Allowed("predictor", tasks, defaults, _NO_METRIC, _TREE_FIXED, choices, nominal=True)


def _bag(tasks: frozenset[str], model: str, **choices: Choice) -> Allowed:
    return Allowed(
        "predictor", tasks, (("model", model),), choices=choices, nominal=True, weights=True
    )


_LINEAR: Mapping[str, Allowed] = {
    "linear_model.LinearRegression": Allowed("predictor", _REGRESSION, weights=True),
    "linear_model.LogisticRegression": Allowed("predictor", _BINARY, weights=True),
    "linear_model.PARegressor": Allowed("predictor", _REGRESSION, choices={"mode": _STEPS}),
    "linear_model.PAClassifier": Allowed("predictor", _BINARY, choices={"mode": _STEPS}),
    "linear_model.BayesianLinearRegression": Allowed(
        "predictor",
        _REGRESSION,
        refused={"smoothing": "must be left out: it inverts a matrix that becomes singular"},
    ),
    "linear_model.SoftmaxRegression": Allowed(
        "predictor", _CLASSES, refused={"loss": "must be left to the class: cross entropy"}
    ),
}

_TREES: Mapping[str, Allowed] = {
    "tree.HoeffdingTreeClassifier": _tree(_CLASSES),
    "tree.HoeffdingTreeRegressor": _tree(_REGRESSION),
    "tree.HoeffdingAdaptiveTreeClassifier": _tree(_CLASSES),
    "tree.HoeffdingAdaptiveTreeRegressor": _tree(_REGRESSION),
}

_ENSEMBLES: Mapping[str, Allowed] = {
    "forest.ARFClassifier": _forest(_CLASSES, (), _CLASS_TREE),
    "forest.ARFRegressor": _forest(
        _REGRESSION,
        (("aggregation_method", "mean"), ("disable_weighted_vote", True)),
        {**_NUMBER_TREE, "aggregation_method": _AVERAGE, "disable_weighted_vote": _PLAIN_VOTE},
    ),
    "forest.AMFClassifier": Allowed("predictor", _CLASSES, (("max_nodes", NODES),)),
    "forest.AMFRegressor": Allowed("predictor", _REGRESSION, (("max_nodes", NODES),)),
    "ensemble.BaggingClassifier": _bag(_CLASSES, "tree.HoeffdingTreeClassifier"),
    "ensemble.BaggingRegressor": _bag(_REGRESSION, "tree.HoeffdingTreeRegressor"),
    "ensemble.LeveragingBaggingClassifier": _bag(
        _CLASSES,
        "tree.HoeffdingTreeClassifier",
        bagging_method=Choice(("bag", "wt", "subag"), "River's others raise an error"),
    ),
}

_OTHERS: Mapping[str, Allowed] = {
    "naive_bayes.GaussianNB": Allowed("predictor", _CLASSES),
    "naive_bayes.BernoulliNB": Allowed("predictor", _CLASSES),
    "neighbors.KNNClassifier": Allowed(
        "predictor",
        _CLASSES,
        (("engine", "neighbors.LazySearch"),),
        {"cleanup_every": "must be left out: River raises an error when it cleans up"},
    ),
    "neighbors.KNNRegressor": Allowed(
        "predictor",
        _REGRESSION,
        (("engine", "neighbors.LazySearch"),),
        choices={"aggregation_method": Choice(("mean", "median", "weighted_mean"))},
    ),
    "dummy.NoChangeClassifier": Allowed("predictor", _CLASSES, nominal=True),
    "dummy.PriorClassifier": Allowed("predictor", _CLASSES, nominal=True),
    "dummy.StatisticRegressor": Allowed(
        "predictor", _REGRESSION, (("statistic", "stats.Mean"),), nominal=True
    ),
}

_ANOMALIES: Mapping[str, Allowed] = {
    "anomaly.HalfSpaceTrees": Allowed(
        "detector",
        _ANOMALY,
        refused={"limits": "must be left to preprocessing.MinMaxScaler"},
        needs="preprocessing.MinMaxScaler",
    ),
    "anomaly.GaussianScorer": Allowed("detector", _ANOMALY, refused=_NO_WINDOW),
    "anomaly.QuantileFilter": Allowed(
        "predictor", _ANOMALY, (("q", QUANTILE),), _FILTER_REFUSED, _FILTER_FIXED
    ),
    "anomaly.ThresholdFilter": Allowed("predictor", _ANOMALY, (), _FILTER_REFUSED, _FILTER_FIXED),
}

_TRANSFORMERS: Mapping[str, Allowed] = {
    "preprocessing.StandardScaler": Allowed("transformer", refused=_NO_WINDOW),
    "preprocessing.MinMaxScaler": Allowed("transformer"),
    "preprocessing.MaxAbsScaler": Allowed("transformer"),
    "preprocessing.AdaptiveStandardScaler": Allowed("transformer"),
    "preprocessing.OneHotEncoder": Allowed(
        "transformer",
        refused={**_NO_SUBSETS, "drop_first": "must be left out: it raises without categories"},
        nominal=True,
        encodes=True,
    ),
    "preprocessing.OrdinalEncoder": Allowed(
        "transformer", refused=_NO_SUBSETS, nominal=True, encodes=True
    ),
    "preprocessing.StatImputer": Allowed(
        "transformer", defaults=(("statistic", "stats.Mean"),), nominal=True
    ),
    "preprocessing.PreviousImputer": Allowed("transformer", nominal=True),
}

ALLOWED: Mapping[str, Allowed] = {
    **_TRANSFORMERS,
    **_LINEAR,
    **_TREES,
    **_ENSEMBLES,
    **_OTHERS,
    **_ANOMALIES,
}

# Classes that look as if they belonged here, and why they do not.
REFUSED: Mapping[str, str] = {
    "ensemble.ADWINBaggingClassifier": "on drift it replaces the best of its models, not the worst;"
    " ensemble.LeveragingBaggingClassifier replaces the worst",
    "naive_bayes.MultinomialNB": "it takes counts, a negative number raises an error;"
    " naive_bayes.BernoulliNB takes encoded categories",
    "naive_bayes.ComplementNB": "it takes counts, a negative number raises an error;"
    " naive_bayes.BernoulliNB takes encoded categories",
    "anomaly.StandardAbsoluteDeviation": "a new sensor's second value raises an alarm, is not"
    " learned, and so do all that follow; anomaly.GaussianScorer waits",
    "neighbors.SWINN": "its graph is too deep to be saved; neighbors.LazySearch is exact",
}

# Components with rules of their own; others take what River's class takes.
PARTS: Mapping[str, Allowed] = {
    "neighbors.LazySearch": Allowed(
        "component",
        defaults=(("window_size", 500),),
        refused={
            "dist_func": "must be left to the class: Euclidean",
            "min_distance_keep": "must be left out: River does not look at it",
        },
    ),
    "drift.KSWIN": Allowed("component", refused={"window": "must be left out: it starts empty"}),
}

_DETECTORS = frozenset({"drift.ADWIN", "drift.KSWIN", "drift.PageHinkley", "drift.NoDrift"})

# Components that may stand as a parameter, by the parameter's name.
COMPONENTS: Mapping[str, frozenset[str]] = {
    "optimizer": frozenset(
        {"optim.SGD", "optim.Adam", "optim.AdaGrad", "optim.RMSProp", "optim.Momentum"}
    ),
    "loss": frozenset(
        {
            "optim.losses.Squared",
            "optim.losses.Absolute",
            "optim.losses.Huber",
            "optim.losses.Log",
            "optim.losses.Hinge",
        }
    ),
    "splitter": frozenset(
        {
            "tree.splitter.GaussianSplitter",
            "tree.splitter.HistogramSplitter",
            "tree.splitter.QOSplitter",
            "tree.splitter.TEBSTSplitter",
        }
    ),
    "drift_detector": _DETECTORS,
    "warning_detector": _DETECTORS,
    "leaf_model": frozenset({"linear_model.LinearRegression"}),
    "engine": frozenset({"neighbors.LazySearch"}),
    "statistic": frozenset({"stats.Mean", "stats.EWMean", "stats.Quantile"}),
    "anomaly_detector": frozenset(
        name for name, entry in ALLOWED.items() if entry.role == "detector"
    ),
    # What a bag may hold: models that answer before they have learned, and copy themselves.
    "model": frozenset({*_LINEAR, *_TREES, "naive_bayes.GaussianNB", "naive_bayes.BernoulliNB"}),
}

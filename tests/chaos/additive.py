"""Every class of River over whole data sets: what its shares add up to is what it answered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from attribution.rows import WHOLE_SETS
from attribution.test_every_class import BOUND, BOUNDS, SCALER, really
from chaos.balance import BrokenPromiseError
from chaos.data import origin
from chaos.machine_rows import machine_origin
from chaos.tables import Found, Table
from models.cases import ENCODER
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Step
from tidemill.models.compiled import quicken
from tidemill.models.families import ALLOWED
from tidemill.models.outputs import NO_ANSWER, NO_CLASS
from tidemill.models.pipelines import build_pipeline, check_steps, nominal_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from attribution.rows import DataSet
    from tidemill.attribution.explained import Explained
    from tidemill.models.outputs import Answer

GAUSS = "anomaly.GaussianScorer"
# Parameters that a definition must give; all others are left alone.
GIVEN: dict[str, dict[str, Any]] = {  # Any: River's parameters
    "anomaly.QuantileFilter": {"q": 0.95, "anomaly_detector": GAUSS},
    "anomaly.ThresholdFilter": {"threshold": 0.95, "anomaly_detector": GAUSS},
}
# Leaves that answer with a constant, where a class has others by default.
CLASS_TREE = {"tree.HoeffdingTreeClassifier": {"leaf_prediction": "mc"}}
NUMBER_TREE = {"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean"}}
CONSTANT: dict[str, dict[str, Any]] = {  # Any: as above
    "tree.HoeffdingTreeClassifier": {"leaf_prediction": "mc"},
    "tree.HoeffdingAdaptiveTreeClassifier": {"leaf_prediction": "mc"},
    "tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean"},
    "tree.HoeffdingAdaptiveTreeRegressor": {"leaf_prediction": "mean"},
    "forest.ARFClassifier": {"leaf_prediction": "mc"},
    "forest.ARFRegressor": {"leaf_prediction": "mean"},
    "ensemble.BaggingClassifier": {"model": CLASS_TREE},
    "ensemble.BaggingRegressor": {"model": NUMBER_TREE},
    "ensemble.LeveragingBaggingClassifier": {"model": CLASS_TREE},
}
# Of the events of a data set one in so many is explained, by what a name begins with.
EVERY = {
    "forest.": 50,
    "neighbors.": 50,
    "ensemble.": 20,
    "anomaly.": 10,
    "tree.": 5,
    "dummy.": 5,
    "naive_bayes.": 2,
}


class Tried(NamedTuple):
    """One class on one data set."""

    name: str
    parameters: dict[str, Any]  # Any: River's parameters
    data: DataSet

    @property
    def every(self) -> int:
        """Of how many events one is explained."""
        return next((n for start, n in EVERY.items() if self.name.startswith(start)), 1)


@dataclass(slots=True)
class Worst:
    """What was found in the explanations of a class; one called exact has no residual.

    Attributes:
        additivity: The largest miss of base, shares and residual, relative beyond 1.
        answer: How far what was explained is from what the model answers; likewise.
        residual: The largest that shares leave unexplained.
    """

    explanations: int = 0
    additivity: float = 0.0
    answer: float = 0.0
    residual: float = 0.0
    bound: float = 0.0
    methods: set[str] = field(default_factory=set)

    def take(self, explained: Explained, answer: Answer) -> None:
        """Look at one more."""
        scale = max(1.0, abs(explained.prediction))
        self.explanations += 1
        self.methods.add(explained.method)
        self.bound = max(self.bound, BOUNDS.get(explained.method, BOUND))
        self.additivity = max(self.additivity, explained.additivity_error / scale)
        if not explained.exact:
            self.residual = max(self.residual, abs(explained.residual))
        elif explained.residual:
            self.additivity = math.inf
        said = really(explained, answer)
        if said is not None:
            self.answer = max(self.answer, abs(explained.prediction - said) / scale)

    def merge(self, other: Worst) -> None:
        """Look at all that another has seen."""
        self.explanations += other.explanations
        self.methods |= other.methods
        for name in ("bound", "additivity", "answer", "residual"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))


def tries() -> Iterator[tuple[str, Tried]]:
    """Yield every class with every data set it can learn from, under what it is called."""
    for name, entry in ALLOWED.items():
        wanted = entry.tasks or {"regression", "binary"}
        sets = [data for data in WHOLE_SETS if data.task.name in wanted]
        for data in sets:
            yield name, Tried(name, GIVEN.get(name, {}), data)
            if name in CONSTANT:
                yield f"{name}, constant leaves", Tried(name, CONSTANT[name], data)


def steps_of(tried: Tried) -> list[Step]:
    """Return the pipeline of a class on a data set, encoded and scaled where it must be."""
    data, entry = tried.data, ALLOWED[tried.name]
    own = Step(name=tried.name, parameters=tried.parameters)
    has_texts = any(feature.kind == "nominal" for feature in data.features)
    encoder = [Step(name=ENCODER)] if has_texts else []
    scaler = [] if data.name.startswith("elec") else [Step(name=SCALER)]
    if entry.role == "transformer":
        line = "LinearRegression" if data.task.name == "regression" else "LogisticRegression"
        before = [] if entry.nominal else encoder
        after = encoder if entry.nominal and not entry.encodes else []
        return [*before, own, *after, *scaler, Step(name=f"linear_model.{line}")]
    if entry.needs:
        return [Step(name=entry.needs), own]
    return [*encoder, *scaler, own] if nominal_problems([own], data.features) else [own]


def worst_of(tried: Tried, rows: int | None, every: int) -> Worst:
    """Let a class learn a data set, and explain every so many-th answer before it learns.

    Raises:
        BrokenPromiseError: An answer is not explained, or what is explained is none.
    """
    steps, data = steps_of(tried), tried.data
    problems = [*check_steps(steps, data.task.name), *nominal_problems(steps, data.features)]
    if problems:
        raise BrokenPromiseError("; ".join(problems))
    names = [feature.name for feature in data.features]
    pipeline = quicken(build_pipeline(steps, features=data.features, seed=3))
    explainer = explainer_of_pipeline(pipeline, names, data.task)
    worst = Worst()
    for number, (x, y) in enumerate(data.rows(rows)):
        if number % every == 0:
            answer = data.task.ask(pipeline, x)
            explained = explainer.explain(x, str(number).encode())
            if (explained is None) != (answer in (NO_CLASS, NO_ANSWER)):
                msg = f"{tried.name}, {data.name}, row {number}: {answer} must be explained"
                raise BrokenPromiseError(f"{msg}, was {explained}")
            if explained is not None:
                worst.take(explained, answer)
        explainer.learning(x)
        data.task.learn(pipeline, x, y)
        explainer.learned(x)
    return worst


def prove_additive(
    *, rows: int | None, every: int | None = None, say: Callable[[str], None]
) -> Found:
    """Hold the shares of every class against what it answers.

    Args:
        rows: Of each data set; None takes all.
        every: Of how many events one is explained; None leaves it to the class.
        say: Hears of progress.

    Raises:
        BrokenPromiseError: Shares of a class do not add up, or not to what it answers.
    """
    found: dict[str, tuple[Worst, list[Tried]]] = {}
    for name, tried in tries():
        worst = worst_of(tried, rows, every or tried.every)
        check(f"{name}, {tried.data.name}", worst)
        whole, all_tried = found.setdefault(name, (Worst(), []))
        whole.merge(worst)
        all_tried.append(tried)
        say(f"{name}, {tried.data.name}: {worst.additivity:.1e}, {worst.explanations:,}")
    missing = ALLOWED.keys() - found.keys()
    if missing:
        msg = f"every class must be tried, {sorted(missing)} are not"
        raise BrokenPromiseError(msg)
    worsts = [worst for worst, _ in found.values()]
    trees = [worst.additivity for worst in worsts if "TREE_PATH" in worst.methods]
    others = [worst.additivity for worst in worsts if "TREE_PATH" not in worst.methods]
    return Found(
        {
            "classes": f"{len(ALLOWED)}, all that a definition may name",
            "explanations": f"{sum(worst.explanations for worst in worsts):,}",
            "rows": f"{origin()}, {machine_origin()}, {'all' if rows is None else rows} of each; "
            "of each reading one in twenty is missing",
            "worst of trees and what is made of them": f"{max(trees):.1e}, at most 1e-06",
            "worst of all others": f"{max(others):.1e}, at most 1e-09",
        },
        [_table(found, every)],
    )


def check(what: str, worst: Worst) -> None:
    """Hold what was found of a class against what is promised.

    Raises:
        BrokenPromiseError: It is worse, or nothing was explained.
    """
    if not worst.explanations or max(worst.additivity, worst.answer) > worst.bound:
        msg = f"{what}: shares must add up to the answer within {worst.bound:g}, found {worst}"
        raise BrokenPromiseError(msg)


def _table(found: dict[str, tuple[Worst, list[Tried]]], every: int | None) -> Table:
    rows = [
        (
            f"`{name.split(',')[0]}`{name[len(name.split(',')[0]) :]}",
            " ".join(sorted(worst.methods)),
            ", ".join(tried.data.name.partition(",")[0] for tried in all_tried),
            f"{every or all_tried[0].every}",
            f"{worst.explanations:,}",
            f"{worst.additivity:.1e}",
            f"{worst.answer:.1e}",
            f"{worst.residual:.2g}",
        )
        for name, (worst, all_tried) in found.items()
    ]
    return Table(
        "Parameters are left alone where a definition may. Additivity: how far base, shares and "
        "residual miss what is explained; answer: how far that is from what the model answers in "
        "the same numbers, where its probabilities are within 1e-4 and 1; both are relative where "
        "numbers are beyond 1. Residual: the most that shares leave unexplained, which is not "
        "nothing for leaves that answer by naive Bayes; it is told with every explanation.",
        (
            "class",
            "method",
            "data",
            "one event in",
            "explanations",
            "additivity",
            "answer",
            "residual",
        ),
        rows,
    )

"""Processor time of one explanation, beside the prediction it explains and beside shap's."""

from __future__ import annotations

import time
from importlib.metadata import version
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chaos.balance import BrokenPromiseError
from chaos.data import POWER_FEATURES, origin, power_rows
from chaos.plant import SCALED
from chaos.shap_trees import exported
from chaos.tables import Found, Table
from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Feature, Step
from tidemill.models.compiled import quicken
from tidemill.models.outputs import Binary
from tidemill.models.pipelines import build_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import JsonValue

    from tidemill.attribution.explaining import Explainer

UP = Binary("0", "1")
TREE = "tree.HoeffdingTreeClassifier"
FOREST = "forest.ARFClassifier"
# Splits sooner than by default, so that the rows suffice for a hundred leaves.
EAGER: dict[str, JsonValue] = {"leaf_prediction": "mc", "grace_period": 50, "delta": 0.01}
NEVER_AGAIN = 1 << 60
BOUND = 1e-9
COMPARED = 20  # of shap's explanations in each repeat, held against ours
WARM = 5  # times that shap explains such a row again, to be measured


class Subject(NamedTuple):
    """A model to explain.

    Attributes:
        leaves: It stops splitting when it has so many; None lets it be.
        rows: That it learns before it is looked at, where `leaves` does not say.
    """

    name: str
    steps: Sequence[Step]
    leaves: int | None = None
    rows: int = 5_000


SUBJECTS = (
    Subject(
        "scaler and logistic regression",
        [Step(name=SCALED), Step(name="linear_model.LogisticRegression")],
    ),
    Subject("one tree, 30 leaves", [Step(name=TREE, parameters=EAGER)], 30),
    Subject("one tree, 100 leaves", [Step(name=TREE, parameters=EAGER)], 100),
    Subject(
        "forest of 10 trees",
        [Step(name=FOREST, parameters={"n_models": 10, "leaf_prediction": "mc", "seed": 1})],
    ),
)


class Cost(NamedTuple):
    """Processor time in microseconds per event, of one repeat.

    Attributes:
        predict, learn: What the model takes.
        explain: An explanation of the model as it stands.
        refresh: What the explainer does when the model has learned, explained or not.
        shap: One row by a `TreeExplainer` that is at hand; None for a linear model.
        arrays: What it takes us to write the model down as shap wants it.
        made: What it takes shap to make an explainer of that.
        difference: The largest between shap's shares and ours.
    """

    predict: float
    learn: float
    explain: float
    refresh: float
    shap: float | None = None
    arrays: float | None = None
    made: float | None = None
    difference: float = 0.0


class Clock:
    """Adds up processor time of this process, without what it takes to look at it."""

    def __init__(self) -> None:
        self.spent_ns = 0
        self.count = 0

    def time(self, call: Callable[..., Any], *arguments: Any) -> Any:  # Any: whatever it takes
        """Call, and add what it took."""
        begun = time.process_time_ns()
        found = call(*arguments)
        self.spent_ns += time.process_time_ns() - begun
        self.count += 1
        return found

    def us(self) -> float:
        """Return the mean in microseconds."""
        return max(0.0, self.spent_ns / self.count - _looking_ns()) / 1_000


def _looking_ns() -> float:
    """Return what a call of nothing is measured as."""
    empty = Clock()
    for _ in range(1_000):
        empty.time(_nothing)
    return empty.spent_ns / empty.count


def _nothing() -> None:
    """Do nothing."""


class Grown:
    """A model that has grown as wanted, the rows that come next, and its explainer."""

    def __init__(self, subject: Subject) -> None:
        features = [Feature(name=name) for name in POWER_FEATURES]
        built = build_pipeline(subject.steps, features=features, seed=1)
        self.pipeline: Any = quicken(built)  # Any: River carries no types
        self.explainer: Explainer = explainer_of_pipeline(self.pipeline, POWER_FEATURES, UP)
        self.rows = _rows()
        self._grow(subject)

    def _grow(self, subject: Subject) -> None:
        """Learn until there are so many leaves, and split no more; or so many rows.

        Raises:
            BrokenPromiseError: The rows are not enough.
        """
        for number, (x, y) in enumerate(self.rows):
            self.learn(x, y)
            if subject.leaves is None:
                if number + 1 == subject.rows:
                    return
            elif (tree := self.model).n_leaves >= subject.leaves:
                tree.grace_period = NEVER_AGAIN
                return
            if number > 10 * 45_312:
                break
        msg = f"{subject.name}: must grow to {subject.leaves} leaves, has {self.model.n_leaves}"
        raise BrokenPromiseError(msg)

    @property
    def model(self) -> Any:  # Any: as above
        """The last step."""
        steps = getattr(self.pipeline, "steps", None)
        return self.pipeline if steps is None else list(steps.values())[-1]

    def learn(self, x: dict[str, float], y: bool) -> None:
        """Learn a row, and let the explainer know."""
        self.explainer.learning(x)
        UP.learn(self.pipeline, x, y)
        self.explainer.learned(x)


def _rows() -> Iterator[tuple[dict[str, float], bool]]:
    for row in cycle(list(power_rows())):
        yield dict(zip(POWER_FEATURES, row.x, strict=True)), row.y > 0.5


def cost(grown: Grown, events: int, *, is_tree: bool) -> Cost:
    """Return what the next events cost: each is predicted, explained, learned."""
    predict, explain, learn, refresh = Clock(), Clock(), Clock(), Clock()
    shap, arrays, made = Clock(), Clock(), Clock()
    difference = 0.0
    pipeline, explainer = grown.pipeline, grown.explainer
    every = max(1, events // COMPARED)
    for number, (x, y) in enumerate(islice(grown.rows, events)):
        predict.time(UP.ask, pipeline, x)
        said = explain.time(explainer.explain, x, b"event")
        if is_tree and number % every == 0:
            trees = arrays.time(exported, grown.model, x, POWER_FEATURES)
            ready = made.time(_tree_explainer, trees)
            row = np.array([[x[name] for name in POWER_FEATURES]])
            theirs = _shap_values(ready, row)  # warms it, which ours is not given
            for _ in range(WARM):
                shap.time(_shap_values, ready, row)
            ours = [share.attribution for share in said.shares]
            difference = max(difference, float(np.abs(theirs - np.array(ours)).max()))
        explainer.learning(x)
        learn.time(UP.learn, pipeline, x, y)
        refresh.time(explainer.learned, x)
    beside = (shap.us(), arrays.us(), made.us(), difference) if is_tree else ()
    return Cost(predict.us(), learn.us(), explain.us(), refresh.us(), *beside)


def _tree_explainer(trees: dict[str, Any]) -> Any:  # Any: shap carries no types
    from shap import TreeExplainer  # noqa: PLC0415 - takes seconds; other proofs do without it

    return TreeExplainer(trees, feature_perturbation="tree_path_dependent")


def _shap_values(ready: Any, row: Any) -> Any:  # Any: as above
    return ready.shap_values(row, check_additivity=False)[0]


def prove_explaining_time(*, events: int, repeats: int, say: Callable[[str], None]) -> Found:
    """Measure explanations of four models.

    Args:
        events: Of one repeat.

    Raises:
        BrokenPromiseError: shap, asked about the same models, says something else.
    """
    found: dict[str, list[Cost]] = {}
    for subject in SUBJECTS:
        grown = Grown(subject)
        is_tree = subject.name != SUBJECTS[0].name
        cost(grown, COMPARED, is_tree=is_tree)  # what is made once, compiled or imported
        found[subject.name] = [cost(grown, events, is_tree=is_tree) for _ in range(repeats)]
        say(f"{subject.name}: {found[subject.name][-1]}")
        check_equal(subject.name, found[subject.name])
    return Found(
        {
            "measured": f"processor time of one process, {repeats} repeats of {events:,} events "
            "each, after a warm-up: median of the repeats (best); the clock's own time is "
            "taken off",
            "rows": f"{origin()}: those of the grid, six numbers each; every event is predicted, "
            "explained, learned",
            "shap": f"{version('shap')}, `TreeExplainer`, `tree_path_dependent`, "
            f"{COMPARED} rows of each repeat, one at a time, as events come; each once unmeasured, "
            f"then {WARM} times",
            "largest difference between its shares and ours": ""
            f"{max(c.difference for costs in found.values() for c in costs):.1e}",
        },
        [_table(found)],
    )


def check_equal(name: str, costs: Sequence[Cost]) -> None:
    """Hold our shares against shap's.

    Raises:
        BrokenPromiseError: They differ, so that times cannot be compared.
    """
    worst = max(cost.difference for cost in costs)
    if worst > BOUND:
        msg = f"{name}: shares must be shap's within {BOUND}, differ by {worst}"
        raise BrokenPromiseError(msg)


def _table(found: dict[str, list[Cost]]) -> Table:
    rows = []
    for name, costs in found.items():
        cells = [_us([getattr(cost, field) for cost in costs]) for field in Cost._fields[:7]]
        rows.append((name, *cells))
    return Table(
        "Microseconds of processor time per event. Explain: one explanation, of a model that has "
        "learned since the last; refresh: what is kept for explanations, after every lesson. shap: "
        "one row, by an explainer that is at hand; for a model that has changed, as it does with "
        "every event, it needs the model's arrays, written here in Python, and an explainer anew.",
        (
            "model",
            "predict",
            "learn",
            "explain",
            "refresh",
            "shap",
            "shap: arrays",
            "shap: explainer of them",
        ),
        rows,
    )


def _us(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.1f} ({min(known):.1f})" if known else "-"

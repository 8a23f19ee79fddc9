"""Shapley values by their definition, and models learned on seeded cases: what shares are held to.

The mean over all orders in which players can join, written apart from what is tested.
"""

from __future__ import annotations

import random
from itertools import permutations
from typing import TYPE_CHECKING, Any

from tidemill.attribution.explaining import explainer_of_pipeline
from tidemill.contracts.stream import Feature, Step
from tidemill.models.outputs import Binary, Multiclass, Regression
from tidemill.models.pipelines import build_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidemill.attribution.explained import Explained
    from tidemill.attribution.explaining import Explainer
    from tidemill.models.outputs import Task

NAMES = ("a", "b", "c", "d")
NUMBERS = tuple(Feature(name=name) for name in NAMES)
UP = Binary("down", "up")
SEED = b"event"


def by_definition(value: Callable[[frozenset[str]], float], players: Iterable[str]) -> list[float]:
    """Return each player's mean contribution over all orders."""
    names = list(players)
    sums = dict.fromkeys(names, 0.0)
    orders = list(permutations(names))
    for order in orders:
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            sums[name] += value(before | {name}) - value(before)
    return [sums[name] / len(orders) for name in names]


def shares_of(explained: Explained) -> list[float]:
    return [share.attribution for share in explained.shares]


def cases(count: int, *, task: Task = UP, seed: int = 5) -> list[tuple[dict[str, Any], Any]]:
    """Return cases far from zero and unlike in scale, and labels that some of them decide."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        x = {name: chance.gauss(n, 0.5 + n) for n, name in enumerate(NAMES)}
        score = x["a"] - 0.5 * x["b"] + 0.1 * x["c"] * x["d"] + chance.gauss(0, 0.1)
        found.append((x, label_of(task, score)))
    return found


def label_of(task: Task, score: float) -> Any:
    if isinstance(task, Regression):
        return score
    if isinstance(task, Multiclass):
        return "low" if score < -1 else "high" if score > 1 else "middle"
    return score > 0.3


def built(steps: list[str | Step], features: tuple[Feature, ...] = NUMBERS) -> Any:
    named = [Step(name=step) if isinstance(step, str) else step for step in steps]
    return build_pipeline(named, features=features, seed=11)


def taught(pipeline: Any, learned: Iterable[tuple[dict[str, Any], Any]], task: Task) -> Explainer:
    """Return the explainer of a model that has learned these cases."""
    seen = list(learned)
    names = list(dict.fromkeys(name for x, _ in seen for name in x))
    explainer = explainer_of_pipeline(pipeline, names, task)
    for x, y in seen:
        explainer.learning(x)
        task.learn(pipeline, x, y)
        explainer.learned(x)
    return explainer

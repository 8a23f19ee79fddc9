"""A pipeline tried out before it is run: what its parameters break shows on a few samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.models.allowed import ALLOWED
from tidemill.models.building import build_pipeline
from tidemill.models.entries import Allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.stream import Step

_SAMPLES = 30
_REFUSALS = (TypeError, ValueError, AttributeError, ArithmeticError, LookupError)


def trial_problems(steps: Sequence[Step], task: str | None) -> list[str]:
    """Return a problem if River cannot be built, asked or taught as the steps say."""
    if not steps:
        return ["a pipeline must have a predictor, was empty"]
    tasks = ALLOWED.get(steps[-1].name, Allowed("component")).tasks
    try:
        pipeline = build_pipeline(steps, features=(), seed=0)
        _try(pipeline, task if task in tasks else min(tasks, default=""))
    except _REFUSALS as error:
        names = " | ".join(step.name for step in steps)
        return [f"{names}: River must accept the parameters, said {error}"]
    return []


def _try(pipeline: Any, task: str) -> None:  # Any: River's pipeline
    for number in range(_SAMPLES):
        x = {"a": float(number % 7), "b": float(number % 3)}
        if task == "anomaly":
            pipeline.score_one(x)
            pipeline.learn_one(x)
            continue
        is_high = number % 7 > number % 3
        label = {"regression": float(number), "binary": is_high}.get(task, str(is_high))
        (pipeline.predict_one if task == "regression" else pipeline.predict_proba_one)(x)
        pipeline.learn_one(x, label)

"""River pipelines by name, from the definition."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from tidemill.models.allowed import (
    ALLOWED,
    COMPONENTS,
    component,
    parameter_problems,
    parameters_of,
    river_class,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.stream import Feature, Step


def check_steps(steps: Sequence[Step], task: str | None = None) -> list[str]:
    """Return every problem of a pipeline; none means `build_pipeline` succeeds.

    Args:
        steps: As the definition names them, transformers first, one predictor last.
        task: regression, binary or multiclass; None leaves it unchecked.
    """
    problems = []
    for n, step in enumerate(steps):
        entry = ALLOWED.get(step.name)
        if entry is None:
            known = ", ".join(sorted(ALLOWED))
            problems.append(f"{step.name}: must be one of {known}")
            continue
        last = n == len(steps) - 1
        if (entry.role == "predictor") != last:
            rule = "transformers come first and one predictor last"
            problems.append(f"{step.name}: {rule}, was step {n + 1} of {len(steps)}")
        if task is not None and entry.tasks and task not in entry.tasks:
            problems.append(f"{step.name}: predicts {'/'.join(sorted(entry.tasks))}, not {task}")
        problems += parameter_problems(step.name, step.parameters)
    if not problems:
        problems += _build_problems(steps)
    return problems


def _build_problems(steps: Sequence[Step]) -> list[str]:
    try:
        build_pipeline(steps, features=(), seed=0)
    except (TypeError, ValueError, AttributeError) as error:
        names = " | ".join(step.name for step in steps)
        return [f"{names}: River must accept the parameters, said {error}"]
    return []


def nominal_problems(steps: Sequence[Step], features: Sequence[Feature]) -> list[str]:
    """Return a problem for each step that cannot take the stream's nominal features."""
    nominal = [feature.name for feature in features if feature.kind == "nominal"]
    return [
        f"{step.name}: takes numbers only, but {', '.join(nominal)} is nominal"
        for step in steps
        if nominal and step.name in ALLOWED and not ALLOWED[step.name].nominal
    ]


def build_pipeline(
    steps: Sequence[Step], *, features: Sequence[Feature], seed: int
) -> Any:  # Any: River's pipeline carries no types
    """Return a fresh River pipeline, or the bare predictor where it stands alone."""
    from river import compose  # noqa: PLC0415 - River takes seconds to import; only who builds pays

    built = [_build_step(step, features, seed) for step in steps]
    return built[0] if len(built) == 1 else compose.Pipeline(*built)


def _build_step(step: Step, features: Sequence[Feature], seed: int) -> Any:  # Any: as above
    entry = ALLOWED[step.name]
    cls = river_class(step.name)
    parameters: dict[str, object] = {
        key: _build_value(key, value)
        for key, value in parameters_of(step.name, step.parameters).items()
    }
    known = inspect.signature(cls).parameters
    nominal = [feature.name for feature in features if feature.kind == "nominal"]
    if "nominal_attributes" in known and nominal:
        parameters["nominal_attributes"] = nominal
        cls = _steady(cls)
    if "seed" in known and "seed" not in parameters:
        parameters["seed"] = seed
    parameters.update(entry.fixed)
    return cls(**parameters)


def _steady(cls: Any) -> Any:  # Any: as above
    """Return the class that stands in for a tree which sees nominal features."""
    from tidemill.models import steady  # noqa: PLC0415 - imports River, see `build_pipeline`

    return steady.STEADY.get(cls, cls)


def _build_value(key: str, value: object) -> object:
    if key not in COMPONENTS or value is None:
        return value
    name, parameters = component(value)
    return river_class(name)(**parameters)


def pipeline_text(steps: Sequence[Step]) -> str:
    """Return a canonical text of a pipeline: equal texts build equal pipelines."""
    listed = [{step.name: parameters_of(step.name, step.parameters)} for step in steps]
    return json.dumps(listed, sort_keys=True, separators=(",", ":"))

"""River pipelines by name, from the definition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tidemill.models.allowed import (
    ALLOWED,
    COMPONENTS,
    component,
    entry_of,
    parameter_problems,
    parameters_of,
    refusal,
)
from tidemill.models.building import build_pipeline, shielded
from tidemill.models.trying import trial_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidemill.contracts.stream import Feature, Step

__all__ = ["build_pipeline", "check_steps", "nominal_problems", "pipeline_text"]


def check_steps(steps: Sequence[Step], task: str | None = None) -> list[str]:
    """Return every problem of a pipeline; none means `build_pipeline` succeeds.

    Args:
        steps: As the definition names them, transformers first, one predictor last.
        task: regression, binary, multiclass or anomaly; None leaves it unchecked.
    """
    problems = []
    for n, step in enumerate(steps):
        entry = ALLOWED.get(step.name)
        if entry is None:
            problems.append(refusal(step.name))
            continue
        last = n == len(steps) - 1
        if (entry.role != "transformer") != last:
            rule = "transformers come first and one predictor last"
            problems.append(f"{step.name}: {rule}, was step {n + 1} of {len(steps)}")
        if task is not None and entry.tasks and task not in entry.tasks:
            problems.append(f"{step.name}: predicts {'/'.join(sorted(entry.tasks))}, not {task}")
        problems += parameter_problems(step.name, step.parameters, task)
        problems += _missing_steps(step, {before.name for before in steps[:n]})
    return problems or trial_problems(steps, task)


def _missing_steps(step: Step, before: set[str]) -> list[str]:
    needed = sorted({ALLOWED[name].needs for name in _classes(step)} - before - {""})
    return [f"{step.name}: {name} must stand before it" for name in needed]


def _classes(step: Step) -> Iterator[str]:
    """Yield the allowed classes that a step names: its own, and those it holds."""
    yield step.name
    for key in ("model", "anomaly_detector"):
        held = component(parameters_of(step.name, step.parameters).get(key, ""))[0]
        if held in ALLOWED:
            yield held


def nominal_problems(steps: Sequence[Step], features: Sequence[Feature]) -> list[str]:
    """Return a problem for each step that cannot take the stream's nominal features."""
    nominal = [feature.name for feature in features if feature.kind == "nominal"]
    problems = []
    for step in steps if nominal else ():
        if step.name not in ALLOWED:
            continue
        if ALLOWED[step.name].encodes:
            break
        if not all(ALLOWED[name].nominal for name in _bearers(step)):
            problem = f"{step.name}: takes numbers only, but {', '.join(nominal)} is nominal"
            problems.append(f"{problem}; preprocessing.OneHotEncoder before it makes numbers")
    return problems


def _bearers(step: Step) -> list[str]:
    """Return the classes that see the features: a filter shows them to its detector only."""
    own, *held = _classes(step)
    return held if held and "anomaly" in ALLOWED[own].tasks else [own, *held]


def pipeline_text(steps: Sequence[Step]) -> str:
    """Return a canonical text of a pipeline: equal texts build equal pipelines."""
    listed = [{step.name: _text_values(step.name, step.parameters)} for step in shielded(steps)]
    return json.dumps(listed, sort_keys=True, separators=(",", ":"))


def _text_values(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Return all parameters that are not River's own defaults, those of components too."""
    values = parameters_of(name, given)
    for key in values.keys() & COMPONENTS.keys():
        part, parameters = component(values[key])
        if entry_of(part).defaults:
            values[key] = {part: _text_values(part, parameters)}
    return values

"""Lookups in the allow-list: classes by name, and what is wrong with their parameters."""

from __future__ import annotations

import inspect
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tidemill.models.entries import BETWEEN, DEEPEST, LIMITS, NEVER, Allowed
from tidemill.models.families import ALLOWED, COMPONENTS, PARTS, REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALLOWED",
    "COMPONENTS",
    "DEEPEST",
    "NEVER",
    "Allowed",
    "component",
    "entry_of",
    "parameter_problems",
    "parameters_of",
    "refusal",
    "river_class",
]

# What stands for River's own parameters where they are no plain values.
_INSTEAD: Mapping[str, frozenset[str]] = {"preprocessing.StatImputer": frozenset({"statistic"})}

_PLAIN = bool | int | float | str


def entry_of(name: str) -> Allowed:
    """Return what the allow-list says of a class, or of a component."""
    return ALLOWED.get(name) or PARTS.get(name) or Allowed("component")


def refusal(name: str) -> str:
    """Return why a class that is not allowed is refused."""
    why = REFUSED.get(name)
    if why is not None:
        return f"{name}: is refused: {why}"
    return f"{name}: must be one of {', '.join(sorted(ALLOWED))}"


def river_class(name: str) -> Any:  # Any: River carries no types for its classes
    """Return the class `river.<name>`; the caller has checked that it is allowed."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"river.{module}"), attribute)


def parameter_problems(
    name: str, parameters: Mapping[str, object], task: str | None = None
) -> list[str]:
    """Return what is wrong with the parameters of an allowed class, each with its name."""
    entry = entry_of(name)
    known = _INSTEAD.get(name) or frozenset(inspect.signature(river_class(name)).parameters)
    problems = []
    for key, value in parameters.items():
        path = f"{name}.{key}"
        if key in entry.refused:
            problems.append(f"{path}: {entry.refused[key]}")
        elif key not in known:
            names = ", ".join(sorted(known - set(entry.refused))) or "none"
            problems.append(f"{path}: must be a parameter of the class ({names})")
        elif key in COMPONENTS:
            problems += _component_problems(path, key, value)
        else:
            problems += _value_problems(path, key, value) or _choice_problem(path, entry, value)
    return problems + _model_problems(name, parameters, task)


def _value_problems(path: str, key: str, value: object) -> list[str]:
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{path}: must be finite, was {value!r}"]
    if key in LIMITS:
        low, high = LIMITS[key]
        if type(value) is not int or not low <= value <= high:
            return [f"{path}: must be a whole number from {low} to {high}, was {value!r}"]
    if key in BETWEEN:
        least, most = BETWEEN[key]
        if not isinstance(value, int | float) or not least < value < most:
            return [f"{path}: must be between {least:g} and {most:g}, was {value!r}"]
    if key == "nominal_attributes":
        return [f"{path}: must be left to the features' `kind: nominal`"]
    if value is not None and not isinstance(value, _PLAIN):
        return [f"{path}: must be a number, a text or a truth value, was {value!r}"]
    return []


def _choice_problem(path: str, entry: Allowed, value: object) -> list[str]:
    choice = entry.choices.get(path.rpartition(".")[2])
    if choice is None or any(value == one and type(value) is type(one) for one in choice.values):
        return []
    why = f": {choice.why}" if choice.why else ""
    return [f"{path}: must be {' or '.join(map(str, choice.values))}, was {value!r}{why}"]


def _component_problems(path: str, key: str, value: object) -> list[str]:
    components = COMPONENTS[key]
    name, parameters = component(value)
    if name in components:
        return [f"{path}: {problem}" for problem in parameter_problems(name, parameters)]
    if name in REFUSED:
        return [f"{path}: {refusal(name)}"]
    return [f"{path}: must be one of {', '.join(sorted(components))}, was {value!r}"]


def _model_problems(name: str, parameters: Mapping[str, object], task: str | None) -> list[str]:
    """Return a problem where a class holds a model that cannot do what is asked of it."""
    if "model" not in parameters:
        return []
    inner = component(parameters["model"])[0]
    wanted = ALLOWED[name].tasks
    if task in wanted:
        wanted = frozenset({task})
    if inner not in COMPONENTS["model"] or ALLOWED[inner].tasks & wanted:
        return []
    can, must = ("/".join(sorted(tasks)) for tasks in (ALLOWED[inner].tasks, wanted))
    return [f"{name}.model: must predict {must}, but {inner} predicts {can}"]


def parameters_of(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters of an allowed class: those given, and what we set where none is."""
    return {**dict(entry_of(name).defaults), **given}


def component(value: object) -> tuple[str, dict[str, object]]:
    """Return name and parameters of `name` or `{name: parameters}`; an empty name if neither."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and len(value) == 1:
        (name, parameters), *_ = value.items()
        if isinstance(parameters, dict):
            return str(name), parameters
    return "", {}

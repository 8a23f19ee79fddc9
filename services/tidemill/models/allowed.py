"""The allow-list: which River classes a definition may name, and their parameters."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Parameters that would let River decide by memory size, which differs after a restore: the
# memory budget of the definition decides instead, at a recorded position.
_BY_BUDGET = frozenset({"max_size", "memory_estimate_period", "stop_mem_management"})

# River estimates a tree's memory after this many samples; never, for the reason above.
NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Allowed:
    """One class of River as the definition may use it."""

    role: str
    tasks: frozenset[str] = frozenset()
    defaults: tuple[tuple[str, object], ...] = ()
    refused: frozenset[str] = frozenset()
    fixed: tuple[tuple[str, object], ...] = ()
    nominal: bool = False


_TREE_FIXED = (("memory_estimate_period", NEVER),)

# River's own default follows from the interpreter's recursion limit, and a tree that deep cannot
# be written: every branch takes several calls.
DEEPEST = 60
_TREE_DEFAULTS = (("max_depth", DEEPEST),)

ALLOWED: Mapping[str, Allowed] = {
    "preprocessing.StandardScaler": Allowed("transformer"),
    "preprocessing.MinMaxScaler": Allowed("transformer"),
    "preprocessing.MaxAbsScaler": Allowed("transformer"),
    "preprocessing.AdaptiveStandardScaler": Allowed("transformer"),
    "linear_model.LinearRegression": Allowed("predictor", frozenset({"regression"})),
    "linear_model.LogisticRegression": Allowed("predictor", frozenset({"binary"})),
    "tree.HoeffdingTreeClassifier": Allowed(
        "predictor",
        frozenset({"binary", "multiclass"}),
        _TREE_DEFAULTS,
        _BY_BUDGET,
        _TREE_FIXED,
        nominal=True,
    ),
    "tree.HoeffdingTreeRegressor": Allowed(
        "predictor",
        frozenset({"regression"}),
        _TREE_DEFAULTS,
        _BY_BUDGET,
        _TREE_FIXED,
        nominal=True,
    ),
}

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
}


def river_class(name: str) -> Any:  # Any: River carries no types for its classes
    """Return the class `river.<name>`; the caller has checked that it is allowed."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"river.{module}"), attribute)


def parameter_problems(name: str, parameters: Mapping[str, object]) -> list[str]:
    """Return what is wrong with the parameters of an allowed class, each with its name."""
    entry = ALLOWED.get(name, Allowed("component"))
    known = inspect.signature(river_class(name)).parameters
    problems = []
    for key, value in parameters.items():
        if key in entry.refused:
            problems.append(f"{name}.{key}: must be left to the stream's memory budget")
        elif key not in known:
            names = ", ".join(sorted(set(known) - entry.refused)) or "none"
            problems.append(f"{name}.{key}: must be a parameter of the class ({names})")
        else:
            problems += _value_problems(f"{name}.{key}", key, value)
    return problems


def _value_problems(path: str, key: str, value: object) -> list[str]:
    components = COMPONENTS.get(key)
    if components is not None:
        return _component_problems(path, components, value)
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{path}: must be finite, was {value!r}"]
    if key == "max_depth" and (type(value) is not int or not 1 <= value <= DEEPEST):
        return [f"{path}: must be a whole number from 1 to {DEEPEST}, was {value!r}"]
    if key == "nominal_attributes":
        return [f"{path}: must be left to the features' `kind: nominal`"]
    if value is not None and not isinstance(value, bool | int | float | str):
        return [f"{path}: must be a number, a text or a truth value, was {value!r}"]
    return []


def _component_problems(path: str, components: frozenset[str], value: object) -> list[str]:
    name, parameters = component(value)
    if name not in components:
        return [f"{path}: must be one of {', '.join(sorted(components))}, was {value!r}"]
    return [f"{path}: {problem}" for problem in parameter_problems(name, parameters)]


def parameters_of(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters of an allowed class: those given, and what we set where none is."""
    return {**dict(ALLOWED[name].defaults), **given}


def component(value: object) -> tuple[str, dict[str, object]]:
    """Return name and parameters of `name` or `{name: parameters}`; an empty name if neither."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and len(value) == 1:
        (name, parameters), *_ = value.items()
        if isinstance(parameters, dict):
            return str(name), parameters
    return "", {}

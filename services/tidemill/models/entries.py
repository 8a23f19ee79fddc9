"""What the allow-list says of one class of River, and bounds that hold for parameters by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["transformer", "predictor", "detector", "component"]

# River estimates a tree's memory after this many samples; never, see `BY_BUDGET`.
NEVER = 1 << 62

# River's own default follows from the interpreter's recursion limit, and a tree that deep cannot
# be written: every branch takes several calls.
DEEPEST = 60

# Nodes of one Mondrian tree where the definition gives no number; one takes about 800 bytes.
NODES = 200

# The share of scores that raise no alarm where the definition names no filter.
QUANTILE = 0.99

_BUDGET = "must be left to the stream's memory budget"
# Parameters that would let River decide by memory size, which differs after a restore: the
# memory budget of the definition decides instead, at a recorded position.
BY_BUDGET: Mapping[str, str] = {
    "max_size": _BUDGET,
    "memory_estimate_period": _BUDGET,
    "stop_mem_management": _BUDGET,
}

# Whole numbers, inclusive: what a model takes of memory and time follows from them.
LIMITS: Mapping[str, tuple[int, int]] = {
    "max_depth": (1, DEEPEST),
    "max_nodes": (3, 1_000),
    "n_models": (1, 100),
    "n_estimators": (1, 100),
    "n_trees": (1, 100),
    "height": (1, 12),
    "window_size": (1, 10_000),
    "n_neighbors": (1, 1_000),
    "lambda_value": (1, 100),
    "seed": (0, 1 << 62),
}

# Numbers between which a parameter must lie, both excluded.
BETWEEN: Mapping[str, tuple[float, float]] = {"q": (0.0, 1.0)}


class Choice(NamedTuple):
    """The values that a parameter may have, and why no others."""

    values: tuple[object, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One class of River as the definition may use it.

    Attributes:
        role: `detector` scores without a label, and learns only behind a filter.
        tasks: What a predictor or detector can be asked for.
        defaults: Parameters where the definition gives none; part of what names a pipeline.
        refused: What a parameter must be left to, by its name.
        fixed: Parameters that are always ours.
        choices: Parameters with few values.
        nominal: Whether it takes, or passes on, nominal features.
        encodes: Whether nothing nominal leaves it.
        needs: A step that must stand before it.
        weights: Whether it can learn an example with a weight; else each counts once.
    """

    role: Role
    tasks: frozenset[str] = frozenset()
    defaults: tuple[tuple[str, object], ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    fixed: tuple[tuple[str, object], ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)
    nominal: bool = False
    encodes: bool = False
    needs: str = ""
    weights: bool = False

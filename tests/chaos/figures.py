"""Figures of a proof: what was measured, by name, in the order it is reported."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Figures = dict[str, str]

MEBIBYTE = 1 << 20


def spread(seconds: Sequence[float]) -> str:
    """Return median and maximum of some durations in words."""
    if not seconds:
        return "none measured"
    ordered = sorted(seconds)
    ninth = ordered[max(0, math.ceil(0.95 * len(ordered)) - 1)]
    return (
        f"median {median(ordered):.2f} s, 95th percentile {ninth:.2f} s, "
        f"maximum {ordered[-1]:.2f} s ({len(ordered)} measured)"
    )


def mebibytes(size: float) -> str:
    """Return a size in words."""
    return f"{size / MEBIBYTE:.1f} MiB"

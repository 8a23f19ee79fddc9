"""What settings of a process must be like: numbers in their ranges, a name that Kafka takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Ranged = tuple[str, int, int, int]


def range_problems(values: Iterable[Ranged]) -> list[str]:
    """Return what is wrong with numbers, each by name, value, least and most."""
    return [
        f"{name}: must be from {low} to {high}, was {value}"
        for name, value, low, high in values
        if not low <= value <= high
    ]


def instance_problems(instance: str) -> list[str]:
    """Return what is wrong with the stable name of a worker."""
    if instance and all(c.isalnum() or c in "-_." for c in instance):
        return []
    return [f"--instance: must be letters, digits, dots, dashes and underscores, was {instance!r}"]

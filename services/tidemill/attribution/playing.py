"""Sensors as players: each joins with its own columns, and until then has the reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.attribution.explained import Share
from tidemill.attribution.question import is_finite
from tidemill.attribution.shapley import shapley

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Of so many permutations half are the others reversed.
PERMUTATIONS = 32


class Table(NamedTuple):
    """A case and the reference, by column, and the columns of each sensor that is listed."""

    case: Mapping[str, Any]  # Any: numbers, and texts where nothing encodes them
    reference: Mapping[str, Any]  # Any: as above
    columns: Mapping[str, Sequence[str]]


class Played(NamedTuple):
    """What every sensor added; `samples` None where that is exact."""

    base: float
    prediction: float
    shares: tuple[Share, ...]
    samples: int | None


def play(
    table: Table,
    answer: Callable[[dict[str, Any]], float],  # Any: as above
    seed: bytes,
    permutations: int,
) -> Played | None:
    """Return what every sensor added to the answer; None where some answer is not finite.

    A sensor that is the same in case and reference adds nothing, and does not play.
    """
    case, reference, columns = table
    players = [
        name
        for name, own in columns.items()
        if any(case.get(column) != reference.get(column) for column in own)
    ]
    owned = [columns[name] for name in players]
    found = shapley(
        lambda joined: answer(_mixed(case, reference, owned, joined)),
        len(players),
        seed,
        permutations=permutations,
    )
    if not all(map(is_finite, (found.base, found.prediction, *found.shares))):
        return None
    added = dict(zip(players, found.shares, strict=True))
    errors = dict(zip(players, found.errors or (), strict=False))
    unsure = None if found.errors is None else 0.0
    shares = tuple(Share(name, added.get(name, 0.0), errors.get(name, unsure)) for name in columns)
    return Played(found.base, found.prediction, shares, found.samples)


def _mixed(
    case: Mapping[str, Any],  # Any: as above
    reference: Mapping[str, Any],  # Any: as above
    owned: Sequence[Sequence[str]],
    joined: int,
) -> dict[str, Any]:  # Any: as above
    """Return the case where players that have not joined have the reference's columns."""
    mixed = dict(case)
    for player, columns in enumerate(owned):
        if not joined >> player & 1:
            for column in columns:
                if column in reference:
                    mixed[column] = reference[column]
                else:
                    mixed.pop(column, None)
    return mixed

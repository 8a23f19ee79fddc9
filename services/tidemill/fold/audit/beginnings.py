"""Which models begin anew where terms change: those whose blueprint is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.fold.applying import Fold

    Name = tuple[str, str]
    Names = dict[Name, bytes]


def names_in(fold: Fold) -> Names:
    """Return the digest of every model's blueprint, by stream and name."""
    plans = fold.plans.values()
    return {(plan.name, each.name): each.digest for plan in plans for each in plan.blueprints}


def differing(before: Names, now: Names) -> set[Name]:
    """Return the names whose models begin anew."""
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}

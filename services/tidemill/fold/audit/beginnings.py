"""Which models begin anew where terms change: those whose blueprint is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import LEDGER
from tidemill.fold.applying import Fold
from tidemill.fold.audit.chain import walk
from tidemill.fold.terms import KIND, Terms
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from tidemill.kernel.processor import Log

    Name = tuple[str, str]
    Names = dict[Name, bytes]


def names_in(fold: Fold) -> Names:
    """Return the digest of every model's blueprint, by stream and name."""
    names: Names = {}
    for plan in fold.plans.values():
        for asset in ("any", ASSET_TYPE) if plan.starts_from_type else ("any",):
            for each in plan.blueprints:
                names[name_of(ModelKey(plan.name, asset, each.name))] = each.digest
    return names


def name_of(key: ModelKey) -> Name:
    """Return by what name a model begins anew; those of an asset type do so by themselves."""
    return key.stream, f"|{key.model}" if key.asset == ASSET_TYPE else key.model


def differing(before: Names, now: Names) -> set[Name]:
    """Return the names whose models begin anew."""
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}


def beginnings_after(offset: int, names: Names, log: Log, partition: int) -> dict[Name, int]:
    """Return by model the first entry behind a ledger offset with which it begins anew.

    Args:
        offset: Of the entry with which `names` were in force.
        names: As `names_in` gives them.
        log: The topics.
        partition: The partition number, the same in every topic.
    """
    found: dict[Name, int] = {}
    for walked in walk(log, partition, offset + 1, log.span(LEDGER, partition)[1]):
        if walked.placed is None:
            continue
        entry = walked.placed.entry
        for action in entry.actions:
            if action.kind == KIND:
                before, names = names, names_in(Fold(Terms.of(action), partition))
                for name in differing(before, names):
                    found.setdefault(name, entry.sequence)
    return found

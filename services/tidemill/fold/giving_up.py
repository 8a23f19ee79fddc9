"""Corrections that wait while their model goes: compensated first, so that everybody is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.fold.swapping import Compensation, Why
from tidemill.kernel.reports import WhyCompensated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.fold.applying import Fold
    from tidemill.fold.books import Books
    from tidemill.kernel.records import Emit
    from tidemill.models.state import ModelKey


def give_up(
    fold: Fold, books: Books, keys: Iterable[ModelKey], positions: Mapping[str, int], *, why: str
) -> list[Emit]:
    """Return the ledger entry that compensates what waits for these models, if anything does.

    Args:
        positions: Next offset of every input topic.
        why: What has changed, as receipts say it.
    """
    emits: list[Emit] = []
    actions = []
    for key in keys:
        tracked = fold.fleet.get(key)
        if tracked is None or not tracked.state.has_pending:
            continue
        offsets = tuple(each.offset for each in tracked.state.decided.pending)
        emits += fold.compensate(key, offsets, why, books.sequence)
        actions.append(Compensation(key, offsets, Why(WhyCompensated.CHANGED, why)).action())
    if not actions:
        return []
    books.note_caused(emits)
    return [*emits, *books.seal(positions, kind="ACTION", actions=actions)]

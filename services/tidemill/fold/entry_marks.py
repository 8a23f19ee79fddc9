"""Outputs that answer no one record by its offset say in a header which ledger entry wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import OUTCOMES, RECEIPTS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tidemill.kernel.records import Emit, Message

ENTRY_HEADER = "tidemill.entry"
MARKED = (OUTCOMES, RECEIPTS)


def marked(emits: Sequence[Emit], sequence: int, topics: Collection[str] = MARKED) -> list[Emit]:
    """Return emissions of ledger entry `sequence`; those to some topics name it."""
    header = (ENTRY_HEADER, str(sequence).encode())
    return [
        emit._replace(headers=(*emit.headers, header)) if emit.topic in topics else emit
        for emit in emits
    ]


def entry_of(message: Message) -> int | None:
    """Return the ledger entry that an output names; None if it names none."""
    for name, value in message.headers:
        if name == ENTRY_HEADER and value.isdigit():
            return int(value)
    return None

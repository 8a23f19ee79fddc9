"""Outputs that answer no one record by its offset say in a header which ledger entry wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import OUTCOMES, RECEIPTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.kernel.records import Emit, Message

ENTRY_HEADER = "tidemill.entry"
MARKED = (OUTCOMES, RECEIPTS)


def marked(emits: Sequence[Emit], sequence: int) -> list[Emit]:
    """Return emissions of ledger entry `sequence`; outcomes and receipts name it."""
    header = (ENTRY_HEADER, str(sequence).encode())
    return [
        emit._replace(headers=(*emit.headers, header)) if emit.topic in MARKED else emit
        for emit in emits
    ]


def entry_of(message: Message) -> int | None:
    """Return the ledger entry that an outcome or a receipt names."""
    for name, value in message.headers:
        if name == ENTRY_HEADER and value.isdigit():
            return int(value)
    return None

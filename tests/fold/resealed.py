"""A ledger written anew with other contents, every hash of it right: what a forger could do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.contracts.topics import LEDGER
from tidemill.fold.ledger import FIRST, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from fold.history import ListLog


def entries_of(log: ListLog) -> list[Entry]:
    return [Entry.decode(message.value) for message in log.topics[LEDGER]]


def resealed(log: ListLog, change: Callable[[Entry], Entry]) -> ListLog:
    """Return the topics with every ledger entry changed, chained and hashed again."""
    forged, previous = log.copy(), FIRST
    for message in log.topics[LEDGER]:
        entry = replace(change(Entry.decode(message.value)), previous=previous).sealed()
        previous = entry.hash
        forged.put(message._replace(value=entry.encode()))
    return forged

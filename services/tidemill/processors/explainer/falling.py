"""Models that went back to an older state: taken from the anchors that were written with that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS
from tidemill.fold.replica import ROLLBACK
from tidemill.fold.shelf import Shelf
from tidemill.kernel.errors import InvalidRecordError
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidemill.fold.ledger import Entry
    from tidemill.fold.shelf import Restored
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


def fallen(log: Log, entry: Entry, signing: SigningKey) -> Generator[None, None, list[Restored]]:
    """Return the states that models have after an entry with which they went back.

    No re-fold leads there: what they had learned before is nowhere any more.
    """
    wanted = {
        ModelKey.decode(action.detail["model"].encode())
        for action in entry.actions
        if action.kind == ROLLBACK
    }
    if not wanted:
        return []
    shelf = Shelf(signing)
    begin, end = log.span(ANCHORS, entry.partition)
    for messages in log.read(ANCHORS, entry.partition, begin, end):
        yield
        for message in messages:
            if _sequence(message) == entry.sequence:
                shelf.add(message)
    return [state for key, state in sorted(shelf.newest.items()) if key in wanted]


def _sequence(message: Message) -> int | None:
    try:
        return int(codec("Snapshot").decode(message.value)["sequence"])
    except InvalidRecordError:
        return None

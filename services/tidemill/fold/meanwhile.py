"""What is applied while a re-fold is under way, kept until it has come so far."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.fold.terms import KIND as TERMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.ledger import Entry
    from tidemill.kernel.records import Message

# Records and entries that wait in memory while the past is folded; beyond it they are read again.
MOST_KEPT = 2_000


class Live:
    """The asset's records, entry by entry; entries without any, and without actions, are left out.

    Args:
        needle: What the value of one of its records contains.
        start: The last entry before those in here.
    """

    def __init__(self, needle: bytes, start: int) -> None:
        self.start = start
        self._needle = needle
        self._entries: deque[tuple[Entry, list[list[Message]]]] = deque()
        self._runs: list[list[Message]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def note(self, messages: Sequence[Message]) -> None:
        """Take a run that is being applied."""
        ours = [message for message in messages if self._needle in (message.value or b"")]
        if ours:
            self._runs.append(ours)

    def close(self, entry: Entry) -> None:
        """Take the entry of the runs noted; too many records are let go, to be read later.

        Of an entry only what a re-fold asks for is kept: nothing if it is all others' business.
        """
        actions = tuple(a for a in entry.actions if a.kind != TERMS or not entry.runs)
        if self._runs or actions:
            bare = replace(entry, actions=actions, models=(), snapshots=())
            self._size += 1 + sum(map(len, self._runs))
            self._entries.append((bare, self._runs))
            self._runs = []
        if self._size > MOST_KEPT:
            self._entries.clear()
            self.start, self._size = entry.sequence, 0

    def next(self) -> tuple[Entry, list[list[Message]]] | None:
        """Return the next entry and its runs, if there is one."""
        if not self._entries:
            return None
        entry, runs = self._entries.popleft()
        self.start = entry.sequence
        self._size -= 1 + sum(map(len, runs))
        return entry, runs

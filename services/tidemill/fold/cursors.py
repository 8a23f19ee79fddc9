"""A cursor over one input: hands out exactly the records that a run names."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


RETRY_AFTER_S = 0.5


class Cursor:
    """Reads one input partition forward, from the first run asked for.

    Args:
        stop: Offset before which all runs end; None follows the topic as it grows.
    """

    def __init__(self, log: Log, topic: str, partition: int, stop: int | None) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._follows = stop is None
        self._stop = -1 if stop is None else stop
        self._next = 0
        self._batches: Iterator[list[Message]] | None = None
        self._ready: deque[Message] = deque()

    def take(self, first: int, last: int) -> Generator[None, None, list[Message]]:
        """Return the records from `first` to `last`, both included.

        Raises:
            InvariantError: One of them is missing, or a record stands before them that no run
                names.
            DependencyUnavailableError: The topic does not show them yet.
        """
        if self._batches is None and not self._ready:
            self._next = max(self._next, first)
            self._read_on()
        taken: list[Message] = []
        while not taken or taken[-1].offset < last:
            if self._ready:
                taken.append(self._ready.popleft())
                continue
            batch = None if self._batches is None else next(self._batches, None)
            yield
            if batch is not None:
                self._ready.extend(batch)
                continue
            self._next = max(self._next, self._stop)
            if not self._read_on():
                break
        if self._follows and self._stop <= last:
            msg = f"records of {self._topic}-{self._partition} up to {last}, which the ledger names"
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)
        if not taken or taken[0].offset != first or taken[-1].offset != last:
            found = f"{taken[0].offset} to {taken[-1].offset}" if taken else "nothing"
            msg = (
                f"{self._topic}-{self._partition}: the ledger names records {first} to {last}, "
                f"found {found}; records are missing or were never applied"
            )
            raise InvariantError(msg)
        return taken

    def _read_on(self) -> bool:
        """Open the topic where reading ended; return whether there is more."""
        if self._follows:
            _, self._stop = self._log.span(self._topic, self._partition)
        if self._next >= self._stop:
            self._batches = None
            return False
        self._batches = self._log.read(self._topic, self._partition, self._next, self._stop)
        return True

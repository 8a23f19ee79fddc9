"""A cursor over one input: hands out exactly the records that a run names."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class Cursor:
    """Reads one input partition forward, from the first run asked for.

    Args:
        stop: Offset before which all runs end.
    """

    def __init__(self, log: Log, topic: str, partition: int, stop: int) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._stop = stop
        self._batches: Iterator[list[Message]] | None = None
        self._ready: deque[Message] = deque()

    def take(self, first: int, last: int) -> Generator[None, None, list[Message]]:
        """Return the records from `first` to `last`, both included.

        Raises:
            InvariantError: One of them is missing, or a record stands before them that no run
                names.
        """
        if self._batches is None:
            self._batches = self._log.read(self._topic, self._partition, first, self._stop)
        taken: list[Message] = []
        while not taken or taken[-1].offset < last:
            if not self._ready:
                batch = next(self._batches, None)
                yield
                if batch is None:
                    break
                self._ready.extend(batch)
                continue
            taken.append(self._ready.popleft())
        if not taken or taken[0].offset != first or taken[-1].offset != last:
            found = f"{taken[0].offset} to {taken[-1].offset}" if taken else "nothing"
            msg = (
                f"{self._topic}-{self._partition}: the ledger names records {first} to {last}, "
                f"found {found}; records are missing or were never applied"
            )
            raise InvariantError(msg)
        return taken

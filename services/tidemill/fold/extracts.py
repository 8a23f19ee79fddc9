"""Extracts of one input: the runs asked for, and only those of their records that name an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvariantError, RetentionError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

# So many records are rather read than leapt over.
NEAR = 5_000


class Extract:
    """Reads runs of one input partition, each further on than the one before.

    Args:
        needle: What the value of a wanted record contains; another record may, too.
    """

    def __init__(self, log: Log, topic: str, partition: int, needle: bytes) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._needle = needle
        self._next = self._stop = -1
        self._batches: Iterator[list[Message]] | None = None
        self._ready: list[Message] = []

    def take(self, first: int, last: int) -> Generator[None, None, list[Message]]:
        """Return the records of a run that may be wanted.

        Raises:
            RetentionError: The run is no longer retained.
            InvariantError: It is not all there.
        """
        if self._batches is None or not self._next <= first <= self._next + NEAR:
            self._open(first)
        taken: list[Message] = []
        offsets: list[int] = []
        while not offsets or offsets[-1] < last:
            batch = self._ready
            if not batch:
                assert self._batches is not None
                found = next(self._batches, None)
                yield
                if found is None:
                    if not self._read_on(offsets[-1] + 1 if offsets else first):
                        break
                    continue
                batch = found
            part = [message for message in batch if first <= message.offset <= last]
            self._ready = [message for message in batch if message.offset > last]
            taken += [message for message in part if self._needle in (message.value or b"")]
            offsets += [part[0].offset, part[-1].offset] if part else []
            if self._ready:
                break
        if not offsets or (offsets[0], offsets[-1]) != (first, last):
            msg = (
                f"{self._topic}-{self._partition}: the ledger names records {first} to {last}, "
                "they are not all there"
            )
            raise InvariantError(msg)
        self._next = last + 1
        return taken

    def _read_on(self, first: int) -> bool:
        """Open the topic again where reading ended; return whether there is more by now."""
        if self._log.span(self._topic, self._partition)[1] <= self._stop:
            return False
        self._open(first)
        return True

    def _open(self, first: int) -> None:
        self.close()
        begin, end = self._log.span(self._topic, self._partition)
        if first < begin:
            msg = f"{self._topic}-{self._partition}: records from {first} on are no longer retained"
            raise RetentionError(msg)
        self._batches = self._log.read(self._topic, self._partition, first, end)
        self._next, self._stop = first, end

    def close(self) -> None:
        """Let go of the reader."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
        self._batches, self._ready = None, []

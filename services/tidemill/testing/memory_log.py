"""The kernel's log on the in-memory cluster."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tidemill.kernel.errors import RetentionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.records import Message
    from tidemill.testing.cluster import MemoryCluster


class MemoryLog:
    """Committed records by position; see `tidemill.kernel.processor.Log`.

    Args:
        batch: Records handed out at once, at most.
    """

    def __init__(self, cluster: MemoryCluster, *, batch: int = 100) -> None:
        self._cluster = cluster
        self._batch = batch

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first retained offset and the last stable offset."""
        log = self._cluster.log(topic, partition)
        return log.begin, log.stable_end

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the committed records with start <= offset < stop; an empty list is a breath.

        Raises:
            RetentionError: `start` is no longer retained.
        """
        log = self._cluster.log(topic, partition)
        while start < stop:
            if start < log.begin:
                msg = (
                    f"{topic}-{partition}: records from {start} on must be retained, "
                    f"the oldest is {log.begin}"
                )
                raise RetentionError(msg)
            stable = log.stable_end
            found = list(islice(log.committed(start, stop), self._batch))
            is_all = len(found) < self._batch
            start = max(start, stable) if is_all else found[-1].offset + 1
            yield found

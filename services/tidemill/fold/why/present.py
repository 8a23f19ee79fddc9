"""Topics that a cluster need not have: one that is not there is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class PresentTopics:
    """A log in which topics that do not exist are empty; see `tidemill.kernel.processor.Log`."""

    def __init__(self, log: Log, topics: Collection[str]) -> None:
        self._log = log
        self._topics = topics

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first retained offset and the last stable offset."""
        return self._log.span(topic, partition) if topic in self._topics else (0, 0)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the committed records with start <= offset < stop, in order."""
        return self._log.read(topic, partition, start, stop)

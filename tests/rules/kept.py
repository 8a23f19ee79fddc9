"""A log read once: an audit asks for the same records often, and each time a client begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.records import Message
    from tidemill.runtime.kafka_log import KafkaLog

CHUNK = 500


class KeptLog:
    """What a real log holds when it is first asked for a partition; see `KafkaLog`."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log
        self._spans: dict[tuple[str, int], tuple[int, int]] = {}
        self._kept: dict[tuple[str, int], list[Message]] = {}

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first retained offset and the last stable offset."""
        where = (topic, partition)
        if where not in self._spans:
            self._spans[where] = self._log.span(topic, partition)
        return self._spans[where]

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the committed records with start <= offset < stop."""
        where = (topic, partition)
        if where not in self._kept:
            batches = self._log.read(topic, partition, *self.span(topic, partition))
            self._kept[where] = [message for batch in batches for message in batch]
        found = [message for message in self._kept[where] if start <= message.offset < stop]
        for at in range(0, len(found), CHUNK):
            yield found[at : at + CHUNK]

"""Writing to the mesh as plants do: events at a rate or at once, every one acknowledged."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Producer

from chaos.reading import QUIET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import KafkaError, Message

QUEUE = 50_000
FLUSH_S = 600.0


class Outgoing(NamedTuple):
    """One record to write."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class FeedError(Exception):
    """A record was not acknowledged."""


class Feed:
    """Writes records in order and knows what was acknowledged."""

    def __init__(self, bootstrap: str) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.failure: str | None = None
        self._producer = Producer(
            {
                **QUIET,
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": int(FLUSH_S * 1000),
                "queue.buffering.max.messages": 2 * QUEUE,
                "reconnect.backoff.max.ms": 1000,
            }
        )

    def write(self, records: Iterable[Outgoing]) -> None:
        """Write records as fast as they are taken, without waiting for the last of them."""
        for topic, partition, key, value in records:
            self._producer.produce(
                topic, value, key, partition=partition, on_delivery=self._on_delivery
            )
            self._producer.poll(0)
            while len(self._producer) > QUEUE:
                self._producer.poll(0.1)

    def write_at(self, rate: float, records: Iterable[Outgoing]) -> None:
        """Write so many records a second, from the first to the last."""
        begun = time.monotonic()
        for number, record in enumerate(records):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            self.write([record])

    def finish(self) -> Counter[str]:
        """Wait for every acknowledgement; return how many there are by topic.

        Raises:
            FeedError: One did not come.
        """
        remaining = self._producer.flush(FLUSH_S)
        if self.failure is not None or remaining:
            msg = f"every record must be acknowledged, {remaining} were not: {self.failure}"
            raise FeedError(msg)
        return self.acknowledged

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged[str(message.topic())] += 1
        elif self.failure is None:
            self.failure = f"{message.topic()}: {error.str()}"


class PacedFeed:
    """Writes records at a rate in a thread of its own, until told to come to an end.

    Args:
        records: What to write; endless, or longer than it is wanted.
        rate: Records per second.
        at_least: Records that are written in any case, the rest of them at once.
    """

    def __init__(
        self, bootstrap: str, records: Iterable[Outgoing], *, rate: float, at_least: int
    ) -> None:
        self._feed = Feed(bootstrap)
        self._records = records
        self._rate = rate
        self._at_least = at_least
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        begun = time.monotonic()
        for number, record in enumerate(self._records):
            rest = begun + number / self._rate - time.monotonic()
            is_ending = self._is_ending.wait(rest) if rest > 0 else self._is_ending.is_set()
            if is_ending and number >= self._at_least:
                return
            self._feed.write([record])

    def finish(self) -> Counter[str]:
        """Come to an end; return how many records were acknowledged, by topic.

        Raises:
            FeedError: One was not.
        """
        self._is_ending.set()
        self._thread.join()
        return self._feed.finish()

    def stop(self) -> None:
        """Write no more; harmless after `finish`."""
        self._at_least = 0
        self._is_ending.set()
        self._thread.join()

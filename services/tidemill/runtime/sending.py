"""Records to Kafka at once and acknowledged: what `produce` writes with."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, Producer

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError, Message

_QUEUE_FULL_WAIT_S = 0.1
_PACE_S = 0.05
_ANY_PARTITION = -1  # RD_KAFKA_PARTITION_UA


class Sender:
    """An idempotent producer that knows what was acknowledged.

    Partitions that are not named are chosen as Java's producer does, so that the plant's own
    writers and this one put an asset on the same partition.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, str]) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.failure: str | None = None
        self._said: set[str] = set()
        settings: dict[str, Any] = {  # Any: librdkafka's values
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "queue.buffering.max.messages": 100_000,
            "client.id": "tidemill-produce",
            "log_level": 0,
            **properties,
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "error_cb": self._on_error,
        }
        try:
            self._producer = Producer(settings)
        except (KafkaException, ValueError, TypeError) as error:
            raise ConfigError([f"-X: must be librdkafka settings, found {error}"]) from error

    def send(self, topic: str, *, key: str, value: bytes, partition: int | None = None) -> None:
        """Queue one record, waiting while the queue is full."""
        chosen = _ANY_PARTITION if partition is None else partition
        self.sent[topic] += 1
        while self.failure is None:
            try:
                self._producer.produce(
                    topic,
                    value=value,
                    key=key.encode(),
                    partition=chosen,
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(_QUEUE_FULL_WAIT_S)
            except KafkaException as error:
                self.failure = f"{topic}: {error}"
            else:
                self._producer.poll(0)
                return

    def wait_until(self, moment: float) -> None:
        """Serve delivery reports until `time.monotonic()` reads `moment`."""
        while self.failure is None and (rest := moment - time.monotonic()) > 0:
            self._producer.poll(min(rest, _PACE_S))

    def finish(self) -> bool:
        """Wait for every delivery report; return whether all records were acknowledged."""
        while self.failure is None and self._producer.flush(1.0):
            pass
        if self.failure is not None:
            self._producer.purge()
            self._producer.flush(1.0)
        return self.failure is None and self.acknowledged == self.sent

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged[str(message.topic())] += 1
        elif self.failure is None:
            self.failure = f"{message.topic()}: {error.str()}"

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() and self.failure is None:
            self.failure = error.str()
        if error.str() not in self._said:
            self._said.add(error.str())
            print(f"kafka: {error.str()}", file=sys.stderr)  # noqa: T201 - progress for a person

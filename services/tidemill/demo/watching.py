"""What the demo reads back: predictions and dead letters, as any subscriber would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.demo.plant import PARTITIONS
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.failures import check_message_error

if TYPE_CHECKING:
    from tidemill.demo.tally import Tally

BATCH = 2000


class Watcher:
    """Reads the outputs with `isolation.level=read_committed` into a tally."""

    def __init__(self, bootstrap: str, tally: Tally) -> None:
        self._tally = tally
        self._decode = codec("Prediction").decode
        self._reader = KafkaClients(bootstrap).reader()
        self._reader.assign(
            [
                TopicPartition(topic, partition, 0)
                for topic in (PREDICTIONS, EVENTS + SUFFIX)
                for partition in range(PARTITIONS)
            ]
        )

    def poll(self, timeout_s: float) -> None:
        """Take in what came."""
        for message in self._reader.consume(BATCH, timeout_s):
            error = message.error()
            if error is not None:
                check_message_error(error)
            elif message.topic() == PREDICTIONS:
                self._tally.note_prediction(self._decode(message.value()))
            else:
                headers = dict(message.headers() or [])
                self._tally.note_dead(headers[REASON_HEADER].decode())

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

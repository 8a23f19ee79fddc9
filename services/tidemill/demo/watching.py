"""What the demo reads back: predictions, explanations, dead letters; labels where they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    EVENTS,
    EXPLANATIONS,
    IMPORTANCES,
    LABELS,
    LEDGER,
    PREDICTIONS,
    UPDATES,
)
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.failures import check_message_error

if TYPE_CHECKING:
    from tidemill.demo.joining import Joiner
    from tidemill.demo.tally import Tally
    from tidemill.runtime.clients import RawMessage

BATCH = 2000
CHAMPION = "/champion"


class Watcher:
    """Reads the outputs with `isolation.level=read_committed` into a tally.

    Args:
        partitions: Of every topic.
        joiner: Given labels and predictions where the plant's labels come on their own topic.
    """

    def __init__(
        self, bootstrap: str, partitions: int, tally: Tally, joiner: Joiner | None
    ) -> None:
        self._tally = tally
        self._joiner = joiner
        self._decoded = {
            name: codec(name).decode
            for name in ("Prediction", "Explanation", "Importance", "Label", "LedgerEntry")
        }
        topics = [PREDICTIONS, EVENTS + SUFFIX]
        if tally.explanations is not None:
            topics += [EXPLANATIONS, IMPORTANCES]
        if joiner is not None:
            topics += [LABELS, LEDGER, UPDATES + SUFFIX]
        self._reader = KafkaClients(bootstrap).reader()
        self._reader.assign(
            [TopicPartition(topic, p, 0) for topic in topics for p in range(partitions)]
        )

    def poll(self, timeout_s: float) -> None:
        """Take in what came."""
        for message in self._reader.consume(BATCH, timeout_s):
            error = message.error()
            if error is not None:
                check_message_error(error)
            else:
                self._take(message)

    def _take(self, message: RawMessage) -> None:
        match message.topic():
            case topic if topic == PREDICTIONS:
                self._prediction(self._decoded["Prediction"](message.value()))
            case topic if topic == EXPLANATIONS and self._tally.explanations is not None:
                record = self._decoded["Explanation"](message.value())
                self._tally.explanations.note_explanation(record)
            case topic if topic == IMPORTANCES and self._tally.explanations is not None:
                record = self._decoded["Importance"](message.value())
                self._tally.explanations.note_ranking(record)
            case topic if topic == LABELS and self._joiner is not None:
                position = {
                    "topic": topic,
                    "partition": message.partition(),
                    "offset": message.offset(),
                }
                self._joiner.note_label(self._decoded["Label"](message.value()), position)
            case topic if topic == LEDGER:
                self._entry(self._decoded["LedgerEntry"](message.value()))
            case topic if topic == EVENTS + SUFFIX:
                headers = dict(message.headers() or [])
                self._tally.note_dead(headers[REASON_HEADER].decode())
            case _:
                self._tally.labels.set_aside += 1

    def _prediction(self, record: dict[str, Any]) -> None:  # Any: an Avro record
        self._tally.note_prediction(record)
        if self._joiner is not None:
            self._joiner.note_prediction(record)

    def _entry(self, record: dict[str, Any]) -> None:  # Any: as above
        for changed in record["models"]:
            if changed["model"].endswith(CHAMPION):
                self._tally.labels.steps[changed["asset"]] = changed["version"]

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

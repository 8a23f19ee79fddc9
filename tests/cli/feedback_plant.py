"""A plant with predictions on a broker, and something that answers feedback with receipts."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, Producer, TopicPartition

from asking.topics import START_US, prediction
from runtime.plants import write_plant
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, FEEDBACK, LABELS, PREDICTIONS, RECEIPTS
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.testing.plants import RECORD, sample_definition

from .command import Ran, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tidemill.kernel.records import Message

PARTITIONS = 3
DEADLINE_S = 300.0
# An asset and the partition of its predictions: not where any usual partitioner puts its key.
HOMES = {"north/1": 2, "south/1": 0}
EVENTS_EACH = 40
RECORDS = {
    FEEDBACK: "Feedback",
    RECEIPTS: "Receipt",
    PREDICTIONS: "Prediction",
    LABELS: "Label",
}
LATE = {"target": {"label": {"name": "is_faulty", "kind": "binary", "classes": [False, True],
                             "ttl": "8h"}}}  # fmt: skip
LOGISTIC = ("preprocessing.StandardScaler", "linear_model.LogisticRegression")


class Plant:
    """Predictions of two assets, `e0` to `e39` each, on partitions of their own."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        text = sample_definition(LOGISTIC, kind="binary", partitions=PARTITIONS, stream=LATE)
        self.definition = write_plant(folder, text, RECORD)
        assert run("topics", "-f", self.definition, "-b", bootstrap, "--execute").code == 0
        settings = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._producer = Producer({**settings, "enable.idempotence": True})
        for asset, partition in HOMES.items():
            for n in range(EVENTS_EACH):
                self.put(PREDICTIONS, self._prediction(asset, partition, n), partition)
        self.flush()

    @staticmethod
    def _prediction(asset: str, partition: int, n: int) -> dict[str, Any]:
        scores = {"true": n / 100, "false": 1 - n / 100}
        return prediction(
            f"e{n}",
            asset,
            time=START_US + n * 1_000_000,
            source={"topic": EVENTS, "partition": partition, "offset": 100 + n},
            value=None,
            probabilities=scores,
            outcome="false",
        )

    def put(self, topic: str, record: Mapping[str, Any], partition: int) -> None:
        value = codec(RECORDS[topic]).encode(record)
        self._producer.produce(topic, value, record["asset"].encode(), partition=partition)

    def put_bytes(self, topic: str, value: bytes, partition: int) -> None:
        self._producer.produce(topic, value, partition=partition)

    def flush(self) -> None:
        assert self._producer.flush(DEADLINE_S) == 0

    def messages(self, topic: str) -> list[Message]:
        log = KafkaLog(KafkaClients(self.bootstrap))
        found = [
            message
            for partition in range(PARTITIONS)
            for batch in log.read(topic, partition, *log.span(topic, partition))
            for message in batch
        ]
        log.close()
        return found

    def said(self, name: str) -> tuple[Message, dict[str, Any]]:
        """Return the one feedback with an id, and where it stands."""
        found = [
            (message, record)
            for message in self.messages(FEEDBACK)
            if (record := codec("Feedback").decode(message.value))["feedback_id"] == name
        ]
        ((message, record),) = found
        return message, record

    def run(self, command: str, *options: object) -> Ran:
        return run("feedback", command, "-b", self.bootstrap, *options)

    def sent(self, *options: object) -> tuple[Message, dict[str, Any]]:
        """Send one feedback; return it as it stands in its topic."""
        ran = self.run("send", "--actor", "anna", "--role", "operator", "--json", *options)
        assert ran.code == 0, ran
        (one,) = json.loads(ran.out)["sent"]
        return self.said(one["feedback"]["feedback_id"])

    @contextmanager
    def answering(self, answer: Callable[[Mapping[str, Any]], str | None]) -> Iterator[None]:
        """Write an ACCEPTED, then the receipt of this status for each feedback from now on."""
        ended, ready = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._answer, args=(answer, ready, ended))
        thread.start()
        try:
            assert ready.wait(DEADLINE_S)
            yield
        finally:
            ended.set()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def _answer(
        self,
        answer: Callable[[Mapping[str, Any]], str | None],
        ready: threading.Event,
        ended: threading.Event,
    ) -> None:
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "answering"})
        where = [TopicPartition(FEEDBACK, n) for n in range(PARTITIONS)]
        ends = [reader.get_watermark_offsets(each, DEADLINE_S)[1] for each in where]
        reader.assign([TopicPartition(FEEDBACK, n, end) for n, end in enumerate(ends)])
        ready.set()
        while not ended.is_set():
            message = reader.poll(0.1)
            if message is None or message.error() is not None:
                continue
            partition = message.partition()
            assert partition is not None
            record = codec("Feedback").decode(message.value())
            for status in ("ACCEPTED", answer(record)):
                if status is not None:
                    self.put(RECEIPTS, receipt(record, status), partition)
            self.flush()
        reader.close()


def receipt(record: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return a receipt for a feedback."""
    applied = status == "APPLIED"
    return {
        "feedback_id": record["feedback_id"],
        "status": status,
        "reason": "no such sensor" if status == "REFUSED" else None,
        "asset": record["asset"],
        "stream": record["stream"],
        "kind": record["kind"],
        "actor": record["actor"],
        "model": "pump/champion" if applied else None,
        "version": 312 if applied else None,
        "lineage": bytes(32) if applied else None,
        "effect": {"before": 0.91, "after": 0.5, "changed": 7, "compared": 20} if applied else None,
        "time": START_US,
    }

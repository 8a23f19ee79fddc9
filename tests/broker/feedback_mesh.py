"""A broker, stored predictions, and the feedback processor as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chaos.reading import QUIET, read_topic
from chaos.waiting import await_value
from chaos.workers import WorkerProcess
from feedback.stage import definition_text, prediction
from local.topics import create_topics
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topic_settings import settings_of
from tidemill.contracts.topics import (
    DECISIONS,
    FEEDBACK,
    PREDICTIONS,
    RECEIPTS,
    TOPICS,
    UPDATES,
    group_of,
)
from tidemill.local.kafka import EmbeddedKafka
from tidemill.runtime.locking import lock_records
from tidemill.testing.plants import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from chaos.reading import Record

PARTITIONS = 2
PREDICTED = 120
WITHIN_S = 300.0
# Reading a topic takes a consumer of its own.
LOOK_S = 0.5


def asset_of(partition: int) -> str:
    """Return the asset that has its home on a partition."""
    return f"plant/hall/line/pump-{partition}"


class FeedbackMesh:
    """All of it in a folder; everything ends with the block."""

    def __init__(self, folder: Path) -> None:
        self.kafka = EmbeddedKafka(folder / "broker")
        self.definition_path = folder / "plant.yaml"
        self.definition = parse_definition(definition_text())
        (folder / "avro").mkdir(parents=True)
        (folder / "avro" / "PumpReading.avsc").write_text(json.dumps(RECORD), "utf-8")
        self.definition_path.write_text(definition_text(), "utf-8")
        lock_records(folder / "avro")
        self._folder = folder
        self._workers: dict[str, WorkerProcess] = {}

    def __enter__(self) -> Self:
        self.kafka.start()
        admin = AdminClient({**QUIET, "bootstrap.servers": self.kafka.bootstrap})
        wanted = [NewTopic(t.name, PARTITIONS, 1, config=_settings(t.name)) for t in TOPICS]
        create_topics(admin, wanted)
        self._producer = Producer({**QUIET, "bootstrap.servers": self.kafka.bootstrap})
        for partition in range(PARTITIONS):
            self.predict(partition)
        self._group = Consumer(
            {
                **QUIET,
                "bootstrap.servers": self.kafka.bootstrap,
                "group.id": group_of("sample", "feedback"),
                "isolation.level": "read_committed",
            }
        )
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.destroy()
        self._group.close()
        self.kafka.stop()

    def predict(self, partition: int) -> None:
        """Write predictions on the events 0 to 119 of a partition."""
        asset = asset_of(partition)
        for number in range(PREDICTED):
            record = prediction(number, asset, partition)
            self.write(PREDICTIONS, partition, codec("Prediction").encode(record))
        self.flush()

    def write(self, topic: str, partition: int, value: bytes) -> None:
        """Write one record."""
        self._producer.produce(topic, value, partition=partition)

    def flush(self) -> None:
        """Wait until all is written."""
        assert self._producer.flush(WITHIN_S) == 0

    def abort(self, partition: int, values: Sequence[bytes]) -> None:
        """Write feedback in a transaction that aborts."""
        producer = Producer(
            {
                **QUIET,
                "bootstrap.servers": self.kafka.bootstrap,
                "transactional.id": "careless",
            }
        )
        producer.init_transactions(WITHIN_S)
        producer.begin_transaction()
        for value in values:
            producer.produce(FEEDBACK, value, partition=partition)
        producer.flush(WITHIN_S)
        producer.abort_transaction(WITHIN_S)

    def worker(self, name: str = "w0", *flags: str) -> WorkerProcess:
        """Return a worker, not yet started."""
        if name not in self._workers:
            command = [
                *(sys.executable, "-W", "error", "-m", "tidemill", "run", "feedback"),
                *("--instance", name, "-f", str(self.definition_path)),
                *("-b", self.kafka.bootstrap, "--per-minute", "100000", *flags),
            ]
            self._workers[name] = WorkerProcess(name, command, self._folder / f"{name}.log")
        return self._workers[name]

    def call(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Run a worker that ends by itself."""
        command = [
            *(sys.executable, "-W", "error", "-m", "tidemill", "run", "feedback"),
            *("-f", str(self.definition_path), "-b", self.kafka.bootstrap, *flags),
        ]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=WITHIN_S
        )

    def ends(self) -> list[int]:
        """Return the last stable offset of each partition of the feedback."""
        wanted = [TopicPartition(FEEDBACK, number) for number in range(PARTITIONS)]
        return [self._group.get_watermark_offsets(part, WITHIN_S)[1] for part in wanted]

    def read(self, topic: str) -> list[list[Record]]:
        """Return all committed records of a topic, by partition."""
        return read_topic(self.kafka.bootstrap, topic, PARTITIONS)

    def receipts(self) -> list[dict[str, Any]]:  # Any: Avro records
        """Return all receipts."""
        found = [record for part in self.read(RECEIPTS) for record in part]
        return [codec("Receipt").decode(record.value) for record in found]

    def answered(self) -> set[str]:
        """Return the ids that have a receipt."""
        return {receipt["feedback_id"] for receipt in self.receipts()}

    def await_answers(self, ids: set[str], worker: WorkerProcess) -> None:
        """Wait until each of the feedback has a receipt."""

        def all_there() -> bool:
            worker.check()
            return ids <= self.answered()

        await_value(all_there, lambda: f"{len(ids)} answers: {worker.said()}", WITHIN_S, LOOK_S)

    def committed(self) -> list[int]:
        """Return the committed offset of each partition of the feedback."""
        wanted = [TopicPartition(FEEDBACK, number) for number in range(PARTITIONS)]
        return [max(0, part.offset) for part in self._group.committed(wanted, WITHIN_S)]

    def await_all(self, worker: WorkerProcess) -> None:
        """Wait until all feedback is committed as done with, what is behind it included."""

        def is_done() -> bool:
            worker.check()
            try:
                return self.committed() == self.ends()
            except KafkaException:  # the broker that has just come up has no coordinator yet
                return False

        await_value(is_done, lambda: f"all is committed: {worker.said()}", WITHIN_S, LOOK_S)

    def causes(self) -> Mapping[tuple[str, int, int, int], set[bytes]]:
        """Return the different bytes of updates by their cause."""
        found: dict[tuple[str, int, int, int], set[bytes]] = {}
        for part in self.read(UPDATES):
            for record in part:
                assert record.value is not None
                cause = codec("Update").decode(record.value)["cause"]
                key = (cause["topic"], cause["partition"], cause["offset"], cause["index"])
                found.setdefault(key, set()).add(record.value)
        return found

    def decisions(self) -> dict[bytes, bytes | None]:
        """Return the newest value by key of the table's topic."""
        return {record.key or b"": record.value for part in self.read(DECISIONS) for record in part}


def _settings(name: str) -> dict[str, str]:
    """Return what is asked of a topic; of sizes Kafka's default, for the broker here takes more."""
    topic = next(t for t in TOPICS if t.name == name)
    asked = {s.name: s.value for s in settings_of(topic, is_production=False)}
    return {"max.message.bytes": "1048588", **asked}

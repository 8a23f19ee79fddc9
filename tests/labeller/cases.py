"""A plant in memory whose labels come apart from their events, and what must come of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.label_balance import Placed, check_labels, decoded, letter_of
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import LABELS, PREDICTIONS, TOPICS, UPDATES
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.records import Position
from tidemill.processors.labeller.processor import LabellerFactory
from tidemill.processors.labeller.streams import label_streams
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.memory_pending import MemoryPending
from tidemill.testing.plants import START_US, sample_definition

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

Record = dict[str, Any]  # Any: the values of an Avro record
PARTITIONS = 2
TTL_S = 100
STREAM = {"target": {"label": {"name": "wear", "kind": "regression", "ttl": f"{TTL_S}s"}}}
DEFINITION = parse_definition(sample_definition(partitions=PARTITIONS, stream=STREAM))


def second(number: float) -> int:
    """Return a time so many seconds after the plant began."""
    return START_US + round(number * 1e6)


def prediction(number: int, *, at_s: float = 0.0, asset: str = "press", **other: Any) -> Record:
    """Return the prediction of event `e<number>`."""
    source = {"topic": "sensor.events", "partition": 0, "offset": number}
    return {
        "event_id": f"e{number}",
        "asset": asset,
        "stream": "pump",
        "time": second(at_s),
        "source": source,
        "model": "pump/champion",
        "version": 3,
        "lineage": bytes(32),
        "value": number / 7,
        "features": {"vibration": number / 3, "flow": None},
        **other,
    }


def label(
    number: int, value: object = 1.0, *, at_s: float = 0.0, revision: int = 0, **other: Any
) -> Record:
    """Return a label of event `e<number>`."""
    return {
        "event_id": f"e{number}",
        "asset": "press",
        "value": value,
        "revision": revision,
        "time": second(at_s),
        **other,
    }


@dataclass
class Bench:
    """A cluster, a store and workers."""

    partitions: int = PARTITIONS
    definition: Any = DEFINITION
    batch: int = 20
    room: int = 1_000_000
    cluster: MemoryCluster = field(init=False)
    store: MemoryPending = field(init=False)
    driver: Driver = field(init=False)

    def __post_init__(self) -> None:
        topics = {topic.name: self.partitions for topic in TOPICS}
        self.cluster = MemoryCluster(topics)
        streams = label_streams(self.definition)
        ttls_us = {name: stream.ttl_us for name, stream in streams.items()}
        self.store = MemoryPending(self.partitions, ttls_us)
        self.driver = Driver(self.cluster, self.factory, batch=self.batch)

    def factory(self) -> LabellerFactory:
        return LabellerFactory(
            self.definition,
            self.store,
            lambda topic, n: self.cluster.log(topic, n).end,
            room=self.room,
        )

    def predict(
        self, number: int, partition: int = 0, *, made_s: float | None = None, **other: Any
    ) -> Position:
        """Write a prediction, made now, or so many seconds after the plant began."""
        record = prediction(number, **other)
        value = codec("Prediction").encode(record)
        key = record["asset"].encode()
        if made_s is None:
            return self.driver.send(PREDICTIONS, partition, value, key=key)
        log, made_ms = self.cluster.log(PREDICTIONS, partition), second(made_s) // 1000
        return Position(PREDICTIONS, partition, log.append(key, value, (), timestamp_ms=made_ms))

    def label(self, number: int, value: object = 1.0, partition: int = 0, **other: Any) -> Position:
        record = label(number, value, **other)
        encoded = codec("Label").encode(record)
        return self.driver.send(LABELS, partition, encoded, key=record["asset"].encode())

    def run(self, *instances: str) -> None:
        """Start workers, and let them read all there is."""
        for instance in instances or ("w0",):
            self.driver.start(instance)
        self.driver.drain()

    def rest(self, seconds: int = 5) -> None:
        """Let time pass in which nothing comes."""
        for _ in range(seconds):
            self.cluster.advance(1.0)
            for instance in self.driver.instances:
                self.driver.step(instance, 4)
        self.driver.drain()

    def updates(self) -> list[Record]:
        return [codec("Update").decode(m.value) for m in self.cluster.read(UPDATES)]

    def dead(self) -> list[tuple[str, Position]]:
        """Return why each label was set aside, and where it stood."""
        return sorted(map(dead_of, self.cluster.read(LABELS + SUFFIX)))


def place_of(update: Record) -> tuple[str, int, int, int]:
    cause = update["cause"]
    return cause["topic"], cause["partition"], cause["offset"], cause["index"]


def dead_of(letter: Message) -> tuple[str, Position]:
    reason, *where = letter_of(dict(letter.headers))
    return reason, Position(LABELS, *where)


def check_joined(bench: Bench) -> None:
    """Hold what was written against all predictions and labels; see `check_labels`."""
    cluster = bench.cluster
    labels = [
        Placed(codec("Label").decode(message.value), message.partition, message.offset)
        for message in cluster.read(LABELS)
    ]
    updates = [
        decoded("Update", (message.value for message in cluster.read(UPDATES, [partition])))
        for partition in range(cluster.count(UPDATES))
    ]
    predictions = decoded("Prediction", (message.value for message in cluster.read(PREDICTIONS)))
    dead = [letter_of(dict(message.headers)) for message in cluster.read(LABELS + SUFFIX)]
    check_labels(predictions, labels, updates, dead, ttl_s=TTL_S)

"""Topics, workers and readers for the runtime's tests."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.decided import await_decided
from local.topics import create_topics
from rules.counting import CountingFactory
from rules.wrapped import WrappedClients
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.worker import Worker, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NUMBERS = itertools.count()
PATIENCE_S = 240.0
ANSWER_S = 120.0
# Longer than any stall: what is sent at once is one batch, and read at once.
LINGER_MS = 60_000


class Bench:
    """Topics of their own on a shared broker, and workers of the counting processor."""

    def __init__(self, bootstrap: str, *, partitions: int = 2) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        self.name = f"bench{next(_NUMBERS)}x{time.monotonic_ns()}"
        self.workers: list[Worker] = []
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        topics = ("updates", "events", "sums", "events.dlq")
        self.create({f"{self.name}.{topic}": partitions for topic in topics})

    def create(self, counts: Mapping[str, int]) -> None:
        create_topics(self._admin, [NewTopic(n, c, 1) for n, c in counts.items()])

    @property
    def admin(self) -> AdminClient:
        return self._admin

    @property
    def group(self) -> str:
        return f"group.{self.name}"

    def topic(self, suffix: str) -> str:
        return f"{self.name}.{suffix}"

    def worker(
        self,
        instance: str = "a",
        *,
        factory: CountingFactory | None = None,
        clients: WrappedClients | None = None,
        **settings: Any,
    ) -> Worker:
        clients = clients or WrappedClients(self.bootstrap)
        worker = Worker(
            factory or CountingFactory(self.name),
            clients,
            WorkerSettings(
                group=self.group, instance=instance, partitions=self.partitions, **settings
            ),
            clock=time.monotonic,
            failures=clients.failures.take,
        )
        self.workers.append(worker)
        return worker

    def send(self, numbers: list[int | bytes], *, partition: int = 0, to: str = "events") -> None:
        settings = {"bootstrap.servers": self.bootstrap, "linger.ms": LINGER_MS, "log_level": 0}
        producer = Producer({**settings, "enable.idempotence": True})
        for number in numbers:
            value = number if isinstance(number, bytes) else str(number).encode()
            producer.produce(self.topic(to), value, b"k", partition=partition)
        assert producer.flush(ANSWER_S) == 0

    def send_in_transaction(self, numbers: list[int], *, is_aborted: bool = False) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "transactional.id": f"plant.{self.name}",
                "log_level": 0,
            }
        )
        producer.init_transactions(ANSWER_S)
        producer.begin_transaction()
        for number in numbers:
            producer.produce(self.topic("events"), str(number).encode(), b"k", partition=0)
        producer.flush(ANSWER_S)
        (producer.abort_transaction if is_aborted else producer.commit_transaction)(ANSWER_S)
        self._await_decided("events")

    def sums(self, *, partition: int = 0, isolation: str = "read_committed") -> list[int]:
        records = self.outputs(partition=partition, isolation=isolation)
        return [record["sum"] for record in records if record is not None]

    def outputs(
        self, *, partition: int = 0, to: str = "sums", isolation: str = "read_committed"
    ) -> list[dict[str, Any]]:
        reader = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "looker",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        reader.assign([TopicPartition(self.topic(to), partition, 0)])
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for message in reader.consume(1000, 0.02):
                if message.error() is not None:
                    reader.close()
                    return found
                found.append(json.loads(message.value() or b"null") if to == "sums" else {})
        msg = f"no end of {to} within {PATIENCE_S:g} s"
        raise AssertionError(msg)

    def committed(self, partition: int = 0) -> dict[str, int]:
        member = WrappedClients(self.bootstrap).member(self.group, "looker")
        names = [self.topic("updates"), self.topic("events")]
        found = member.committed([TopicPartition(n, partition) for n in names], ANSWER_S)
        member.close()
        return {part.topic.removeprefix(f"{self.name}."): part.offset for part in found}

    def step_until(self, condition: Callable[[], bool], *workers: Worker) -> None:
        """Turn the loops until a condition holds; the deadline only ends a failing test."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            for worker in workers or self.workers:
                worker.step()

    def settle(self, *workers: Worker) -> None:
        """Turn the loops until every input is read to the end that it has now."""
        chosen = workers or tuple(self.workers)
        ends = self._ends()

        def is_read() -> bool:
            read = {
                (topic, lane.partition): offset
                for worker in chosen
                for lane in worker._lanes
                if lane.is_ready
                for topic, offset in lane.positions.items()
            }
            idle = all(worker.idle_s() > 0.0 for worker in chosen)
            return idle and all(read.get(where, -1) >= end for where, end in ends.items())

        self.step_until(is_read, *chosen)
        self._await_decided("sums", "events.dlq")

    def _await_decided(self, *names: str) -> None:
        numbers = range(self.partitions)
        await_decided(self.bootstrap, [(self.topic(n), p) for n in names for p in numbers])

    def commit_marks(self, worker: Worker) -> None:
        """Turn the loop until what is read is committed too."""
        self.settle(worker)
        self.step_until(
            lambda: all(lane.committed == lane.positions for lane in worker._lanes), worker
        )

    def _ends(self) -> dict[tuple[str, int], int]:
        log = KafkaLog(KafkaClients(self.bootstrap), timeout_s=ANSWER_S)
        deadline = time.monotonic() + PATIENCE_S
        ends: dict[tuple[str, int], int] = {}
        for topic in (self.topic("updates"), self.topic("events")):
            for partition in range(self.partitions):
                while (topic, partition) not in ends:  # not yet known where it was just made
                    assert time.monotonic() < deadline, f"{topic}-{partition} must have an end"
                    with suppress(DependencyUnavailableError):
                        ends[topic, partition] = log.span(topic, partition)[1]
        log.close()
        return ends

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

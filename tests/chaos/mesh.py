"""A mesh of one broker and learners, in a folder, all of it real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chaos.plant import NAME
from chaos.reading import QUIET, read_topic
from chaos.waiting import POLL_S, LateError, await_value
from chaos.workers import WorkerProcess
from local.topics import create_topics
from tidemill.contracts.topic_settings import settings_of
from tidemill.contracts.topics import (
    EVENTS,
    LABELS,
    PREDICTIONS,
    TOPICS,
    UPDATES,
    group_of,
)
from tidemill.local.kafka import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.plant import Plant
    from chaos.reading import Record

ASK_S = 10.0
INPUTS = {
    "learner": (EVENTS, UPDATES),
    "labeller": (PREDICTIONS, LABELS),
    "drift": (EVENTS, UPDATES),
}
ANSWER_S = 180.0
ASSIGNED_WITHIN_S = 300.0
COMMAND_WITHIN_S = 3_600.0


class Mesh:
    """Broker, plant, topics and workers; everything ends with the block.

    Args:
        folder: Where all of it is kept.
        plant: The plant.
        flags: Further flags of `tidemill run learner`.
    """

    def __init__(self, folder: Path, plant: Plant, flags: Sequence[str] = ()) -> None:
        self.partitions = plant.partitions
        self.group = group_of(NAME, "learner")
        self.kafka = EmbeddedKafka(folder / "broker")
        self.workers: dict[str, WorkerProcess] = {}
        self._folder = folder
        self._flags = list(flags)
        folder.mkdir(parents=True, exist_ok=True)
        self.definition, self.key = plant.write(folder / "plant")

    def __enter__(self) -> Self:
        self.kafka.start()
        self._create_topics()
        self._asking = Consumer(
            {**QUIET, "bootstrap.servers": self.bootstrap, "group.id": self.group}
        )
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.destroy()
        self._asking.close()
        self.kafka.stop()

    @property
    def bootstrap(self) -> str:
        """Where clients connect."""
        return self.kafka.bootstrap

    def _create_topics(self) -> None:
        wanted = []
        for topic in TOPICS:
            settings = {s.name: s.value for s in settings_of(topic, is_production=False)}
            wanted.append(NewTopic(topic.name, self.partitions, 1, config=settings))
        admin = AdminClient({**QUIET, "bootstrap.servers": self.bootstrap})
        create_topics(admin, wanted)

    def start(self, *names: str) -> list[WorkerProcess]:
        """Start workers of these instance names."""
        started = []
        for name in names:
            if name not in self.workers:
                log = self._folder / f"{name}.log"
                self.workers[name] = WorkerProcess(name, self._command(name), log)
            self.workers[name].start()
            started.append(self.workers[name])
        return started

    def _command(self, name: str) -> list[str]:
        return self.tidemill("run", "learner", "--instance", name, *self.signed, *self._flags)

    def tidemill(self, *arguments: str) -> list[str]:
        """Return a command line of `tidemill` for this plant and broker."""
        connection = ["-f", str(self.definition), "-b", self.bootstrap]
        return [sys.executable, "-m", "tidemill", *arguments, *connection]

    @property
    def signed(self) -> list[str]:
        """The flags that name the signing key."""
        return ["--signing-key", str(self.key)]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `tidemill` to its end."""
        return subprocess.run(
            self.tidemill(*arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_WITHIN_S,
        )

    def audit(self, name: str, *flags: str) -> tuple[int, dict[str, Any]]:  # Any: JSON
        """Run `tidemill audit NAME`; return its exit code and what it found.

        Raises:
            RuntimeError: It found nothing to say.
        """
        done = self.call("audit", name, *flags, "--json", *self.signed)
        if not done.stdout.strip():
            msg = f"audit {name} must print JSON, exit code {done.returncode}: {done.stderr}"
            raise RuntimeError(msg)
        return done.returncode, json.loads(done.stdout)

    def check(self) -> None:
        """Hold that every worker that should live does."""
        for worker in self.workers.values():
            worker.check()

    def up(self) -> list[WorkerProcess]:
        """Return the workers that are up."""
        return [worker for worker in self.workers.values() if worker.is_up]

    def end(self) -> None:
        """End all workers in good order."""
        for worker in self.up():
            worker.end()

    def owned(self) -> dict[str, set[int]]:
        """Return the partitions that each worker says it works on."""
        return {worker.name: worker.assigned() for worker in self.up()}

    def await_owners(self, count: int) -> dict[str, set[int]]:
        """Wait until so many workers share all partitions, each having some."""

        def shared() -> dict[str, set[int]] | None:
            self.check()
            owned = {name: parts for name, parts in self.owned().items() if parts}
            numbers = sorted(number for parts in owned.values() for number in parts)
            is_shared = numbers == list(range(self.partitions)) and len(owned) == count
            return owned if is_shared else None

        return await_value(
            shared, lambda: f"{count} owners, found {self.owned()}", ASSIGNED_WITHIN_S
        )

    def lag(self) -> int | None:
        """Return how many offsets of the learners' inputs are not committed.

        None without an answer.
        """
        return self._lag_by(self._asking, INPUTS["learner"])

    def lag_of(self, processor: str) -> int | None:
        """Return the same of another processor."""
        group = group_of(NAME, processor)
        asking = Consumer({**QUIET, "bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            return self._lag_by(asking, INPUTS[processor])
        finally:
            asking.close()

    def _lag_by(self, asking: Consumer, topics: Sequence[str]) -> int | None:
        inputs = [
            TopicPartition(topic, number) for topic in topics for number in range(self.partitions)
        ]
        try:
            committed = asking.committed(inputs, ASK_S)
            ends = [asking.get_watermark_offsets(part, ASK_S)[1] for part in inputs]
        except KafkaException:
            return None
        return sum(
            max(0, end - max(0, part.offset)) for part, end in zip(committed, ends, strict=True)
        )

    def drain(self, deadline_s: float) -> None:
        """Wait until all that was written is committed as read.

        Raises:
            LateError: It takes longer than the deadline, or nothing moves any more.
        """
        lowest: int | None = None
        moved = time.monotonic()
        deadline = moved + deadline_s
        while lowest != 0:
            self.check()
            now, lag = time.monotonic(), self.lag()
            if lag is not None and (lowest is None or lag < lowest):
                lowest, moved = lag, now
            if now > deadline or now - moved > ASSIGNED_WITHIN_S:
                said = {worker.name: worker.said() for worker in self.up()}
                msg = f"all must be read within {deadline_s:g} s, {lowest} remain: {said}"
                raise LateError(msg)
            time.sleep(POLL_S)

    def read(self, topic: str, *, isolation: str = "read_committed") -> list[list[Record]]:
        """Return all records of a topic by partition."""
        return read_topic(self.bootstrap, topic, self.partitions, isolation=isolation)

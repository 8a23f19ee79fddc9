"""A mesh of one broker and learners, in a folder, all of it real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.cimpl import NewTopic

from chaos.plant import NAME
from chaos.reading import QUIET, read_topic
from chaos.waiting import POLL_S, LateError, await_value
from chaos.workers import WorkerProcess
from tidemill.contracts.topic_settings import settings_of
from tidemill.contracts.topics import EVENTS, TOPICS, UPDATES, group_of
from tidemill.local.kafka import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chaos.plant import PlantText
    from chaos.reading import Record

ASK_S = 5.0
ANSWER_S = 30.0  # a request that nobody waits for keeps its client from being closed
ASSIGNED_WITHIN_S = 120.0
COMMAND_WITHIN_S = 3_600.0


class Mesh:
    """Broker, plant, topics and workers; everything ends with the block.

    Args:
        folder: Where all of it is kept.
        plant: The plant.
        flags: Further flags of `tidemill run learner`.
    """

    def __init__(self, folder: Path, plant: PlantText, flags: Sequence[str] = ()) -> None:
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
        self.admin = AdminClient({**QUIET, "bootstrap.servers": self.bootstrap})
        self._create_topics()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.destroy()
        del self.admin  # closed while the broker answers
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
        for future in self.admin.create_topics(wanted).values():
            future.result(ANSWER_S)

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

    def audit(self) -> tuple[int, dict[str, Any]]:  # Any: JSON
        """Run `tidemill audit replay`; return its exit code and what it printed."""
        done = self.call("audit", "replay", "--json", *self.signed)
        if not done.stdout.strip():
            msg = f"audit replay must print JSON, exit code {done.returncode}: {done.stderr}"
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
        """Return the partitions of each instance; none while the broker does not answer."""
        asked = self.admin.describe_consumer_groups([self.group], request_timeout=ASK_S)
        try:
            members = asked[self.group].result(ANSWER_S).members
        except KafkaException:
            return {}
        owned: dict[str, set[int]] = {}
        for member in members:
            parts = member.assignment.topic_partitions if member.assignment else []
            owned.setdefault(str(member.group_instance_id), set()).update(
                part.partition for part in parts
            )
        return owned

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
        """Return how many offsets of the inputs are not committed; None without an answer."""
        try:
            return self._lag()
        except KafkaException:
            return None

    def _lag(self) -> int:
        inputs = [
            TopicPartition(topic, number)
            for topic in (EVENTS, UPDATES)
            for number in range(self.partitions)
        ]
        ends = self.admin.list_offsets(
            {part: OffsetSpec.latest() for part in inputs}, request_timeout=ASK_S
        )
        request = [ConsumerGroupTopicPartitions(self.group, inputs)]
        asked = self.admin.list_consumer_group_offsets(request, request_timeout=ASK_S)
        found = {part: future.result(ANSWER_S).offset for part, future in ends.items()}
        answer = asked[self.group].result(ANSWER_S)
        committed = {(p.topic, p.partition): max(0, p.offset) for p in answer.topic_partitions}
        return sum(
            max(0, end - committed[part.topic, part.partition]) for part, end in found.items()
        )

    def drain(self, deadline_s: float, each: Callable[[], None] | None = None) -> None:
        """Wait until all that was written is committed as read.

        Args:
            each: Called at every turn of the wait.

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
            if each is not None:
                each()
            time.sleep(POLL_S)

    def read(self, topic: str, *, isolation: str = "read_committed") -> list[list[Record]]:
        """Return all records of a topic by partition."""
        return read_topic(self.bootstrap, topic, self.partitions, isolation=isolation)

"""`tidemill skip` on a broker of its own: retention passed a worker, and it goes on."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from local.decided import await_decided
from local.steady import STEADY
from runtime.plants import write_plant
from tidemill.cli.skip import INPUTS
from tidemill.contracts.topics import EVENTS, LABELS, LEDGER, PREDICTIONS, UPDATES, group_of
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.errors import InvariantError
from tidemill.local.kafka import running
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.keys import read_key_file
from tidemill.runtime.sole_member import members
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.plants import RECORD, event_value, sample_definition, sample_terms

from .command import MISCONFIGURED, Ran, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tidemill.kernel.records import Message

pytestmark = pytest.mark.broker

DEADLINE_S = 300.0
# Longer than any stall: what is sent at once is one batch, and one transaction of a worker.
LINGER_MS = 60_000
GROUP = group_of("sample", "learner")


PARTITIONS = 2


class Mesh:
    """The sample plant on one broker, with one learner at a time; a partition for each test."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.plant = write_plant(folder, sample_definition(partitions=PARTITIONS), RECORD)
        self.key = folder / "key"
        self.where = ("-f", self.plant, "-b", bootstrap, "--signing-key", self.key)
        self.sent = 0
        assert run("keygen", self.key).code == 0
        assert run("topics", "-f", self.plant, "-b", bootstrap, "--execute").code == 0

    def send(self, partition: int, count: int) -> None:
        settings = {"bootstrap.servers": self.bootstrap, "linger.ms": LINGER_MS}
        producer = Producer({**settings, "enable.idempotence": True})
        for number in range(self.sent, self.sent + count):
            x = {"vibration": float(number % 7), "temperature": 60.0, "flow": 0.5}
            value = event_value("north/1", number, x, float(number % 3))
            producer.produce(EVENTS, value, b"north/1", partition=partition)
        assert producer.flush(DEADLINE_S) == 0
        self.sent += count

    def forget_before(self, partition: int, offset: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.delete_records([TopicPartition(EVENTS, partition, offset)]).values():
            future.result()

    def start(self) -> Worker:
        clients = KafkaClients(self.bootstrap)
        factory = LearnerFactory(
            sample_terms(partitions=PARTITIONS), SigningKey(read_key_file(self.key)), Policy()
        )
        settings = WorkerSettings(GROUP, "0", PARTITIONS)
        return Worker(
            factory, clients, settings, clock=time.monotonic, failures=clients.failures.take
        )

    def work(self) -> None:
        """Let a learner read all there is."""
        worker = self.start()
        deadline = time.monotonic() + DEADLINE_S
        try:
            while worker.idle_s() < 0.3:
                assert time.monotonic() < deadline
                worker.step()
        finally:
            worker.close()

    @contextmanager
    def member(self, instance: str, group: str = GROUP) -> Iterator[None]:
        """Be in the group under a worker's name, however long a command takes, and leave it."""
        about = {"group.id": group, "client.id": instance, "session.timeout.ms": 300_000}
        consumer = Consumer({"bootstrap.servers": self.bootstrap, **about})
        consumer.subscribe([EVENTS])
        deadline = time.monotonic() + DEADLINE_S
        while not consumer.assignment():
            assert time.monotonic() < deadline
            consumer.poll(0.1)
        try:
            yield
        finally:
            consumer.close()

    def await_empty_group(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while members(self.bootstrap, {}, GROUP):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def skip(self, partition: int, to: object, *options: object) -> Ran:
        chosen = (EVENTS, "--partition", partition, "--to", to, "--actor", "ann", "--json")
        return run("skip", *chosen, *self.where, *options)

    def read(self, topic: str, partition: int) -> list[Message]:
        await_decided(self.bootstrap, [(topic, partition)])
        log = KafkaLog(KafkaClients(self.bootstrap))
        begin, end = log.span(topic, partition)
        found = [message for batch in log.read(topic, partition, begin, end) for message in batch]
        log.close()
        return found


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("skip")
    with (
        pytest.MonkeyPatch.context() as patch,
        running(folder / "kafka", settings=STEADY) as broker,
    ):
        # A worker that ended is out of the group after 5 s instead of 10.
        patch.setattr("tidemill.runtime.clients.SESSION_TIMEOUT_MS", 5000)
        yield Mesh(folder, broker.bootstrap)


def document(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0
    decoded: dict[str, Any] = json.loads(ran.out)
    return decoded


def test_retention_passed_a_worker_and_the_operator_lets_it_go_on(mesh: Mesh) -> None:
    mesh.send(0, 40)
    mesh.work()
    mesh.send(0, 30)
    mesh.forget_before(0, 55)

    with pytest.raises(InvariantError, match=r"--to beginning --fall-back"):
        mesh.work()

    with mesh.member("0"):
        workers = document(mesh.skip(0, "beginning"))["workers"]
        refused = mesh.skip(0, "beginning", "--execute", "--fall-back")
    assert workers == ["0"]
    assert refused.code == MISCONFIGURED
    assert "must have no member, has 0: stop the workers" in refused.said

    mesh.await_empty_group()
    asked = document(mesh.skip(0, "beginning"))
    assert not asked["executed"]
    assert (asked["from"], asked["to"], asked["gone"], asked["passed_over"]) == (40, 55, 15, 0)
    assert [m["model"] for m in asked["models"]] == ["pump|north/1|pump/champion"]
    assert "--fall-back" in mesh.skip(0, "beginning", "--execute").said
    assert len(mesh.read(LEDGER, 0)) == 2

    assert document(mesh.skip(0, "beginning", "--execute", "--fall-back"))["executed"]
    mesh.work()
    mesh.send(0, 5)
    mesh.work()

    assert len(mesh.read(PREDICTIONS, 0)) == 40 + 15 + 5
    entries = [read_entry(message).entry for message in mesh.read(LEDGER, 0)]
    assert [action.kind for action in entries[2].actions] == ["skip", "rollback"]
    assert entries[2].positions == {EVENTS: 55, UPDATES: 0}
    assert entries[-1].models[0].version == 40 + 1 + 15 + 5


def test_a_group_that_never_was_has_no_member_and_only_inputs_are_skipped(
    mesh: Mesh,
) -> None:
    assert members(mesh.bootstrap, {}, "tidemill.none.learner") == []
    assert LearnerFactory.inputs == INPUTS
    labels = run("skip", LABELS, "-p", 0, "--to", "end", "--actor", "a", *mesh.where)
    assert labels.problems == (f"TOPIC: must be {UPDATES} or {EVENTS}, was {LABELS}",)


def test_records_are_passed_over_and_no_model_changes(mesh: Mesh) -> None:
    mesh.send(1, 40)
    mesh.work()
    mesh.send(1, 30)
    mesh.await_empty_group()

    assert mesh.skip(1, 39, "--execute").code == MISCONFIGURED
    assert mesh.skip(1, 71, "--execute").code == MISCONFIGURED
    done = document(mesh.skip(1, 60, "--execute"))
    mesh.work()

    assert (done["gone"], done["passed_over"], done["models"]) == (0, 20, [])
    entries = [read_entry(message).entry for message in mesh.read(LEDGER, 1)]
    assert [entry.kind for entry in entries] == ["GENESIS", "APPLIED", "ACTION", "APPLIED"]
    assert entries[-1].runs[0].first == 60
    assert entries[-1].models[0].version == 50

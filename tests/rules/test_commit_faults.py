"""Every fault a commit can have, by injection into the real learner: the same bytes come out."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.decided import await_decided
from local.steady import STEADY
from local.topics import create_topics, delete_topics
from rules.kept import KeptLog
from rules.wrapped import WrappedClients, raising
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, TOPICS
from tidemill.fold.audit.replay import replay
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.errors import InvariantError
from tidemill.local.kafka import EmbeddedKafka, running
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.plants import FEATURES, event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.broker

PARTITIONS = 2
EVENTS_SENT = 600
KEY = SigningKey(b"k" * 32)
TREE = ({"tree.HoeffdingTreeRegressor": {"grace_period": 50}},)
TERMS = sample_terms(TREE, partitions=PARTITIONS)
ABORTABLE = raising(KafkaError._STATE, txn_requires_abort=True)
TIMED_OUT = raising(KafkaError._TIMED_OUT, retriable=True)
PATIENCE_S = 300.0
ANSWER_S = 120.0
SMALL_RECORDS = {SNAPSHOTS: "10000", "model.anchors": "10000"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    with running(tmp_path_factory.mktemp("faults"), settings=STEADY) as kafka:
        yield kafka


class Plant:
    """The mesh's topics, made anew, with the same events each time."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def renew(self, largest: dict[str, str]) -> None:
        names = [topic.name for topic in TOPICS]
        delete_topics(self._admin, names)
        sizes = {name: {"max.message.bytes": largest.get(name, "1000000")} for name in names}
        wanted = [NewTopic(name, PARTITIONS, 1, config=size) for name, size in sizes.items()]
        create_topics(self._admin, wanted)
        self._send()

    def _send(self) -> None:
        rng = random.Random(5)
        # In order and once, also where the leader of a topic just made is not there yet.
        settings = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        producer = Producer({**settings, "enable.idempotence": True})
        for n in range(EVENTS_SENT):
            x = {name: rng.gauss(0, 1) for name in FEATURES}
            y = 3.0 * x["vibration"] if x["flow"] > 0 else -2.0 * x["temperature"]
            asset = f"plant/{n % 6}"
            value = event_value(asset, n, x, y + rng.gauss(0, 0.1))
            producer.produce(EVENTS, value, asset.encode(), partition=n % PARTITIONS)
        assert producer.flush(ANSWER_S) == 0
        log = KafkaLog(KafkaClients(self.bootstrap))
        sent = [log.span(EVENTS, number) for number in range(PARTITIONS)]
        log.close()
        assert sent == [(0, EVENTS_SENT // PARTITIONS)] * PARTITIONS

    def worker(self, clients: WrappedClients, group: str, *, chunk_bytes: int = 200_000) -> Worker:
        return Worker(
            LearnerFactory(TERMS, KEY, Policy(snapshot_every=100, chunk_bytes=chunk_bytes)),
            clients,
            WorkerSettings(group=group, instance="a", partitions=PARTITIONS, batch=100),
            clock=time.monotonic,
            failures=clients.failures.take,
        )

    def run(
        self,
        group: str,
        plan: Callable[[Worker, WrappedClients], None],
    ) -> None:
        """Read everything with one worker, faults as planned."""
        clients = WrappedClients(self.bootstrap)
        worker = self.worker(clients, group)
        plan(worker, clients)
        self.finish(worker)

    def finish(self, worker: Worker) -> None:
        """Turn the loop until every event is committed as read, hence predicted."""
        deadline = time.monotonic() + PATIENCE_S
        while not _is_done(worker):
            assert time.monotonic() < deadline, "the events were never all read"
            worker.step()
        worker.close()
        names = [topic.name for topic in TOPICS]
        await_decided(self.bootstrap, [(n, p) for n in names for p in range(PARTITIONS)])

    def predictions(self) -> list[list[bytes]]:
        log = KafkaLog(KafkaClients(self.bootstrap))
        found = [
            [
                m.value or b""
                for ms in log.read(PREDICTIONS, p, *log.span(PREDICTIONS, p))
                for m in ms
            ]
            for p in range(PARTITIONS)
        ]
        log.close()
        assert [len(part) for part in found] == [EVENTS_SENT // PARTITIONS] * PARTITIONS
        return found

    def entries(self) -> int:
        log = KafkaLog(KafkaClients(self.bootstrap))
        count = sum(len(ms) for ms in log.read(LEDGER, 0, *log.span(LEDGER, 0)))
        log.close()
        return count

    def check_replay(self) -> None:
        log = KafkaLog(KafkaClients(self.bootstrap))
        for partition in range(PARTITIONS):
            report = replay(KeptLog(log), partition)
            assert report.findings == [], report.findings
        log.close()


def _is_done(worker: Worker) -> bool:
    read = {lane.partition: lane.committed.get(EVENTS, 0) for lane in worker._lanes}
    return [read.get(number) for number in range(PARTITIONS)] == [
        EVENTS_SENT // PARTITIONS
    ] * PARTITIONS


@pytest.fixture(scope="module")
def plant(kafka: EmbeddedKafka) -> Plant:
    return Plant(kafka.bootstrap)


@pytest.fixture(scope="module")
def calm(plant: Plant) -> list[list[bytes]]:
    """What comes out when nothing happens."""
    plant.renew({})
    plant.run("calm", lambda _, __: None)
    plant.check_replay()
    return plant.predictions()


def on(when: str, call: str, *hooks: Callable[[], None]) -> Callable[..., None]:
    """Plan hooks around the third call of its kind and those that follow."""

    def plan(_: Worker, clients: WrappedClients) -> None:
        calm = [lambda: None] * 2
        getattr(clients.hooks, when)[call] += [*calm, *hooks]

    return plan


def committed_but_timed_out(_: Worker, clients: WrappedClients) -> None:
    clients.hooks.instead["commit_transaction"] += [None] * 3 + [lambda: None]
    clients.hooks.after["commit_transaction"] += [lambda: None] * 2 + [TIMED_OUT]


def past_the_deadline(worker: Worker, clients: WrappedClients) -> None:
    def late() -> None:
        worker._transactor._deadline_s = 0.0
        TIMED_OUT()

    def in_time() -> None:
        worker._transactor._deadline_s = PATIENCE_S

    clients.hooks.after["commit_transaction"] += [lambda: None] * 2 + [late]
    clients.hooks.before["init_transactions"].append(in_time)


def evicted(worker: Worker, clients: WrappedClients) -> None:
    def change() -> None:
        worker._membership._metadata = b"of another generation"

    clients.hooks.before["flush"] += [lambda: None] * 2 + [change]


FAULTS = {
    "before send_offsets": on("before", "send_offsets_to_transaction", ABORTABLE),
    "after send_offsets": on("after", "send_offsets_to_transaction", ABORTABLE),
    "send_offsets timed out": on("before", "send_offsets_to_transaction", TIMED_OUT, TIMED_OUT),
    "commit refused": on("before", "commit_transaction", ABORTABLE),
    "commit timed out, not done": on("before", "commit_transaction", TIMED_OUT, TIMED_OUT),
    "commit timed out, done": committed_but_timed_out,
    "commit timed out for ever": past_the_deadline,
    "evicted member": evicted,
    "offsets pending": on("before", "committed", TIMED_OUT, TIMED_OUT, TIMED_OUT),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_commit_leaves_the_same_bytes(
    plant: Plant, calm: list[list[bytes]], fault: str
) -> None:
    plant.renew({})
    plant.run(fault, FAULTS[fault])

    assert plant.predictions() == calm
    plant.check_replay()


def step_until(worker: Worker, deadline: float) -> None:
    while time.monotonic() < deadline:
        worker.step()


def test_a_worker_fenced_in_mid_transaction_leaves_the_rest_to_the_next(
    plant: Plant, calm: list[list[bytes]]
) -> None:
    plant.renew({})
    clients = WrappedClients(plant.bootstrap)
    first = plant.worker(clients, "fenced")
    deadline = time.monotonic() + PATIENCE_S
    while plant.entries() < 3:
        assert time.monotonic() < deadline
        first.step()
    usurper = WrappedClients(plant.bootstrap).producer(first._settings.transactional_id)
    clients.hooks.before["flush"].append(lambda: usurper.init_transactions(ANSWER_S))
    with pytest.raises(InvariantError, match="must belong to one worker"):
        step_until(first, deadline)
    first.close()
    plant.run("fenced", lambda _, __: None)

    assert plant.predictions() == calm
    plant.check_replay()


def test_snapshots_too_large_for_their_topic_are_written_in_smaller_chunks(
    plant: Plant, calm: list[list[bytes]]
) -> None:
    plant.renew(SMALL_RECORDS)
    clients = WrappedClients(plant.bootstrap, {"batch.size": "5000"})
    # To be halved twice; an abort costs seconds, since the client sends the rest again first.
    plant.finish(plant.worker(clients, "large", chunk_bytes=30_000))

    assert plant.predictions() == calm
    plant.check_replay()
    log = KafkaLog(KafkaClients(plant.bootstrap))
    keys = [m.key or b"" for ms in log.read(SNAPSHOTS, 0, *log.span(SNAPSHOTS, 0)) for m in ms]
    log.close()
    assert any(b"|#1" in key for key in keys), f"in chunks: {keys}"

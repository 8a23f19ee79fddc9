"""`tidemill assets` on a broker of its own: an asset is retired, and comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from local.decided import await_decided
from local.steady import STEADY
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    DRIFT_LEDGER,
    DRIFT_SNAPSHOTS,
    EVENTS,
    PREDICTIONS,
    SNAPSHOTS,
    TOPICS,
    group_of,
)
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.local.kafka import running
from tidemill.processors.drift.processor import DriftFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.keys import read_key_file
from tidemill.runtime.sole_member import members
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.plants import event_value, sample_terms

from .command import MISCONFIGURED, run
from .test_skip import DEADLINE_S, PARTITIONS, Mesh, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.records import Message

pytestmark = pytest.mark.broker

GONE, STAYS = "north/1", "south/2"
WATCHERS = group_of("sample", "drift")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("assets")
    with (
        pytest.MonkeyPatch.context() as patch,
        running(folder / "kafka", settings=STEADY) as broker,
    ):
        # A worker that ended is out of the group after 5 s instead of 10.
        patch.setattr("tidemill.runtime.clients.SESSION_TIMEOUT_MS", 5000)
        yield Mesh(folder, broker.bootstrap)


def send(mesh: Mesh, partition: int, asset: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": mesh.bootstrap, "enable.idempotence": True})
    for number in range(mesh.sent, mesh.sent + count):
        x = {"vibration": float(number % 7), "temperature": 60.0, "flow": 0.5}
        value = event_value(asset, number, x, float(number % 3))
        producer.produce(EVENTS, value, asset.encode(), partition=partition)
    assert producer.flush(DEADLINE_S) == 0
    mesh.sent += count


def versions(mesh: Mesh, asset: str, partition: int) -> list[int]:
    found = [codec("Prediction").decode(m.value) for m in mesh.read(PREDICTIONS, partition)]
    return [prediction["version"] for prediction in found if prediction["asset"] == asset]


def watch(mesh: Mesh) -> None:
    """Let a drift processor read all there is."""
    clients = KafkaClients(mesh.bootstrap)
    signing = SigningKey(read_key_file(mesh.key))
    factory = DriftFactory(sample_terms(partitions=PARTITIONS), signing, Policy())
    settings = WorkerSettings(WATCHERS, "w", PARTITIONS)
    worker = Worker(
        factory, clients, settings, clock=time.monotonic, failures=clients.failures.take
    )
    deadline = time.monotonic() + DEADLINE_S
    try:
        while worker.idle_s() < 0.3:
            assert time.monotonic() < deadline
            worker.step()
    finally:
        worker.close()


def await_no_watchers(mesh: Mesh) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while members(mesh.bootstrap, {}, WATCHERS):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def entry_of(message: Message) -> Entry:
    assert message.value is not None
    return Entry.decode(message.value)


def listed(mesh: Mesh, *options: object) -> list[dict[str, Any]]:
    """Return what is listed of partition 1: the other one is another test's."""
    found = document(run("assets", "list", "-b", mesh.bootstrap, "--json", *options))
    return [model for model in found["models"] if model["partition"] == 1]


def test_an_asset_is_retired_and_starts_anew_when_it_comes_back(mesh: Mesh) -> None:
    send(mesh, 1, GONE, 30)
    send(mesh, 1, STAYS, 20)
    mesh.work()
    watch(mesh)
    assert {(each["asset"], each["version"]) for each in listed(mesh)} == {(GONE, 30), (STAYS, 20)}
    chosen = (GONE, "--actor", "ann", "--json", *mesh.where)

    mesh.await_empty_group()
    await_no_watchers(mesh)
    with mesh.member("w", WATCHERS):
        refused = run("assets", "retire", *chosen, "--execute")
    assert refused.code == MISCONFIGURED
    assert f"consumer group {WATCHERS} must have no member, has w" in refused.said
    with mesh.member("7"):
        refused = run("assets", "retire", *chosen, "--execute")
    assert refused.code == MISCONFIGURED
    assert "must have no member, has 7: stop the workers" in refused.said
    mesh.await_empty_group()

    asked = document(run("assets", "retire", *chosen))
    assert not asked["executed"]
    (there,) = asked["partitions"]
    assert there["partition"] == 1
    assert there["models"] == [{"model": f"pump|{GONE}|pump/champion", "version": 30}]
    assert there["watched"]["streams"] == ["pump"]
    assert len(listed(mesh)) == 2
    assert document(run("assets", "retire", *chosen, "--execute"))["executed"]
    await_decided(mesh.bootstrap, [(topic.name, 1) for topic in TOPICS])

    assert [each["asset"] for each in listed(mesh)] == [STAYS]
    assert listed(mesh, "--asset", GONE) == []
    assert mesh.read(SNAPSHOTS, 1)[-1].value is None
    saved = {m.key: m.value for m in mesh.read(DRIFT_SNAPSHOTS, 1)}
    assert [key for key, value in saved.items() if value] == [f"pump|{STAYS}|drift".encode()]
    assert "'north/1' has none" in run("assets", "retire", *chosen).said

    send(mesh, 1, GONE, 5)
    send(mesh, 1, STAYS, 1)
    mesh.work()
    assert versions(mesh, GONE, 1)[-5:] == [31, 32, 33, 34, 35]
    assert versions(mesh, STAYS, 1)[-1] == 20
    assert [each["version"] for each in listed(mesh, "--asset", GONE)] == [36]
    watch(mesh)
    models = [each.models for each in map(entry_of, mesh.read(DRIFT_LEDGER, 1)) if each.models]
    assert {(each.asset, each.seen) for each in models[-1]} == {(GONE, 5), (STAYS, 21)}
    for audit in ("verify", "replay"):
        ran = run("audit", audit, "-b", mesh.bootstrap, "--signing-key", mesh.key, "--json")
        assert document(ran)["differences"] == 0


def test_what_the_command_says_can_be_read(mesh: Mesh) -> None:
    send(mesh, 0, "west/9", 3)
    mesh.work()
    said = run("assets", "list", "-b", mesh.bootstrap, "--stream", "pump").out
    assert "pump west/9 pump/champion version 3, 20" in said
    mesh.await_empty_group()
    ran = run("assets", "retire", "west/9", "--actor", "ann", *mesh.where)
    assert ran.out == "pump|west/9|pump/champion: version 3\n"
    assert "nothing was done" in ran.err

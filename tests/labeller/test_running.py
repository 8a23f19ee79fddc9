"""A labeller as it runs: what it needs to start, what its metrics say, how it waits for others."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing
from http import HTTPStatus
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from chaos.waiting import await_value
from cli.command import MISCONFIGURED, run
from labeller.cases import DEFINITION, PARTITIONS, Bench
from runtime.plants import TEXT, write_plant
from testing.clusters import OnBroker
from tidemill.contracts.topics import LABELS, PREDICTIONS, UPDATES
from tidemill.kernel.errors import ConfigError, InvariantError
from tidemill.local.redis import redis_running
from tidemill.processors.labeller.settings import Settings
from tidemill.runtime import written_ends
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.pending_redis import RedisPending
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.runtime.written_ends import WrittenEnds
from tidemill.testing.driver import Driver

if TYPE_CHECKING:
    from pathlib import Path

    from tidemill.local.kafka import EmbeddedKafka

NOWHERE = "127.0.0.1:1"
START_S = 180.0
AWAY_S = 1.0
LABEL = "label: {name: scrap, kind: binary, classes: [0, 1], ttl: 8h}"
FIELD = TEXT.replace("      count: {}\n", "").replace(
    LABEL, "field: {name: count, kind: regression}"
)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def status(port: str, path: str) -> int | None:
    """Return what a probe answers; None while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as told:
            return int(told.status)
    except OSError:
        return None


def samples(metrics: WorkerMetrics) -> dict[tuple[str, frozenset[str]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_without_a_stream_of_late_labels_there_is_nothing_to_do(tmp_path: Path) -> None:
    plant = str(write_plant(tmp_path, FIELD))
    command = [sys.executable, "-m", "tidemill", "run", "labeller", "-f", plant, "-b", NOWHERE]
    port = str(free_port())
    with Popen([*command, "--probe-port", port], stderr=PIPE) as process:
        ready = await_value(lambda: status(port, "/readyz"), lambda: "an answer", START_S)
        assert ready == status(port, "/livez") == HTTPStatus.OK
        process.terminate()
        said = process.communicate()[1]
    assert process.returncode == 0
    (line,) = map(json.loads, said.splitlines())
    assert (line["event"], line["processor"]) == ("nothing to do", "labeller")


def test_what_has_nothing_to_do_is_idle_from_the_start(tmp_path: Path) -> None:
    plant = str(write_plant(tmp_path, FIELD))
    command = [sys.executable, "-m", "tidemill", "run", "labeller", "-f", plant, "-b", NOWHERE]
    assert subprocess.run([*command, "--until-idle", "0"], check=False).returncode == 0


def test_without_redis_it_never_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.processors.labeller.__main__.START_PATIENCE_S", AWAY_S)
    plant = write_plant(tmp_path)
    none = run("run", "labeller", "-f", plant, "-b", NOWHERE, "--dir", tmp_path / "none")
    assert none.code == MISCONFIGURED
    assert "--redis or TIDEMILL_REDIS_URL" in none.said
    for given, env in (
        (["--redis", "redis://127.0.0.1:1/0"], {}),
        ([], {"TIDEMILL_REDIS_URL": "redis://127.0.0.1:1/0"}),
    ):
        away = run("run", "labeller", "-f", plant, "-b", NOWHERE, *given, env=env)
        assert away.code == MISCONFIGURED
        assert "redis://127.0.0.1:1/0" in away.said


def test_a_redis_that_throws_away_is_refused(tmp_path: Path) -> None:
    evicting = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with redis_running(tmp_path, settings=evicting) as redis:
        assert redis.url is not None
        store = RedisPending(redis.url, ("p", str), 1, {"s": 1})
        with closing(store), pytest.raises(ConfigError, match=r"noeviction.*was allkeys-lru"):
            store.check()


@pytest.mark.parametrize(
    "settings", [{}, {"maxmemory": "100mb"}, {"maxmemory-policy": "allkeys-lru"}]
)
def test_a_redis_that_does_not_is_taken(tmp_path: Path, settings: dict[str, str]) -> None:
    with redis_running(tmp_path, settings=settings) as redis:
        assert redis.url is not None
        with closing(RedisPending(redis.url, ("p", str), 1, {"s": 1})) as store:
            store.check()


def test_every_setting_out_of_range_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(tmp_path, NOWHERE, None, "a b", batch=0, wait_ms=0, room=0, probe_port=-1)
    assert len(refused.value.problems) == 5


def test_metrics_say_what_came_of_labels_and_what_waits() -> None:
    bench = Bench()
    metrics = WorkerMetrics("labeller", clock=bench.cluster.now)
    worker = Worker(
        bench.factory(),
        bench.cluster.process(),
        WorkerSettings("tidemill.sample.labeller", "a", PARTITIONS),
        clock=bench.cluster.now,
        observer=metrics,
        wall=lambda: bench.cluster.now_ms() / 1000,
    )

    def turn() -> None:
        for _ in range(400):
            worker.step()

    for number in range(4):
        bench.predict(number, at_s=number)
    bench.predict(0, quality=["DUPLICATE"])
    bench.predict(9, features=None)
    turn()
    for value, revision in ((1.0, 0), (2.0, 3), (2.0, 4), (9.0, 3), (9.0, 2)):
        bench.label(0, value, revision=revision)
        turn()
    bench.label(1, at_s=200)
    bench.label(77)
    turn()
    bench.driver.send(LABELS, 0, b"?")
    turn()
    found = samples(metrics)
    labels = {
        result: found["tidemill_labels_total", frozenset({result})]
        for result in ("joined", "revised", "same", "duplicate", "superseded", "waiting")
    }
    assert labels == {
        "joined": 1,
        "revised": 1,
        "same": 1,
        "duplicate": 1,
        "superseded": 1,
        "waiting": 1,
    }
    for result, count in (("kept", 4), ("repeated", 1), ("without_features", 1)):
        assert found["tidemill_predictions_kept_total", frozenset({result})] == count
    assert found["tidemill_dead_letters_total", frozenset({LABELS, "late"})] == 1
    assert found["tidemill_dead_letters_total", frozenset({LABELS, "undecodable"})] == 1
    assert found["tidemill_waiting", frozenset({PREDICTIONS})] == 4
    assert found["tidemill_waiting", frozenset({LABELS})] == 1
    assert found["tidemill_records_total", frozenset({LABELS})] == 8


def test_what_is_read_again_is_told_and_not_counted() -> None:
    bench = Bench()
    for number in range(5):
        bench.predict(number)
        bench.label(number)
    bench.run()
    bench.driver.crash("w0")
    bench.store.wipe()
    metrics = WorkerMetrics("labeller", clock=bench.cluster.now)
    worker = Worker(
        bench.factory(),
        bench.cluster.process(),
        WorkerSettings("tidemill.driven", "w0", PARTITIONS),
        clock=bench.cluster.now,
        observer=metrics,
        wall=lambda: bench.cluster.now_ms() / 1000,
    )
    for _ in range(2000):
        worker.step()
    found = samples(metrics)
    assert found["tidemill_refolded_records_total", frozenset()] == 15
    assert found["tidemill_labels_total", frozenset({"joined"})] == 0
    assert len(bench.updates()) == 5


def test_one_worker_recovers_more_partitions_than_it_restores_at_once() -> None:
    bench = Bench(partitions=9, definition=DEFINITION.model_copy(update={"partitions": 9}))
    for number in range(18):
        bench.predict(number, number % 9)
    bench.run()
    bench.store.wipe()
    for number in range(18):
        bench.label(number, partition=(number + 4) % 9)
    bench.run()
    assert len(bench.updates()) == 18


def test_no_partition_is_served_before_all_are_recovered() -> None:
    bench = Bench()
    bench.predict(1, 0)
    bench.run("w0", "w1")
    bench.rest()
    bench.store.wipe()
    bench.driver.freeze("w1")
    bench.label(1, partition=0)
    bench.label(1, 2.0, partition=1)
    for _ in range(40):
        bench.driver.step("w0", 2)
    owners = {n for n in (0, 1) if bench.cluster.committed_offset("tidemill.driven", LABELS, n)}
    assert owners in (set(), {0, 1}), "one of two partitions alone was served"
    bench.driver.crash("w1")
    bench.driver.drain()
    assert len(bench.updates()) == 1


def test_offsets_that_are_gone_tell_no_label_again() -> None:
    bench = Bench()
    for number in range(6):
        bench.predict(number, number % 2)
        bench.label(number, at_s=0 if number % 3 else 101)
    bench.run()
    before = bench.updates()
    bench.store.wipe()
    bench.driver = Driver(bench.cluster, bench.factory, group="tidemill.anew")
    bench.run("w0", "w1")
    assert bench.updates() == before
    assert [reason for reason, _ in bench.dead()] == ["late", "late"]


def test_an_example_that_its_topic_refuses_halts() -> None:
    with pytest.raises(InvariantError, match=UPDATES):
        Bench().factory().write_smaller()


@pytest.mark.broker
def test_what_is_written_and_not_committed_lies_before_the_end(
    broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_ends, "ANSWER_S", START_S)
    cluster = OnBroker(broker.bootstrap)
    topic = cluster.create()
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topic})
    producer.init_transactions(180)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    producer.flush(180)
    clients = KafkaClients(broker.bootstrap)
    with closing(WrittenEnds(clients)) as written, closing(clients.reader()) as reader:
        assert written(topic, 0) == 1
        assert reader.get_watermark_offsets(TopicPartition(topic, 0), 180.0) == (0, 0)
    producer.abort_transaction(180)

"""`tidemill produce` on a real broker: every row once, where Java's producer would put it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported
from confluent_kafka.cimpl import NewTopic

from local.steady import STEADY
from local.topics import create_topics
from runtime.fake_registry import serving
from runtime.plants import TEXT, write_plant
from tidemill.contracts.codec import codec, schema_id_of
from tidemill.contracts.events import Event, EventReader
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.local.kafka import running
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.sending import Sender

from .command import MISCONFIGURED, run
from .plant_data import DATA_SETS, DataSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

PARTITIONS = 4
DEADLINE_S = 300.0
LARGEST = 50_000
ENDLESS = 40_000  # at a hundred a second
HEAD = "asset,time,event_id,force,count,recipe,scrap\n"


class Read(NamedTuple):
    partition: int
    key: str
    value: bytes


class Cluster:
    """A broker with the two topics that `produce` writes; reads what came since `mark`."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False}
        )
        self._marks: dict[tuple[str, int], int] = {}

    def create_topics(self) -> None:
        topics = [NewTopic(name, PARTITIONS, 1) for name in (EVENTS, LABELS)]
        create_topics(self._admin, topics)

    def count(self) -> int:
        """Return how many events there are since the mark."""
        ends = self._ends()
        return sum(ends[EVENTS, p] - self._marks[EVENTS, p] for p in range(PARTITIONS))

    def mark(self) -> None:
        self._marks = self._ends()

    def read(self, topic: str) -> list[Read]:
        """Return everything on `topic` since the mark, in order within a partition."""
        ends = self._ends()
        wanted = sum(ends[topic, p] - self._marks[topic, p] for p in range(PARTITIONS))
        self._consumer.assign(
            [TopicPartition(topic, p, self._marks[topic, p]) for p in range(PARTITIONS)]
        )
        found: list[Read] = []
        deadline = time.monotonic() + DEADLINE_S
        while len(found) < wanted and time.monotonic() < deadline:
            for message in self._consumer.consume(10_000, 0.2):
                assert message.error() is None, message.error()
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                found.append(Read(message.partition() or 0, key.decode(), value))
        assert len(found) == wanted
        return found

    def close(self) -> None:
        self._consumer.close()

    def _ends(self) -> dict[tuple[str, int], int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # untyped in confluent_kafka
        wanted = {
            TopicPartition(topic, partition): latest
            for topic in (EVENTS, LABELS)
            for partition in range(PARTITIONS)
        }
        deadline = time.monotonic() + DEADLINE_S
        while True:  # a topic just made has no leader for a moment
            try:
                found = self._admin.list_offsets(wanted, request_timeout=DEADLINE_S)
                return {(p.topic, p.partition): f.result().offset for p, f in found.items()}
            except KafkaException:
                if time.monotonic() > deadline:
                    raise


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker of this module's own, for the topics' names are fixed."""
    with running(tmp_path_factory.mktemp("produce"), settings=STEADY) as kafka:
        cluster = Cluster(kafka.bootstrap)
        cluster.create_topics()
        yield cluster
        cluster.close()


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    own_cluster.mark()
    return own_cluster


def rows(count: int, assets: int = 3) -> str:
    return HEAD + "".join(f"a{n % assets},{n},e{n},{n / 2},{n},m,{n % 2}\n" for n in range(count))


def written(folder: Path, csv: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(csv, "utf-8")
    return path


def decoded(plant: Path, messages: list[Read]) -> list[Event]:
    files = read_plant(plant)
    reader = EventReader(files.definition, files.writer_schemas)
    return [reader.read(message.value) for message in messages]


def murmur2(key: bytes) -> int:
    """Return Kafka's hash of a key. Source: Austin Appleby's MurmurHash2 with seed 0x9747b28c."""
    mix, mask = 0x5BD1E995, 0xFFFFFFFF
    found = 0x9747B28C ^ len(key)
    for start in range(0, len(key) - len(key) % 4, 4):
        word = int.from_bytes(key[start : start + 4], "little") * mix & mask
        found = (found * mix & mask) ^ ((word ^ word >> 24) * mix & mask)
    if tail := key[len(key) - len(key) % 4 :]:
        found = (found ^ int.from_bytes(tail, "little")) * mix & mask
    found = (found ^ found >> 13) * mix & mask
    return found ^ found >> 15


def test_the_hash_of_this_test_is_kafkas() -> None:
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF
    assert murmur2(b"a-little-bit-long-string") == -985981536 & 0xFFFFFFFF


def test_every_row_is_one_event_in_order_on_the_partition_java_would_choose(
    cluster: Cluster, tmp_path: Path
) -> None:
    plant = write_plant(tmp_path)
    ran = run(
        "produce", written(tmp_path, rows(500, assets=7)), "-f", plant, "-b", cluster.bootstrap
    )

    assert ran.code == 0, ran
    assert ran.out == f"wrote 500 events to {EVENTS}, 0 labels to {LABELS}\n"
    messages = cluster.read(EVENTS)
    for message in messages:
        assert message.partition == (murmur2(message.key.encode()) & 0x7FFFFFFF) % PARTITIONS
    events = decoded(plant, messages)
    assert [message.key for message in messages] == [event.asset for event in events]
    for asset in range(7):
        own = [e.values["count"] for e in events if e.asset == f"a{asset}"]
        assert own == list(range(asset, 500, 7))
    assert {schema_id_of(message.value) for message in messages} == {1_500_001_000}


@pytest.mark.parametrize("data", DATA_SETS, ids=lambda data: data.file)
def test_public_data_becomes_one_event_per_row(
    data: DataSet, cluster: Cluster, tmp_path: Path
) -> None:
    source, plant = data.path(tmp_path), tmp_path / "plant.yaml"
    options = ["--partitions", PARTITIONS, *data.options]
    assert run("init", source, "-f", plant, *options).code == 0
    times = [] if data.timed else ["--start", "2024-01-01T00:00:00Z", "--step", "500ms"]
    ran = run(
        "produce", source, "-f", plant, "-b", cluster.bootstrap, "--asset", "site/line/m1",
        *times, *data.options,
    )  # fmt: skip

    assert ran.code == 0, ran
    messages = cluster.read(EVENTS)
    assert len(messages) == data.count(source)
    assert ran.out.startswith(f"wrote {len(messages)} events")
    events = decoded(plant, messages)
    assert {event.asset for event in events} == {"site/line/m1"}
    assert [e.time_us for e in events] == sorted(e.time_us for e in events)
    (stream,) = read_plant(plant).definition.streams
    numeric = [feature.name for feature in stream.features if feature.kind == "numeric"]
    assert all(isinstance(event.values[name], int | float) for event in events for name in numeric)


def test_labels_follow_their_events_late_and_some_never(cluster: Cluster, tmp_path: Path) -> None:
    plant = write_plant(tmp_path)
    options = ["--label", "scrap", "--label-delay", "30s", "--label-missing", "0.25", "--seed", "7"]
    source = written(tmp_path, rows(400).replace(",time,", ",t,"))
    start = ["--start", "1970-01-01T00:00:00Z"]
    ran = run("produce", source, "-f", plant, "-b", cluster.bootstrap, *start, *options)

    assert ran.code == 0, ran
    messages = cluster.read(LABELS)
    found = re.fullmatch(r"wrote 400 events to sensor.events, (\d+) labels .*\n", ran.out)
    assert found is not None
    assert int(found[1]) == len(messages)
    assert 240 < len(messages) < 360
    labels = [codec("Label").decode(message.value) for message in messages]
    events = {e.event_id: e for e in decoded(plant, cluster.read(EVENTS))}
    for label in labels:
        event = events[label["event_id"]]
        assert label["time"] == event.time_us + 30_000_000
        assert label["value"] == str(int(event.values["count"]) % 2)
        assert label["asset"] == event.asset
    assert max(Counter(label["event_id"] for label in labels).values()) == 1


def test_a_rate_is_kept(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, plant = written(tmp_path, rows(30)), write_plant(tmp_path)
    moments: list[float] = []
    wait = Sender.wait_until

    def waiting(self: Sender, moment: float) -> None:
        moments.append(moment)
        wait(self, moment)
        assert time.monotonic() >= moment

    monkeypatch.setattr(Sender, "wait_until", waiting)
    begun = time.monotonic()
    ran = run("produce", source, "-f", plant, "-b", cluster.bootstrap, "--rate", 30)

    assert ran.code == 0
    assert time.monotonic() - begun >= 29 / 30
    assert [moment - moments[0] for moment in moments] == pytest.approx([n / 30 for n in range(30)])
    assert len(cluster.read(EVENTS)) == 30


def test_nothing_is_sent_when_one_row_is_wrong(cluster: Cluster, tmp_path: Path) -> None:
    source = written(tmp_path, rows(50) + "a1,51,e51,heavy,1,m,0\n")
    ran = run("produce", source, "-f", write_plant(tmp_path), "-b", cluster.bootstrap)

    assert ran.code == MISCONFIGURED
    assert "line 52: force must be a number, was 'heavy'" in ran.said
    assert cluster.read(EVENTS) == []


def test_ids_of_a_registry_are_used_where_one_is_named(cluster: Cluster, tmp_path: Path) -> None:
    source, plant = written(tmp_path, rows(5)), write_plant(tmp_path)
    arguments = ["produce", source, "-f", plant, "-b", cluster.bootstrap, "--label", "scrap"]
    with serving() as registry:
        env = {"TIDEMILL_SCHEMA_REGISTRY_URL": registry.url}
        early = run(*arguments, env=env)
        assert "sensor.events-plant.Press: must be registered" in early.said
        assert run("schemas", "register", "-f", plant, "--execute", env=env).code == 0
        assert run(*arguments, env=env).code == 0
        own = registry.subjects["sensor.events-plant.Press"]
        labels = registry.subjects["plant.labels-tidemill.Label"]

    assert {schema_id_of(m.value) for m in cluster.read(EVENTS)} == set(own)
    assert {schema_id_of(m.value) for m in cluster.read(LABELS)} == set(labels)


def test_another_partition_count_is_refused_before_anything_is_sent(
    cluster: Cluster, tmp_path: Path
) -> None:
    plant = write_plant(tmp_path, TEXT.replace("partitions: 4", "partitions: 8"))
    ran = run("produce", written(tmp_path, rows(5)), "-f", plant, "-b", cluster.bootstrap)

    assert ran.code == MISCONFIGURED
    assert "sensor.events: must have 8 partitions as the definition says, has 4" in ran.said
    assert cluster.read(EVENTS) == []


def test_what_cannot_be_sent_ends_in_exit_1_and_the_true_count(
    cluster: Cluster, tmp_path: Path
) -> None:
    source = written(tmp_path, rows(5) + f"a1,6,e6,1,1,{'m' * LARGEST},0\n")
    limit = ["-X", f"message.max.bytes={LARGEST}"]
    ran = run("produce", source, "-f", write_plant(tmp_path), "-b", cluster.bootstrap, *limit)

    assert ran.code == 1
    assert "not all was acknowledged" in ran.err
    found = re.fullmatch(r"wrote (\d+) events to sensor.events, 0 labels .*\n", ran.out)
    assert found is not None
    assert int(found[1]) == len(cluster.read(EVENTS)) < 6


def test_a_broker_that_dies_under_it_ends_in_exit_1(tmp_path: Path) -> None:
    source, plant = written(tmp_path, rows(ENDLESS)), write_plant(tmp_path)
    with running(tmp_path / "kafka", settings=STEADY) as kafka:
        cluster = Cluster(kafka.bootstrap)
        cluster.create_topics()
        cluster.mark()
        settings = ["-X", "message.timeout.ms=30000", "--rate", "100"]
        command = ["produce", str(source), "-f", str(plant), "-b", kafka.bootstrap, *settings]
        code = "from tidemill.cli import main; main()"
        with subprocess.Popen(
            [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            deadline = time.monotonic() + DEADLINE_S
            # The first second's rows come in one burst, unacknowledged when they are first seen.
            while cluster.count() < 300:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            kafka.kill()
            out, err = process.communicate(timeout=DEADLINE_S)
        cluster.close()

    assert process.returncode == 1, err
    assert b"not all was acknowledged: sensor.events" in err
    found = re.fullmatch(rb"wrote (\d+) events to sensor.events, 0 labels .*\n", out)
    assert found is not None
    assert 0 < int(found[1]) < ENDLESS


def test_check_finds_topics_that_are_missing(cluster: Cluster, tmp_path: Path) -> None:
    ran = run("check", "-f", write_plant(tmp_path), "-b", cluster.bootstrap)

    assert ran.code == MISCONFIGURED
    assert "model.predictions: must exist; create it by `tidemill topics --execute`" in ran.said
    assert not any(problem.startswith("sensor.events:") for problem in ran.problems)

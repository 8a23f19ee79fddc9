"""`tidemill explain` on a broker of its own, beside a learner and an explainer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from local.steady import STEADY
from runtime.plants import write_plant
from tidemill.cli import explain
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    ANCHORS,
    EVENTS,
    EXPLANATIONS,
    IMPORTANCES,
    LEDGER,
    PREDICTIONS,
    TOPICS,
    group_of,
)
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.errors import InvariantError
from tidemill.local.kafka import running
from tidemill.processors.explainer.processor import ExplainerFactory
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.keys import read_key_file
from tidemill.runtime.reach import partition_counts
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.plants import RECORD, event_value, sample_definition, sample_terms

from .command import MISCONFIGURED, Ran, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message

pytestmark = pytest.mark.broker

DEADLINE_S = 300.0
PARTITIONS = 2
POLICY = Policy(snapshot_every=30, anchor_every=30)
ALL = sample_terms(partitions=PARTITIONS)
ON_REQUEST = sample_terms(partitions=PARTITIONS, stream={"explanations": {"which": "on_request"}})
# Events of partition 0 that the explainer explains, then those that wait for a request.
EXPLAINED, ASKED_FOR = 150, 40


class Mesh:
    """The sample plant on one broker."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.plant = write_plant(folder, sample_definition(partitions=PARTITIONS), RECORD)
        self.key = folder / "key"
        assert run("keygen", self.key).code == 0
        assert run("topics", "-f", self.plant, "-b", bootstrap, "--execute").code == 0

    def send(self, partition: int, asset: str, numbers: range) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True})
        for n in numbers:
            x = {"vibration": n % 7 / 7, "temperature": 60.0 + n % 5, "flow": n % 3 / 3}
            producer.produce(EVENTS, event_value(asset, n, x, n % 7), partition=partition)
        assert producer.flush(DEADLINE_S) == 0

    def work(self, terms: Terms) -> None:
        """Let a learner, then an explainer read all there is."""
        signing = SigningKey(read_key_file(self.key))
        learner = LearnerFactory(terms, signing, POLICY)
        explainer = ExplainerFactory(terms, signing, POLICY)
        for factory in (learner, explainer):
            clients = KafkaClients(self.bootstrap)
            group = group_of("sample", factory.name)
            settings = WorkerSettings(group, "0", PARTITIONS, batch=20)
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

    def read(self, topic: str, partition: int) -> list[Message]:
        log = KafkaLog(KafkaClients(self.bootstrap))
        begin, end = log.span(topic, partition)
        found = [message for batch in log.read(topic, partition, begin, end) for message in batch]
        log.close()
        return found

    def traces(self) -> tuple[Any, ...]:
        """Return what would show that something was written or a group joined."""
        log = KafkaLog(KafkaClients(self.bootstrap))
        spans = [log.span(topic.name, n) for topic in TOPICS for n in range(PARTITIONS)]
        log.close()
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        groups = admin.list_consumer_groups().result().valid
        return spans, sorted(group.group_id for group in groups)

    def explain(self, name: str, *options: object) -> Ran:
        return run("explain", name, "-b", self.bootstrap, "--signing-key", self.key, *options)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("explain")
    with running(folder / "kafka", settings=STEADY) as broker:
        made = Mesh(folder, broker.bootstrap)
        made.send(0, "north/1", range(EXPLAINED))
        made.work(ALL)
        made.send(0, "north/1", range(EXPLAINED, EXPLAINED + ASKED_FOR))
        made.send(1, "south/1", range(7, 9))
        made.work(ON_REQUEST)
        yield made


def document(ran: Ran) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(ran.out)
    return decoded


def test_an_explanation_that_was_written_is_found_with_all_that_belongs_to_it(mesh: Mesh) -> None:
    ran = mesh.explain("e20", "--json")
    said = document(ran)
    (stored,) = [m for m in mesh.read(EXPLANATIONS, 0) if _names(m, "e20")]
    assert ran.code == 0
    assert (said["event_id"], said["asset"], said["made"]) == ("e20", "north/1", None)
    assert said["explanation"]["position"]["offset"] == stored.offset
    record = codec("Explanation").decode(stored.value)
    assert said["explanation"]["attributions"] == record["attributions"]
    assert said["explanation"]["lineage"] == record["lineage"].hex()
    assert said["prediction"]["lineage"] == said["explanation"]["lineage"]
    assert said["label"]["value"] == 20 % 7
    assert said["importances"]["asset"]["asset"] == "north/1"
    assert said["importances"]["stream"]["asset"] is None


def _names(message: Message, event_id: str) -> bool:
    return bool(codec("Explanation").decode(message.value)["event_id"] == event_id)


def test_where_none_was_written_it_is_made_now_and_leaves_no_trace(mesh: Mesh) -> None:
    before = mesh.traces()
    ran = mesh.explain(f"{EVENTS}-0@{EXPLAINED + 30}", "--json")
    said = document(ran)
    assert ran.code == 0
    assert said["event_id"] == f"e{EXPLAINED + 30}"
    assert "made on request only" in said["explanation_absent"]
    assert said["made"]["first_entry"] > 1
    assert said["made"]["state"]["topic"] in {ANCHORS, "learner.snapshots"}
    assert said["explanation"]["prediction"] == pytest.approx(said["prediction"]["value"])
    assert mesh.traces() == before
    assert not any(_names(m, said["event_id"]) for m in mesh.read(EXPLANATIONS, 0))


def test_what_is_made_now_equals_what_the_explainer_wrote(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = document(mesh.explain("e100", "--json"))
    monkeypatch.setattr(
        explain,
        "partition_counts",
        lambda *where: {n: c for n, c in partition_counts(*where).items() if n != EXPLANATIONS},
    )
    made = document(mesh.explain("e100", "--json"))
    position = written["explanation"].pop("position")
    assert position["topic"] == EXPLANATIONS
    assert made["made"] is not None
    assert made["explanation"] == written["explanation"]


def test_each_role_has_its_own_text(mesh: Mesh) -> None:
    operator = mesh.explain("e60", "--role", "operator").out
    expert = mesh.explain("e60", "--role", "domain_expert").out
    scientist = mesh.explain("e60", "-f", mesh.plant).out
    assert operator.startswith("north/1, 2026-01-01 00:01:00 UTC: the model predicts wear ")
    assert "mm/s" in operator
    assert "lineage" not in operator
    assert "What the model goes by, north/1:" in expert
    assert "LINEAR" not in expert
    assert f"event        e60 of pump, north/1, 2026-01-01 00:01:00 UTC, {EVENTS}-0@60" in scientist
    assert "method       LINEAR, exact, in value" in scientist


def test_an_unknown_id_is_exit_1_and_says_why(mesh: Mesh) -> None:
    ran = mesh.explain("nobody")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "EVENT_ID: must name an event with a prediction, 'nobody' has none on partition 0, 1: it "
        "was never sent, or the learner has not come to it yet\n"
    )
    foreign = mesh.explain("e20", "--asset", "south/1", "--json")
    assert foreign.code == 1
    assert document(foreign)["found"] is False
    assert "an event of south/1 with" in foreign.err
    assert "ends before offset" in mesh.explain(f"{EVENTS}-1@4000").err


def test_an_id_of_several_assets_lists_them(mesh: Mesh) -> None:
    ran = mesh.explain("e7")
    assert ran.code == 1
    assert ran.out == f"{EVENTS}-0@7  pump  north/1\n{EVENTS}-1@0  pump  south/1\n"
    assert "'e7' names 2; name one by its position, or by --asset" in ran.err
    assert len(document(mesh.explain("e7", "--json"))["events"]) == 2
    for chosen in (("--asset", "south/1"), ("-p", "1")):
        said = document(mesh.explain("e7", "--json", *chosen))
        assert said["asset"] == "south/1"


def test_what_can_no_longer_be_explained_is_exit_1_and_shows_the_rest(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.fold.audit.starting.first_with_inputs", lambda *_: 1 << 40)
    ran = mesh.explain(f"e{EXPLAINED + 5}", "--json")
    said = document(ran)
    assert ran.code == 1
    assert said["explanation"] is None
    assert said["explanation_obstacle"] in ran.err
    assert said["prediction"]["event_id"] == f"e{EXPLAINED + 5}"


def test_what_is_wrong_with_the_options_is_a_configuration_error(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = mesh.explain("e1", "-p", 2)
    other = mesh.explain(f"{EVENTS}-0@1", "-p", 1)
    beyond = mesh.explain(f"{EVENTS}-9@1")
    assert far.code == other.code == beyond.code == MISCONFIGURED
    assert far.said == beyond.said.replace("was 9", "was 2")
    assert other.said == f"--partition: must be that of {EVENTS}-0@1, was 1"
    for topic in (LEDGER, PREDICTIONS):
        left = {LEDGER: 1, PREDICTIONS: 1}
        del left[topic]
        monkeypatch.setattr(explain, "partition_counts", lambda *_, left=left: left)
        assert mesh.explain("e1").said.startswith(f"{topic}: must exist at {mesh.bootstrap}")


def test_a_fold_that_differs_halts_and_names_the_entry(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.fold.replica.INPUTS_DIFFER", "so it was told")
    monkeypatch.setattr("tidemill.fold.replica.InputDigest.result", lambda _: b"another")
    with pytest.raises(InvariantError, match=r"of partition 0: a replica .*; so it was told"):
        mesh.explain(f"e{EXPLAINED + 30}")


@pytest.mark.parametrize("topic", [EXPLANATIONS, IMPORTANCES])
def test_what_the_explainer_writes_can_be_tailed(mesh: Mesh, topic: str) -> None:
    ran = run("tail", topic, "-b", mesh.bootstrap, "-e", "-c", 1)
    (line,) = ran.out.splitlines()
    value = json.loads(line)["value"]
    assert value["stream"] == "pump"
    assert value["time"].startswith("2026-01-01T00:")
    assert len(value["lineage"]) == 64

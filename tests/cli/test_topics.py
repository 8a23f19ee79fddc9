"""`tidemill topics` on a broker of its own: what is missing, short or wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.steady import STEADY
from local.topics import create_topics, delete_topics
from runtime.plants import write_plant
from tidemill.contracts.id_lock import LOCK_FILE
from tidemill.contracts.topics import EVENTS, LEDGER, SNAPSHOTS, TOPICS
from tidemill.local.kafka import running

from .command import MISCONFIGURED, Ran, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

NAMES = [topic.name for topic in TOPICS]
DEADLINE_S = 180.0


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("topics"), settings=STEADY) as broker:
        yield broker.bootstrap


@pytest.fixture
def empty(kafka: str) -> str:
    """The broker, without topics."""
    admin = AdminClient({"bootstrap.servers": kafka})
    delete_topics(admin, NAMES)
    return kafka


def create(bootstrap: str, name: str, partitions: int = 4, **settings: str) -> None:
    config = {key.replace("_", "."): value for key, value in settings.items()}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    create_topics(admin, [NewTopic(name, partitions, 1, config=config)])


def compare(bootstrap: str, plant: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the command with --json; return its exit code and each topic's part by name."""
    ran = run("topics", "-f", plant, "-b", bootstrap, "--json", *options)
    document = json.loads(ran.out)
    return ran.code, document | {topic["name"]: topic for topic in document["topics"]}


def shown(bootstrap: str, plant: Path, *options: str) -> Ran:
    return run("topics", "-f", plant, "-b", bootstrap, *options)


def test_a_dry_run_says_what_is_missing_and_does_nothing(empty: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path, lock=False)

    code, found = compare(empty, plant)

    assert code == 1
    assert {found[name]["state"] for name in NAMES} == {"create"}
    assert found["unlocked"] == ["plant.Press"]
    assert not (tmp_path / "avro" / LOCK_FILE).exists()
    assert compare(empty, plant) == (code, found)


def test_execute_creates_all_and_locks_the_records_once(empty: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path, lock=False)

    assert shown(empty, plant, "--execute").code == 0

    assert (tmp_path / "avro" / LOCK_FILE).exists()
    for options in ((), ("--execute",)):
        code, found = compare(empty, plant, *options)
        assert (code, found["ok"]) == (0, True)
        assert {found[name]["state"] for name in NAMES} == {"ok"}


def test_ids_come_from_a_registry_where_there_is_one(empty: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path, lock=False)
    env = {"TIDEMILL_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}

    assert run("topics", "-f", plant, "-b", empty, "--execute", env=env).code == 0

    assert not (tmp_path / "avro" / LOCK_FILE).exists()


def test_another_partition_count_is_refused_and_nothing_else_is_done(
    empty: str, tmp_path: Path
) -> None:
    plant = write_plant(tmp_path)
    create(empty, EVENTS, 3, retention_ms="-1")

    ran = shown(empty, plant, "--execute")

    assert ran.code == 1
    assert "partitions must be the definition's 4, are 3" in ran.out
    found = compare(empty, plant)[1]
    assert {found[name]["state"] for name in NAMES if name != EVENTS} == {"create"}


def test_a_short_retention_is_refused_accepted_or_raised(empty: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path)
    create(empty, EVENTS, retention_ms=str(7 * 24 * 3600 * 1000))

    refused = shown(empty, plant, "--execute")
    assert refused.code == 1
    assert "what is not retained cannot be replayed" in refused.out

    assert shown(empty, plant, "--execute", "--short-retention").code == 0
    assert compare(empty, plant, "--short-retention")[0] == 0
    assert compare(empty, plant)[1][EVENTS]["state"] == "refused"

    assert shown(empty, plant, "--execute", "--raise-retention").code == 0
    assert compare(empty, plant)[0] == 0


def test_limits_are_raised_where_that_is_safe(empty: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path)
    create(empty, LEDGER, retention_ms="-1", max_message_bytes="1000000")
    create(empty, SNAPSHOTS, cleanup_policy="delete")

    code, found = compare(empty, plant)

    assert code == 1
    assert [change["setting"] for change in found[LEDGER]["changes"]] == ["max.message.bytes"]
    assert found[SNAPSHOTS]["changes"][0] == {
        "setting": "cleanup.policy",
        "from": "delete",
        "to": "compact",
    }
    assert shown(empty, plant, "--execute").code == 0
    assert compare(empty, plant)[0] == 0


def test_production_asks_for_copies_also_of_kafkas_own_topics(empty: str, tmp_path: Path) -> None:
    code, found = compare(empty, write_plant(tmp_path), "--production", "--execute")

    assert code == 1
    assert "must be created with 3 copies, brokers are 1" in found[EVENTS]["refusals"][0]
    assert found["__consumer_offsets"]["state"] == "refused"
    assert found["__transaction_state"]["state"] == "refused"
    assert found[EVENTS]["create"]["min.insync.replicas"] == "2"


def test_too_many_copies_are_refused(empty: str, tmp_path: Path) -> None:
    ran = shown(empty, write_plant(tmp_path), "--replication", "2", "--execute")

    assert ran.code == 1
    assert "must be created with 2 copies, brokers are 1" in ran.out


def test_contradicting_options_are_a_configuration_error(kafka: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path)

    both = shown(kafka, plant, "--short-retention", "--raise-retention")
    few = shown(kafka, plant, "--production", "--replication", "2")

    assert both.code == few.code == MISCONFIGURED


def test_a_definition_that_is_wrong_is_said_before_a_broker_is_asked(tmp_path: Path) -> None:
    plant = write_plant(tmp_path, "plant: works\n")

    assert "partitions" in run("topics", "-f", plant, "-b", "127.0.0.1:1").said

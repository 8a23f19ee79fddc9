"""`tidemill audit` of the drift ledger, on topics in memory."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from cli.command import MISCONFIGURED, Ran, run
from drift.test_crashes_in_memory import Plant, disturbed
from drift.test_verifying import OtherLog, flipped, records
from drift.watched_plant import REFERENCE, terms
from tidemill.cli import audit
from tidemill.contracts.topics import DRIFT_LEDGER, EVENTS, LEDGER, PREDICTIONS
from tidemill.processors.drift.audit import Asked
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def plant() -> Plant:
    plant = Plant(terms())
    disturbed(plant, random.Random(3))
    return plant


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "signing.key"
    path.write_text(bytes(range(32)).hex(), "ascii")
    path.chmod(0o600)
    return path


def serve(patch: pytest.MonkeyPatch, log: MemoryLog) -> None:
    """Let the command find these topics at any broker, and watch as the tests do."""
    patch.setattr(MemoryLog, "close", lambda _: None, raising=False)
    patch.setattr(audit, "partition_counts", lambda *_: {LEDGER: 2, DRIFT_LEDGER: 2})
    patch.setattr(audit, "KafkaLog", lambda _: log)
    patch.setattr(
        "tidemill.processors.drift.audit.Asked", lambda span, known: Asked(span, REFERENCE, known)
    )


def call(name: str, *arguments: object) -> tuple[Ran, dict[str, Any]]:
    ran = run("audit", name, "-b", "localhost:1", "--json", *arguments)
    return ran, json.loads(ran.out) if ran.out else {}


def test_verify_walks_both_ledgers(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, key: Path
) -> None:
    serve(monkeypatch, MemoryLog(plant.cluster))
    ran, said = call("verify", "--signing-key", key)
    assert ran.code == 0, ran.said
    assert [each["ledger"] for each in said["partitions"]] == [LEDGER] * 2
    assert [each["ledger"] for each in said["drift"]] == [DRIFT_LEDGER] * 2
    assert all(each["counts"]["entries"] > 3 for each in said["drift"])

    event = records(plant, EVENTS, 1)[17]
    serve(monkeypatch, OtherLog(plant, event, flipped(event.value, 70)))
    ran, said = call("verify", "--signing-key", key)
    assert (ran.code, said["differences"]) == (1, 1)
    (finding,) = said["drift"][1]["findings"]
    assert (finding["kind"], finding["offset"]) == ("input-altered", event.offset)


def test_replay_of_drift_takes_a_span(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, key: Path
) -> None:
    serve(monkeypatch, MemoryLog(plant.cluster))
    last = records(plant, DRIFT_LEDGER, 1)[-1]
    ran, said = call("replay", "--drift", "-p", 1, "--from", 9, "--to", 11, "--signing-key", key)
    assert (ran.code, said["differences"]) == (0, 0)
    (found,) = said["partitions"]
    assert (found["partition"], found["last_sequence"]) == (1, 11)
    assert last.offset > 11

    ran, said = call("replay", "--drift", "--to", f"{EVENTS}-0@30", "--signing-key", key)
    assert ran.code == 0
    (found,) = said["partitions"]
    assert found["last_sequence"] < 9


def test_positions_of_predictions_bound_drift_alone(
    monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    serve(monkeypatch, MemoryLog(plant.cluster))
    ran = run("audit", "replay", "-b", "localhost:1", "--to", f"{PREDICTIONS}-0@3")
    assert ran.code == MISCONFIGURED
    assert "--to: must be a ledger sequence" in ran.said
    ran, said = call("replay", "--drift", "--from", f"{PREDICTIONS}-0@3")
    assert ran.code == 0
    assert said["partitions"][0]["notes"] == ["no entry lies in this span"]

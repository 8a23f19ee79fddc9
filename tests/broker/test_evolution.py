"""The plant's record changes while a learner runs: no restart, no gap, models kept."""

from __future__ import annotations

import json
import struct
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from broker.evolving import EVENT, FIRST, LATER, PARTITIONS, EvolvingPlant, PlainRiver, Writer
from broker.evolving import readings as endless
from chaos.audited import check_honest
from chaos.feeding import Feed, Outgoing
from chaos.mesh import Mesh
from tidemill.contracts.codec import codec
from tidemill.contracts.id_lock import LOCK_FILE, locked_id, read_lock
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.runtime.locking import lock_records
from tidemill.runtime.registry import BACKWARD, REGISTRY_VARIABLE, Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from broker.evolving import Schema
    from chaos.workers import WorkerProcess

EACH = 120
DRAIN_S = 600.0
STRANGE = struct.pack(">bI", 0, 123_456) + b"nobody knows this"


class Evolving:
    """Writes to a mesh as plants do of which one half is always ahead of the other."""

    def __init__(self, mesh: Mesh, give_id: Callable[[Schema], int]) -> None:
        self._mesh = mesh
        self._give_id = give_id
        self._feed = Feed(mesh.bootstrap)
        self._river = PlainRiver()
        self._readings = endless(11)
        self.expected: dict[str, float] = {}

    def writer(self, schema: Schema) -> Writer:
        return Writer(self._give_id(schema), schema)

    def write(self, *writers: Writer) -> None:
        for n, reading in enumerate(islice(self._readings, EACH)):
            writer = writers[n // PARTITIONS % len(writers)]
            said = self._river.say_and_learn(reading, writer.seen(reading))
            self.expected[f"e{reading.number}"] = said
            self._put(reading.partition, writer.value(reading))
        self.drain()

    def write_strange(self) -> None:
        self._put(0, STRANGE)
        self.drain()

    def drain(self) -> None:
        self._feed.finish()
        self._mesh.drain(DRAIN_S)

    def _put(self, partition: int, value: bytes) -> None:
        self._feed.write([Outgoing(EVENTS, partition, f"mill/{partition}".encode(), value)])


def evolve(mesh: Mesh, give_id: Callable[[Schema], int]) -> None:
    """Let the record take every change it may, and hold the answers against plain River."""
    (worker,) = mesh.start("w0")
    mesh.await_owners(1)
    evolving = Evolving(mesh, give_id)
    first = before = evolving.writer(FIRST)
    evolving.write(before)
    for schema in LATER.values():
        after = evolving.writer(schema)
        evolving.write(before, after)
        before = after
    evolving.write_strange()
    evolving.write(first, before)
    check_uninterrupted(worker)
    mesh.end()

    found = [codec("Prediction").decode(r.value) for part in mesh.read(PREDICTIONS) for r in part]
    assert len(found) == len(evolving.expected)
    assert {p["event_id"]: p["value"] for p in found} == evolving.expected
    for asset in {p["asset"] for p in found}:
        versions = [p["version"] for p in found if p["asset"] == asset]
        assert versions == list(range(len(versions)))
    letters = [record for part in mesh.read(EVENTS + SUFFIX) for record in part]
    assert [letter.headers[REASON_HEADER] for letter in letters] == [b"unknown-schema"]
    for name in ("verify", "replay"):
        check_honest(mesh, name)


def check_uninterrupted(worker: WorkerProcess) -> None:
    """Hold that states were rebuilt where the group gave partitions, and for no other reason.

    Where the machine stands still for longer than a session, the group gives them again.
    """
    given = [number for line in worker.told("assigned") for number in line["partitions"]]
    broken = [line["reason"] for line in worker.told("aborted")]
    in_words = [reason for reason in broken if " " in reason]  # Kafka's are names
    assert [reason for reason in in_words if "must answer" not in reason] == []
    rebuilt = [line["partition"] for line in worker.told("restored")]
    assert len(rebuilt) <= len(given) + PARTITIONS * len(broken)
    assert set(rebuilt) == set(range(PARTITIONS))


@pytest.mark.broker
def test_what_is_locked_while_a_learner_runs_is_read_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "plant" / "avro"

    def give_id(schema: Schema) -> int:
        (folder / "mill.avsc").write_text(json.dumps(schema), "utf-8")
        lock_records(folder)
        found = locked_id(read_lock((folder / LOCK_FILE).read_text("utf-8")), schema)
        assert found is not None
        return found

    with Mesh(tmp_path, EvolvingPlant()) as mesh:
        evolve(mesh, give_id)


@pytest.mark.broker
def test_what_is_registered_while_a_learner_runs_is_read_without_a_restart(
    tmp_path: Path, registry_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REGISTRY_VARIABLE, registry_url)
    registry = Registry(registry_url)

    def give_id(schema: Schema) -> int:
        return registry.register(EVENTS, schema, level=BACKWARD)

    with Mesh(tmp_path, EvolvingPlant()) as mesh:
        evolve(mesh, give_id)
    assert len(registry.versions(EVENTS, EVENT)) == 1 + len(LATER)

"""`tidemill dlq replay` with a broker and a learner: nothing lost, nothing sent twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from chaos.data import POWER, POWER_FEATURES, Row
from chaos.feeding import Feed, Outgoing
from chaos.mesh import Mesh
from chaos.plant import PlantText, event_id, event_value
from cli.command import run
from tidemill.contracts.codec import codec, wire_prefix
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.kernel.deadletters import SUFFIX
from tidemill.runtime.dlq_letters import REPLAYED_FROM
from tidemill.runtime.dlq_sending import partition_ends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.reading import Record

PARTITIONS = 2
ASSET = "north/1"
FIX = 'rules: [{when: {reason: contract}, map: {asset: {"": north/1}}}]'
WORKED_S = "2"
# Sends, waits until all of it is acknowledged, and dies where it would commit.
KILLED_BEFORE_COMMIT = """
import os, signal
from tidemill.cli import main
from tidemill.runtime import transactions
transactions.commit = lambda _: os.kill(os.getpid(), signal.SIGKILL)
main()
"""


def reading(number: int, asset: str = ASSET) -> bytes:
    x = tuple(float(number % (n + 2)) for n in range(len(POWER_FEATURES)))
    return event_value(Row(POWER, asset, x, float(number % 2)), number)


def records() -> Iterator[Outgoing]:
    """Yield 60 events: each fifth names no asset, and four more cannot be read."""
    for number in range(60):
        value = reading(number, "" if number % 5 == 0 else ASSET)
        yield Outgoing(EVENTS, number % PARTITIONS, ASSET.encode(), value)
    for value in (b"junk", wire_prefix(77) + b"?"):
        for partition in range(PARTITIONS):
            yield Outgoing(EVENTS, partition, ASSET.encode(), value)


class Plant:
    """One mesh whose learner has set records aside."""

    def __init__(self, mesh: Mesh, fix: Path) -> None:
        self.mesh = mesh
        self.fix = str(fix)

    def work(self) -> None:
        """Let a learner read all there is."""
        done = self.mesh.call(
            "run", "learner", "--instance", "w0", "--until-idle", WORKED_S, *self.mesh.signed
        )
        assert done.returncode == 0, done.stderr

    def replay(self, *options: str) -> tuple[int, dict[str, Any]]:  # Any: JSON
        done = self.mesh.call("dlq", "replay", "--json", *options)
        assert done.stdout.strip(), done.stderr
        return done.returncode, json.loads(done.stdout)

    def read(self, topic: str) -> list[Record]:
        return [record for part in self.mesh.read(topic) for record in part]

    def replayed(self) -> list[bytes]:
        headers = (record.headers or {} for record in self.read(EVENTS))
        return sorted(each[REPLAYED_FROM] for each in headers if REPLAYED_FROM in each)

    def predicted(self) -> list[str]:
        return [codec("Prediction").decode(r.value)["event_id"] for r in self.read(PREDICTIONS)]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    fix = tmp_path / "fix.yaml"
    fix.write_text(FIX, "utf-8")
    with Mesh(tmp_path / "mesh", PlantText(partitions=PARTITIONS)) as mesh:
        feed = Feed(mesh.bootstrap)
        feed.write(records())
        feed.finish()
        yield Plant(mesh, fix)


def outcomes(document: dict[str, Any]) -> dict[str, int]:  # Any: JSON
    return {
        word: sum(row.get(word, 0) for row in document["summary"])
        for word in ("send", "sent", "replayed", "unfixed", "loop")
    }


@pytest.mark.broker
def test_dead_letters_go_back_once_and_are_predicted(plant: Plant) -> None:
    plant.work()
    listed = json.loads(run("dlq", "list", "-b", plant.mesh.bootstrap, "--json").out)
    assert {p["reason"]: p["count"] for p in listed["dead_letters"]} == {
        "contract": 12,
        "undecodable": 2,
        "unknown-schema": 2,
    }
    before = plant.read(EVENTS)

    code, dry = plant.replay("--fix", plant.fix)
    assert (code, dry["executed"]) == (1, False)
    assert outcomes(dry) == {"send": 12, "sent": 0, "replayed": 0, "unfixed": 4, "loop": 0}
    assert plant.read(EVENTS) == before

    killed = subprocess.run(
        [
            *(sys.executable, "-c", KILLED_BEFORE_COMMIT),
            *plant.mesh.tidemill("dlq", "replay", "--fix", plant.fix, "--execute")[3:],
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ends = partition_ends(plant.mesh.bootstrap, {}, EVENTS, PARTITIONS)
    assert sum(ends.values()) >= len(before) + 12, "open transactions count, too"
    uncommitted = plant.mesh.read(EVENTS, isolation="read_uncommitted")
    assert sum(map(len, uncommitted)) == len(before) + 12

    code, done = plant.replay("--fix", plant.fix, "--execute")
    assert (code, done["executed"], outcomes(done)["sent"]) == (1, True, 12)
    code, idle = plant.replay("--fix", plant.fix, "--execute", "--reason", "contract")
    assert (code, outcomes(idle)["sent"], outcomes(idle)["replayed"]) == (0, 0, 12)
    assert len(plant.replayed()) == len(set(plant.replayed())) == 12

    plant.work()
    assert sorted(plant.predicted()) == sorted(event_id(number) for number in range(60))
    letters = plant.read(EVENTS + SUFFIX)
    assert len(plant.read(EVENTS)) == len(plant.read(PREDICTIONS)) + len(letters)
    assert plant.mesh.audit("verify")[0] == 0

    code, as_is = plant.replay("--as-is", "--execute", "--reason", "undecodable")
    assert (code, outcomes(as_is)["sent"]) == (0, 2)
    plant.work()
    code, again = plant.replay("--as-is", "--reason", "undecodable")
    assert (code, outcomes(again)["replayed"], outcomes(again)["loop"]) == (1, 2, 2)
    assert {r["replays"] for r in again["records"] if r["outcome"] == "loop"} == {1}


@pytest.mark.broker
def test_what_is_asked_wrongly_is_refused_before_anything_is_read(
    plant: Plant, tmp_path: Path
) -> None:
    wrong = str(tmp_path / "wrong.yaml")
    (tmp_path / "wrong.yaml").write_text("rules: [{set: {aset: north/1}}, {write_as: 3}]", "utf-8")

    for options, said in (
        (("model.predictions",), "TOPIC: must be model.updates or sensor.events"),
        (("-p", "2"), "-p: must be less than 2, was 2"),
        (("--reason", "bad"), "--reason: must be one of undecodable"),
        (("--fix", wrong), "rules[0].set.aset: must be a field of any record of this topic"),
        (("--fix", wrong), "rules[1].write_as: must be a schema id of this topic"),
        (("--from", "x"), "--from: must be an offset or an ISO 8601 time, was 'x'"),
    ):
        done = plant.mesh.call("dlq", "replay", *options)
        assert done.returncode == 78
        assert said in done.stderr

"""Drifts on the real broker: the same records whatever is killed, and again from the topics."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from chaos.feeding import Feed
from chaos.mesh import Mesh
from chaos.plant import SCALED
from chaos.reading import read_topic
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.waiting import await_value, is_less
from chaos.workers import WorkerProcess
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, EVENTS
from tidemill.kernel.records import Message
from tidemill.processors.drift.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.feeding import Outgoing

ASSETS = ("one", "two", "three")
CALM, SHIFTED = 5_600, 400
PARTS = 6
WITHIN_S = 600.0
SHEET = Sheet("line", ("a", "b", "c"), {"champion": [SCALED, "linear_model.LinearRegression"]})
PLANT = SheetPlant([SHEET], partitions=2)


def readings() -> list[Reading]:
    """Return events of three assets, whose first sensor is shifted at the end."""
    rng, found = random.Random(11), []
    for number in range(CALM + SHIFTED):
        for asset in ASSETS:
            load, shift = rng.gauss(0, 1), 5.0 * (number >= CALM)
            x = {"a": load + rng.gauss(shift, 0.5), "b": load + rng.gauss(0, 0.5)}
            found.append(Reading("line", asset, {**x, "c": rng.gauss(0, 1)}, load))
    return found


def expected() -> list[set[bytes | None]]:
    """Return what a plain loop over the events says of drifts, by partition."""
    told: list[set[bytes | None]] = []
    outgoing = list(PLANT.events(readings()))
    for partition in range(PLANT.partitions):
        watching = Watching(PLANT.terms(), partition)
        values = [each for each in outgoing if each.partition == partition]
        messages = [
            Message(EVENTS, partition, offset, each.key, each.value)
            for offset, each in enumerate(values)
        ]
        emits = watching.apply(messages, 0)
        told.append({emit.value for emit in emits if emit.topic == DRIFT})
    return told


def lags_less(mesh: Mesh, than: int) -> bool:
    """Return whether fewer records than so many are left to watch."""
    return is_less(mesh.lag_of("drift"), than)


def parts() -> Iterator[list[Outgoing]]:
    """Yield the events in parts."""
    outgoing = list(PLANT.events(readings()))
    size = -(-len(outgoing) // PARTS)
    for begin in range(0, len(outgoing), size):
        yield list(outgoing[begin : begin + size])


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_kills_at_random_points_change_no_record_and_a_replay_finds_no_difference(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)
    with Mesh(tmp_path, PLANT) as mesh:
        flags = ["--snapshot-every", "900", "--batch", "70"]
        command = mesh.tidemill("run", "drift", "--instance", "d0", *mesh.signed, *flags)
        worker = WorkerProcess("d0", command, tmp_path / "d0.log")
        try:
            worker.start()
            for part in parts():
                feed = Feed(mesh.bootstrap)
                feed.write(part)
                feed.finish()
                some = rng.randrange(1, len(part))
                await_value(partial(lags_less, mesh, some), worker.said, WITHIN_S)
                worker.kill()
                worker.start()
            await_value(partial(lags_less, mesh, 1), worker.said, WITHIN_S)
            worker.end()
        finally:
            worker.destroy()
        written = read_topic(mesh.bootstrap, DRIFT, PLANT.partitions)
        assert [{each.value for each in records} for records in written] == expected()
        assert [len(records) for records in written] == [len(each) for each in expected()]
        asked = [codec("Drift").decode(each.value) for records in written for each in records]
        assert {r["asset"] for r in asked if r["held"] and r["status"] == "OPEN"} == {*ASSETS}
        done = mesh.call("audit", "replay", "--drift", "--json", *mesh.signed)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["differences"] == 0
        near = mesh.call("audit", "replay", "--drift", "--from", "20", "--json", *mesh.signed)
        assert near.returncode == 0, near.stdout + near.stderr
        folded = [
            sum(part["counts"]["folded"] for part in json.loads(each.stdout)["partitions"])
            for each in (near, done)
        ]
        assert 0 < folded[0] < folded[1]
        held = mesh.call("audit", "verify", "--json", *mesh.signed)
        assert held.returncode == 0, held.stdout + held.stderr
        assert all(each["counts"]["told"] for each in json.loads(held.stdout)["drift"])

"""Labels on the real broker and the real Redis: each counts once, whatever happens to both."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from chaos.labelled import TTL_S, LabelledMesh
from chaos.pending import Size, prove_pending
from chaos.waiting import await_value
from tidemill.contracts.topics import UPDATES

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.feeding import Outgoing

EVENTS = 150
ROUNDS = 8
PARTITIONS = 4


def some_records(mesh: LabelledMesh, first: int, draw: random.Random) -> list[Outgoing]:
    """Return predictions and labels in any order: early, late, doubled, corrected, never."""
    records = []
    for number in range(first, first + EVENTS):
        records.append(mesh.prediction(number))
        if draw.random() < 0.2:
            continue
        after_s = TTL_S + 1.0 if draw.random() < 0.1 else 60.0
        for revision in range(draw.choice((1, 1, 1, 2, 3))):
            where = draw.randrange(PARTITIONS)
            value = float(draw.randrange(5))
            given = mesh.label(number, value, revision=revision, partition=where, after_s=after_s)
            records += [given] * draw.choice((1, 1, 1, 2))
    draw.shuffle(records)
    return records


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_each_label_counts_once_while_labellers_are_killed_and_redis_forgets(
    tmp_path: Path,
) -> None:
    draw = random.Random(6)
    with LabelledMesh(tmp_path, PARTITIONS) as mesh:
        mesh.labellers.start("l0", "l1")
        mesh.await_restored()
        written = 0
        for number in range(ROUNDS):
            mesh.write(some_records(mesh, number * EVENTS, draw))
            name = f"l{number % 2}"
            match number % 4:
                case 0:
                    mesh.labellers.workers[name].kill()
                    mesh.labellers.workers[name].start()
                case 1:
                    mesh.faults.wipe()
                case 2:
                    more = some_records(mesh, (ROUNDS + number) * EVENTS, draw)
                    mesh.faults.set_back(lambda records=more: mesh.write(records))  # type: ignore[misc]  # the default binds them
                case 3:
                    mesh.faults.restart()
            await_more(mesh, written)
            written = count(mesh)
        mesh.await_read()
        examples = mesh.check()
        mesh.labellers.end()
    assert examples > ROUNDS * EVENTS // 2


def count(mesh: LabelledMesh) -> int:
    return sum(map(len, mesh.mesh.read(UPDATES)))


def await_more(mesh: LabelledMesh, than: int) -> None:
    """Wait until labellers have gone on: something was joined after the last fault."""

    def is_more() -> bool:
        mesh.labellers.check()
        return count(mesh) > than

    await_value(is_more, lambda: f"more than {than} examples", 900.0, poll_s=0.2)


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_what_waits_is_joined_and_comes_back_after_a_wipe(tmp_path: Path) -> None:
    figures = prove_pending(tmp_path, Size(cases=2_000), print)

    assert figures["examples"].startswith("4,000")

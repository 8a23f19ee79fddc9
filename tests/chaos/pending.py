"""How many wait, in how much room, how fast they are joined, and how soon they come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.labelled import LabelledMesh
from tidemill.runtime.redis_client import RedisClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos.feeding import Outgoing
    from chaos.figures import Figures

NAME = "l0"


class Size(NamedTuple):
    """How many predictions wait for labels, and then labels for predictions."""

    cases: int


def prove_pending(folder: Path, size: Size, say: Callable[[str], None]) -> Figures:
    """Let predictions wait, wipe Redis, let labels come; then the other way round.

    Raises:
        BrokenPromiseError: A label is lost, or counted twice.
    """
    cases = size.cases
    with LabelledMesh(folder) as mesh:
        predictions = [mesh.prediction(number) for number in range(2 * cases)]
        labels = [
            mesh.label(number, number / 3, partition=number * 7 % 4) for number in range(2 * cases)
        ]
        kept = _half(mesh, "predictions kept for their label", predictions[:cases], labels[:cases])
        say("predictions first: done")
        held = _half(mesh, "labels before their prediction", labels[cases:], predictions[cases:])
        examples = mesh.check()
        if examples != 2 * cases:
            msg = f"each label must lead to one example, {2 * cases} labels led to {examples}"
            raise BrokenPromiseError(msg)
    return {"examples": f"{examples:,}, one for each label", **kept, **held}


class Took(NamedTuple):
    """How long the labeller took for something, and how much processor time."""

    seconds: float
    processor_s: float


def _half(mesh: LabelledMesh, what: str, first: list[Outgoing], second: list[Outgoing]) -> Figures:
    """Let the first half wait, be forgotten and come back; join it to the second."""
    empty = _used_bytes(mesh)
    mesh.write(first)
    kept = _read_all(mesh)
    room = (_used_bytes(mesh) - empty) / len(first)
    mesh.labellers.end()
    mesh.faults.wipe()
    restored = _restore(mesh)
    lines = list(mesh.labellers.workers[NAME].told("restored"))
    again = sum(line["refolded"] for line in lines)
    room_again = (_used_bytes(mesh) - empty) / len(first)
    mesh.labellers.end()
    mesh.write(second)
    joined = _read_all(mesh)
    mesh.labellers.end()
    return {
        what: f"{len(first):,}, read {_rate(kept, len(first))}",
        f"{what}: Redis bytes each": f"{room:,.0f}",
        f"{what}: after a wipe": f"{restored.seconds:.1f} s from the start of the process until "
        f"all is served, {restored.processor_s:.1f} s of processor time; {again:,} records read "
        f"again; {room_again:,.0f} bytes each",
        f"{what}: joined": f"{len(second):,}, {_rate(joined, len(second))}, committed",
    }


def _rate(took: Took, count: int) -> str:
    each_us = took.processor_s / count * 1e6
    return f"at {count / took.seconds:,.0f} a second, {each_us:.0f} us of processor time each"


def _restore(mesh: LabelledMesh) -> Took:
    """Start the labeller; return what it takes until all its partitions are served."""
    began = time.monotonic()
    mesh.labellers.start(NAME)
    mesh.await_restored()
    worker = mesh.labellers.workers[NAME]
    return Took(time.monotonic() - began, worker.processor_s())


def _read_all(mesh: LabelledMesh) -> Took:
    """Start the labeller; return what it takes from its last partition to the last record."""
    started = _restore(mesh)
    worker, began = mesh.labellers.workers[NAME], time.monotonic()
    mesh.await_read()
    return Took(time.monotonic() - began, worker.processor_s() - started.processor_s)


def _used_bytes(mesh: LabelledMesh) -> int:
    client = RedisClient(str(mesh.redis.url))
    try:
        return int(client.run(lambda redis: redis.info("memory"))["used_memory_dataset"])
    finally:
        client.close()

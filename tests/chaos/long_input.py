"""A bound: over a long input, memory and saved states level off."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain, islice, pairwise, repeat
from typing import TYPE_CHECKING, Any

from chaos.balance import strike_balance
from chaos.data import POWER, POWER_ASSETS, origin, power_rows
from chaos.feeding import Feed
from chaos.figures import mebibytes
from chaos.inputs import clean_events
from chaos.mesh import Mesh
from chaos.plant import CLASSIFIER, MODELS, PlantText
from chaos.reading import Arrivals, Tail
from chaos.waiting import await_value
from chaos.watching import Level, Sample, Saved
from tidemill.contracts.topics import PREDICTIONS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from chaos.figures import Figures

DRAIN_S = 7_200.0
TIMES = 10
PARTS = 30  # of the input, each written while the one before is read: looks in every third

# The last third of a run may hold no more than the middle one, but for this much.
MEMORY_SHARE, MEMORY_SLACK = 0.05, 4 << 20
SAVED_SHARE, SAVED_SLACK = 0.10, 1 << 10


def bounded(depth: int) -> Mapping[str, Any]:  # Any: River's parameters
    """Return models whose trees reach a depth and stay there; a tree left alone grows."""
    tree = {CLASSIFIER: {"max_depth": depth, "grace_period": 50, "delta": 0.01}}
    line = MODELS[POWER]["champion"]
    return {**MODELS, POWER: {"champion": [tree], "challengers": {"line": line}}}


def prove_level(folder: Path, *, rows: int | None, depth: int, snapshot_every: int) -> Figures:
    """Send the rows of elec.csv ten times over and hold a worker's growth against its bound.

    Args:
        rows: Rows of one time over; None takes all.
        depth: Of the trees, at most.
        snapshot_every: Records by which a saved state may lag.

    Raises:
        BrokenPromiseError: Memory or snapshots still grow in the last third.
    """
    once = list(islice(power_rows(), rows))
    total = TIMES * len(once)
    flags = ["--snapshot-every", str(snapshot_every), "--anchor-every", str(total)]
    with Mesh(folder / "mesh", PlantText(2, models=bounded(depth)), flags) as mesh:
        arrivals = Arrivals(mesh.partitions)
        saved = Saved(total // POWER_ASSETS)
        (worker,) = mesh.start("w0")
        mesh.await_owners(1)
        memory: list[Sample] = []

        def look(until: int) -> bool:
            mesh.check()
            memory.append(Sample(min(1.0, len(arrivals) / total), worker.resident_bytes()))
            return len(arrivals) >= until

        tails = [
            Tail(mesh.bootstrap, PREDICTIONS, mesh.partitions, arrivals.take),
            Tail(mesh.bootstrap, SNAPSHOTS, mesh.partitions, saved.take),
        ]
        begun = time.monotonic()
        feed = Feed(mesh.bootstrap)
        events = clean_events(chain.from_iterable(repeat(once, TIMES)), mesh.partitions)
        cuts = [total * number // PARTS for number in range(PARTS + 1)]
        for read, (first, then) in zip([0, *cuts], pairwise(cuts), strict=False):
            feed.write(islice(events, then - first))
            await_value(partial(look, read), worker.said, DRAIN_S)
        await_value(partial(look, total), worker.said, DRAIN_S)
        elapsed_s = time.monotonic() - begun
        feed.finish()
        mesh.drain(DRAIN_S)
        mesh.end()
        await_value(saved.is_told, worker.said, DRAIN_S)
        for tail in tails:
            tail.close()
        balance = strike_balance(mesh)
    resident, states = Level.of(memory), saved.level()
    resident.check("resident memory", share=MEMORY_SHARE, slack=MEMORY_SLACK)
    states.check("saved states", share=SAVED_SHARE, slack=SAVED_SLACK)
    return {
        "input": f"{total:,} events: {len(once):,} rows of {origin()}, {TIMES} times over",
        "predictions": f"{balance.counts[1]:,}, one per event",
        "resident memory of the worker, largest in each third": f"{resident} "
        f"({len(memory):,} looks)",
        "saved states, largest of each model in each third, summed": f"{states} "
        f"({len(saved):,} snapshots of {2 * POWER_ASSETS} models)",
        "criterion": "the last third holds no more than the middle one, but for "
        f"{MEMORY_SHARE:.0%} and {mebibytes(MEMORY_SLACK)} of memory, "
        f"{SAVED_SHARE:.0%} and {SAVED_SLACK} bytes of saved states",
        "lasted": f"{elapsed_s:.0f} s",
    }

"""A bound: after a crash, a re-fold is short however many assets have been quiet for long."""

from __future__ import annotations

import time
from functools import partial
from itertools import cycle, islice, pairwise
from typing import TYPE_CHECKING

from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import origin, power_rows
from chaos.feeding import Feed
from chaos.figures import spread
from chaos.inputs import clean_events
from chaos.mesh import Mesh
from chaos.plain_river import run_plain_loop
from chaos.plant import PlantText
from chaos.reading import Arrivals, Tail
from chaos.real_data import check_equal
from chaos.waiting import await_value
from tidemill.contracts.topics import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.data import Row
    from chaos.figures import Figures

ASSETS = 1_000
FEW = 3
BATCH = 500
DRAIN_S = 3_600.0
BACK_WITHIN_S = 300.0
BUSY_ASSET = "grid/nsw/feeder/busy"


def prove_bounded_refold(folder: Path, *, bound: int, kills: int) -> Figures:
    """Let a thousand assets fall quiet and one go on; kill the worker; count what it folds again.

    Args:
        bound: Records by which a saved state may lag, hence what a re-fold may take.
        kills: How often, each after more than `bound` records since the last.

    Raises:
        BrokenPromiseError: A re-fold took more than its bound, or a prediction is wrong after it.
    """
    rows = scenario(bound, kills)
    flags = ["--snapshot-every", str(bound), "--batch", str(BATCH)]
    with Mesh(folder / "mesh", PlantText(1), flags) as mesh:
        arrivals = Arrivals(mesh.partitions)
        tail = Tail(mesh.bootstrap, PREDICTIONS, mesh.partitions, arrivals.take)
        (worker,) = mesh.start("w0")
        mesh.await_owners(1)
        events = clean_events(rows, mesh.partitions)
        feed = Feed(mesh.bootstrap)
        back: list[float] = []
        refolded: list[int] = []
        for first, then in pairwise([0, *cut(bound, kills)]):
            feed.write(islice(events, then - first))
            await_value(partial(_all_of, arrivals, then), worker.said, DRAIN_S)
            worker.kill()
            wall_ms = time.time() * 1000
            worker.start()
            feed.write(islice(events, 1))
            seen = await_value(
                partial(arrivals.first_after, 0, wall_ms), worker.said, BACK_WITHIN_S
            )
            back.append(seen - worker.started)
            refolded.append(next(worker.told("restored"))["refolded"])
        feed.write(events)
        feed.finish()
        mesh.drain(DRAIN_S)
        mesh.end()
        tail.close()
        balance = strike_balance(mesh)
        restores = list(worker.told("restored", all_lives=True))
    compared = check_equal(balance, run_plain_loop(rows))
    check_refolded([line["refolded"] for line in restores], bound)
    return {
        "input": f"{ASSETS:,} assets with {FEW} events each, then "
        f"{len(rows) - ASSETS * (FEW + 1):,} events of one asset, then one more of each; "
        f"rows of {origin()}",
        "models": f"{restores[-1]['models']:,} in one partition",
        "bound": f"{bound:,} records and one transaction of at most {BATCH}",
        "records folded again after each kill -9": ", ".join(f"{n:,}" for n in refolded),
        "start after kill -9 to the first new prediction": spread(back),
        "answers of models compared": f"{compared:,}, all equal to plain River in every bit, "
        "those of the quiet assets at the end too",
    }


def scenario(bound: int, kills: int) -> list[Row]:
    """Return the rows: many assets a little, one asset a lot, all of them once more."""
    quiet = [f"grid/nsw/quiet/q{number}" for number in range(ASSETS)]
    few = [row._replace(asset=asset) for asset, row in zip(quiet * FEW, power_rows(), strict=False)]
    most = cycle(power_rows())
    busy = [row._replace(asset=BUSY_ASSET) for row in islice(most, (kills + 1) * 3 * bound)]
    again = [row._replace(asset=asset) for asset, row in zip(quiet, power_rows(), strict=False)]
    return [*few, *busy, *again]


def cut(bound: int, kills: int) -> list[int]:
    """Return after how many events each kill comes: well after the last state was saved."""
    return [ASSETS * FEW + (2 * bound + 7 * bound // 8) * (n + 1) for n in range(kills)]


def _all_of(arrivals: Arrivals, count: int) -> bool:
    return len(arrivals) >= count


def check_refolded(refolded: Sequence[int], bound: int) -> None:
    """Hold what was folded again against the bound.

    Raises:
        BrokenPromiseError: It was more.
    """
    if max(refolded) > bound + BATCH:
        msg = f"a re-fold must take at most {bound} + {BATCH} records, took {refolded}"
        raise BrokenPromiseError(msg)

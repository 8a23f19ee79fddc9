"""Real rows through a real mesh: predictions equal plain River's to the last bit."""

from __future__ import annotations

import csv
import time
from itertools import islice
from typing import TYPE_CHECKING

from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import LOOP, POWER, loop_rows, origin, power_rows
from chaos.feeding import Feed
from chaos.inputs import clean_events
from chaos.mesh import Mesh
from chaos.plain_river import run_plain_loop, said_in
from chaos.plant import PlantText, event_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from chaos.balance import Balance
    from chaos.data import Row
    from chaos.figures import Figures
    from chaos.plain_river import Said

WORKERS = ("w0", "w1")
DRAIN_S = 1_800.0


def prove_equality(
    folder: Path,
    *,
    limits: Mapping[str, int | None],
    write: Callable[[Mesh, Path, Sequence[Row]], None],
) -> Figures:
    """Send rows through two workers and hold every prediction against a plain loop.

    Args:
        limits: Rows of each stream; None takes all.
        write: How the rows become events.

    Raises:
        BrokenPromiseError: A prediction is lost, doubled, out of order or other than River's.
    """
    rows = [
        *islice(power_rows(), limits[POWER]),
        *islice(loop_rows(), limits[LOOP]),
    ]
    with Mesh(folder / "mesh", PlantText()) as mesh:
        mesh.start(*WORKERS)
        owned = mesh.await_owners(len(WORKERS))
        begun = time.monotonic()
        write(mesh, folder, rows)
        mesh.drain(DRAIN_S)
        elapsed_s = time.monotonic() - begun
        mesh.end()
        balance = strike_balance(mesh)
    expected = run_plain_loop(rows)
    compared = check_equal(balance, expected)
    check_order(balance, rows)
    shares = ", ".join(f"{name} {sorted(parts)}" for name, parts in sorted(owned.items()))
    return {
        "rows": f"{len(rows):,}, from {origin()}",
        "workers and their partitions": shares,
        "predictions": f"{balance.counts[1]:,}, one per event, {balance.counts[2]} dead letters",
        "answers of models compared": f"{compared:,}, all equal to plain River in every bit",
        "order": "that of the events, for every asset",
        "from the first event written to the last prediction committed": f"{elapsed_s:.1f} s",
    }


def write_directly(mesh: Mesh, _: Path, rows: Sequence[Row]) -> None:
    """Write rows as events, the assets dealt out over the partitions."""
    feed = Feed(mesh.bootstrap)
    feed.write(clean_events(rows, mesh.partitions))
    feed.finish()


def write_by_command(mesh: Mesh, folder: Path, rows: Sequence[Row]) -> None:
    """Write rows as events by `tidemill produce`, a CSV for each stream."""
    numbered = list(enumerate(rows))
    for stream in (POWER, LOOP):
        path = folder / f"{stream}.csv"
        fields = [event_fields(row, n) for n, row in numbered if row.stream == stream]
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, fieldnames=list(fields[0]))
            table.writeheader()
            table.writerows(fields)
        done = mesh.call("produce", str(path), "--stream", stream)
        if done.returncode != 0:
            msg = f"produce must exit with 0, was {done.returncode}: {done.stderr}"
            raise BrokenPromiseError(msg)


def check_equal(balance: Balance, expected: Mapping[str, list[Said]]) -> int:
    """Hold every prediction against a plain loop; return how many models' answers were compared.

    Raises:
        BrokenPromiseError: A bit differs, or events are lost or foreign.
    """
    compared = 0
    seen: set[str] = set()
    for predictions in balance.predictions:
        for prediction in predictions:
            name = prediction["event_id"]
            said = said_in(prediction)
            if said != expected.get(name):
                msg = f"{name}: must be predicted {expected.get(name)}, was {said}"
                raise BrokenPromiseError(msg)
            compared += len(said)
            seen.add(name)
    if seen != expected.keys():
        msg = f"every event must be predicted, {len(expected.keys() - seen)} are not"
        raise BrokenPromiseError(msg)
    return compared


def check_order(balance: Balance, rows: Sequence[Row]) -> None:
    """Hold the order of predictions of each asset against that of its rows.

    Raises:
        BrokenPromiseError: They differ.
    """
    wanted: dict[str, list[str]] = {}
    for number, row in enumerate(rows):
        wanted.setdefault(row.asset, []).append(f"e{number}")
    found: dict[str, list[str]] = {}
    for predictions in balance.predictions:
        for prediction in predictions:
            found.setdefault(prediction["asset"], []).append(prediction["event_id"])
    if found != wanted:
        wrong = [asset for asset in wanted if found.get(asset) != wanted[asset]]
        msg = f"predictions must stand in the order of events, not so for {wrong}"
        raise BrokenPromiseError(msg)

"""Exactly once through disorder: the balance, the re-fold of the recorded order, the audit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import endless_rows, origin
from chaos.disorder import Disorder
from chaos.feeding import PacedFeed
from chaos.figures import spread
from chaos.inputs import rough_records
from chaos.mesh import Mesh
from chaos.plant import PlantText
from chaos.reading import Arrivals, Tail
from chaos.refold import Refold, origins
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, UPDATES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chaos.balance import Balance
    from chaos.disorder import Disturbances, Measured
    from chaos.figures import Figures

WORKERS = ("w0", "w1")
DRAIN_S = 1_800.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What is written meanwhile: records a second, and how many in any case."""

    rate: float
    at_least: int


def prove_exactly_once(
    folder: Path,
    *,
    flow: Flow,
    plan: Disturbances,
    snapshot_every: int,
    say: Callable[[str], None],
    after: Callable[[Mesh], Figures],
) -> Figures:
    """Disturb a mesh that is being fed, then hold all of it against an independent re-fold.

    Args:
        snapshot_every: Records by which a saved state may lag.
        say: Hears of progress.
        after: What else is to be shown of the topics, while the broker is still up.

    Raises:
        BrokenPromiseError: Something was lost, doubled, reordered or not reproduced.
    """
    flags = ["--snapshot-every", str(snapshot_every), "--anchor-every", "1000"]
    with Mesh(folder / "mesh", PlantText(), flags) as mesh:
        mesh.start(*WORKERS)
        mesh.await_owners(len(WORKERS))
        begun = time.monotonic()
        measured, written = disturb(mesh, flow, plan, say)
        mesh.drain(DRAIN_S)
        elapsed_s = time.monotonic() - begun
        mesh.end()
        say("all is read; now the checks")
        balance = strike_balance(mesh)
        check_written(balance, written)
        folds = refold(mesh, balance)
        doubled = count_aborted(mesh, balance)
        further = after(mesh)
    return {**_done(measured, elapsed_s), **_found(balance, folds, doubled), **further}


def disturb(
    mesh: Mesh, flow: Flow, plan: Disturbances, say: Callable[[str], None]
) -> tuple[Measured, Counter[str]]:
    """Feed and disturb a mesh; return what was measured and what was written by topic."""
    arrivals = Arrivals(mesh.partitions)
    tail = Tail(mesh.bootstrap, PREDICTIONS, mesh.partitions, arrivals.take)
    records = rough_records(endless_rows(), mesh.partitions, plan.seed)
    feed = PacedFeed(mesh.bootstrap, records, rate=flow.rate, at_least=flow.at_least)
    try:
        measured = Disorder(mesh, arrivals, plan, say=say).run()
        return measured, feed.finish()
    finally:
        feed.stop()
        tail.close()


def check_written(balance: Balance, written: Counter[str]) -> None:
    """Hold the events in the topic against those acknowledged to their producer.

    Raises:
        BrokenPromiseError: They are not as many.
    """
    if balance.counts[0] != written[EVENTS]:
        msg = f"{written[EVENTS]} events were acknowledged, {balance.counts[0]} are there"
        raise BrokenPromiseError(msg)


def refold(mesh: Mesh, balance: Balance) -> list[Refold]:
    """Fold all partitions again in the recorded order; hold every byte predicted against it.

    Raises:
        BrokenPromiseError: A prediction, a dead letter or a model differs.
    """
    updates, ledger = mesh.read(UPDATES), mesh.read(LEDGER)
    blueprints = origins(PlantText(mesh.partitions).definition())
    decode = codec("LedgerEntry").decode
    folds = []
    for number, events in enumerate(balance.events):
        fold = Refold(number, {EVENTS: events, UPDATES: updates[number]}, blueprints)
        fold.follow([decode(record.value) for record in ledger[number]])
        check_bytes(number, fold.predicted, balance)
        if fold.dead != balance.dead[number]:
            msg = f"partition {number}: dead letters must be those of {fold.dead}"
            raise BrokenPromiseError(msg)
        folds.append(fold)
    return folds


def check_bytes(partition: int, predicted: Sequence[bytes], balance: Balance) -> None:
    """Hold predictions as they stand against those of a re-fold, byte for byte.

    Raises:
        BrokenPromiseError: One differs.
    """
    found = balance.values[partition]
    decode = codec("Prediction").decode
    for mine, theirs in zip(predicted, found, strict=True):
        if mine != theirs:
            msg = f"partition {partition}: must be {decode(mine)}, was {decode(theirs)}"
            raise BrokenPromiseError(msg)


def count_aborted(mesh: Mesh, balance: Balance) -> int:
    """Return how many predictions of aborted transactions a `read_uncommitted` reader sees."""
    found = mesh.read(PREDICTIONS, isolation="read_uncommitted")
    return sum(bool(record.value) for part in found for record in part) - balance.counts[1]


def _done(measured: Measured, elapsed_s: float) -> Figures:
    ways = {way for way, _ in measured.hand_overs}
    over = {
        f"hand-over after a worker left for good by {way}, to the first new prediction": spread(
            [seconds for each, seconds in measured.hand_overs if each == way]
        )
        for way in sorted(ways)
    }
    return {
        "workers killed by kill -9": f"{measured.killed}",
        "broker restarts": f"{measured.broker_stops} in order, {measured.broker_kills} by kill -9",
        "workers that joined and left for good": f"{len(measured.hand_overs)}",
        "start after kill -9 to the first new prediction": spread(measured.restarts),
        "broker up to the first new prediction": spread(measured.broker_restarts),
        **over,
        "lasted": f"{elapsed_s:.0f} s",
    }


def _found(balance: Balance, folds: Sequence[Refold], aborted: int) -> Figures:
    events, predictions, dead = balance.counts
    examples = sum(fold.examples for fold in folds)
    dropped = sum(fold.dropped for fold in folds)
    return {
        "events": f"{events:,}, rows of {origin()}, some damaged on purpose",
        "read_committed": f"{predictions:,} predictions and {dead:,} dead letters, one for each "
        "event, in order: none lost, none doubled",
        "read_uncommitted": f"{aborted:,} predictions of aborted transactions beside them",
        "re-fold of the recorded order": f"{predictions:,} predictions equal in every byte; "
        f"{examples:,} lessons from EXAMPLE updates, {dropped:,} repeated ones dropped; "
        "version and lineage of every model equal at every ledger entry",
    }

"""Disturbed events through a real mesh: models end as if only the others had ever come."""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from chaos.audited import check_honest
from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import LOOP_FEATURES, POWER_FEATURES, origin
from chaos.families import FLOW, POWER
from chaos.faults import (
    CORRUPT,
    DUPLICATE,
    KINDS,
    LATE,
    LATENESS,
    NAN,
    STUCK,
    STUCK_AFTER,
    Planter,
)
from chaos.feeding import Outgoing
from chaos.figures import spread
from chaos.killing import Killer
from chaos.many_models import loop_readings, power_readings
from chaos.mesh import Mesh
from chaos.plant import CLASSIFIER, REGRESSOR, SCALED
from chaos.reading import Arrivals, Tail
from chaos.sheets import Sheet, SheetPlant
from chaos.tables import Found, Table
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from chaos.balance import Balance
    from chaos.faults import Sent
    from chaos.sheets import Reading

WORKERS = ("w0", "w1")
DRAIN_S = 3_600.0
ASSETS = 6
SENSORS = {FLOW: "temperature", POWER: "nswdemand"}
FLAGS = {LATE: "LATE", DUPLICATE: "DUPLICATE", STUCK: "STUCK", NAN: "NOT_FINITE"}

Lineages = dict[tuple[str, str, str], tuple[int, bytes, int]]


def plant() -> SheetPlant:
    """Return a plant that looks at all that can be wrong with an event."""
    line, logistic = "linear_model.LinearRegression", "linear_model.LogisticRegression"
    tree = {REGRESSOR: {"leaf_prediction": "mean"}}
    models = {
        FLOW: {"champion": [SCALED, line], "challengers": {"tree": [tree]}},
        POWER: {"champion": [CLASSIFIER], "challengers": {"line": [SCALED, logistic]}},
    }
    fields = {FLOW: (LOOP_FEATURES, "regression"), POWER: (POWER_FEATURES, "binary")}
    return SheetPlant(
        [
            Sheet(
                name,
                *(fields[name][0], models[name], fields[name][1]),
                features={SENSORS[name]: {"stuck_after": STUCK_AFTER}},
                options={"lateness": LATENESS},
            )
            for name in (FLOW, POWER)
        ]
    )


def readings(rows: int | None) -> list[Reading]:
    """Return the rows of both streams in turn; so many of each, None takes all."""
    columns = [islice(loop_readings(FLOW, ASSETS), rows), islice(power_readings(ASSETS), rows)]
    return [reading for row in zip_longest(*columns) for reading in row if reading is not None]


def prove_undisturbed(
    folder: Path, *, rows: int | None, kills: int, snapshot_every: int, seed: int
) -> Found:
    """Send disturbed rows through a mesh, then only those without a flag through another.

    Raises:
        BrokenPromiseError: A fault was not flagged, or left a trace in a model.
    """
    made = plant()
    sent = list(Planter(made, SENSORS, seed).plant(readings(rows)))
    flags = ["--snapshot-every", str(snapshot_every)]
    with Mesh(folder / "disturbed", made, flags) as mesh:
        killer, elapsed_s = run(mesh, sent, kills, seed)
        balance, disturbed = strike_balance(mesh), lineages(mesh)
        audited = check_honest(mesh, "replay")
    flagged, clean = check_flags(sent, balance)
    with Mesh(folder / "alone", made, flags) as mesh:
        run(mesh, clean, 0, seed)
        other, alone = strike_balance(mesh), lineages(mesh)
    compared = check_same(balance, other)
    check_lineages(disturbed, alone)
    return Found(
        {
            "events": f"{len(sent):,}, rows of {origin()}, in two streams of {ASSETS} assets each",
            "balance": f"{balance.counts[1]:,} predictions and {balance.counts[2]:,} dead letters, "
            "one for each event; the dead letters are the corrupt events, and no others",
            "workers killed by kill -9": f"{killer.killed}, two at work",
            "start after kill -9 to the first new prediction": spread(killer.restarts),
            "events without a flag": f"{len(clean):,}, sent alone through a second mesh",
            "models": f"{len(alone)}, version, lineage and number of events that count equal in "
            "both runs",
            "predictions of events without a flag": f"{compared:,}, equal in both runs in every "
            "bit, versions and lineages of champions and shadows too",
            **audited,
            "lasted": f"{elapsed_s:.0f} s, the first run",
        },
        [_table(sent, flagged)],
    )


def run(mesh: Mesh, sent: Iterable[Sent], kills: int, seed: int) -> tuple[Killer, float]:
    """Let two workers answer events, killed so many times; return how long it took, too."""
    arrivals = Arrivals(mesh.partitions)
    killer = Killer(mesh, arrivals, seed=seed)
    tail = Tail(mesh.bootstrap, PREDICTIONS, mesh.partitions, arrivals.take)
    mesh.start(*WORKERS)
    mesh.await_owners(len(WORKERS))
    begun = time.monotonic()
    killer.feed([Outgoing(EVENTS, e.partition, e.key, e.value) for e in sent], kills)
    mesh.drain(DRAIN_S)
    elapsed_s = time.monotonic() - begun
    mesh.end()
    tail.close()
    return killer, elapsed_s


def lineages(mesh: Mesh) -> Lineages:
    """Return version, lineage and events that count of each model, as the ledgers end."""
    decode = codec("LedgerEntry").decode
    return {
        (model["stream"], model["asset"], model["model"]): (
            model["version"],
            model["lineage"],
            model["seen"],
        )
        for records in mesh.read(LEDGER)
        for record in records
        for model in decode(record.value)["models"]
    }


def check_flags(sent: Sequence[Sent], balance: Balance) -> tuple[Counter[str], list[Sent]]:
    """Hold what was flagged against what was planted; return flags by number, and the rest.

    Raises:
        BrokenPromiseError: A fault is not flagged as such, or another event is a dead letter.
    """
    flags: Counter[str] = Counter()
    clean: list[Sent] = []
    missing = set(KINDS) - {event.fault for event in sent}
    if missing:
        msg = f"every kind of fault must be planted, is not: {sorted(missing)}"
        raise BrokenPromiseError(msg)
    places = Counter[int]()
    by_place = [{p["source"]["offset"]: p for p in part} for part in balance.predictions]
    dead = [set(part) for part in balance.dead]
    for event in sent:
        at = balance.events[event.partition][places[event.partition]].offset
        places[event.partition] += 1
        is_dead = at in dead[event.partition]
        quality = [] if is_dead else by_place[event.partition][at]["quality"]
        wanted = FLAGS.get(event.fault)
        if is_dead != (event.fault == CORRUPT) or (wanted and wanted not in quality):
            msg = f"e{event.name}, {event.fault or 'untouched'}: must be flagged {wanted or ''}, "
            raise BrokenPromiseError(f"{msg}was {'a dead letter' if is_dead else quality}")
        flags.update(quality)
        if not is_dead and not quality:
            clean.append(event)
    return flags, clean


def check_same(one: Balance, other: Balance) -> int:
    """Hold the predictions without a flag against those of a run of these events alone.

    Raises:
        BrokenPromiseError: One differs in anything but its offset, or some are missing.
    """
    compared = 0
    for number, (mine, theirs) in enumerate(zip(one.predictions, other.predictions, strict=True)):
        unflagged = [_unplaced(p) for p in mine if not p["quality"]]
        alone = [_unplaced(p) for p in theirs]
        if unflagged != alone:
            pairs = zip(unflagged, alone, strict=False)
            first = next(
                (pair for pair in pairs if pair[0] != pair[1]), (len(unflagged), len(alone))
            )
            msg = f"partition {number}: predictions of events without a flag must be equal, {first}"
            raise BrokenPromiseError(msg)
        compared += len(alone)
    return compared


def _unplaced(prediction: Mapping[str, Any]) -> dict[str, Any]:  # Any: an Avro record
    return {name: value for name, value in prediction.items() if name != "source"}


def check_lineages(disturbed: Lineages, alone: Lineages) -> None:
    """Hold the models of both runs against one another.

    Raises:
        BrokenPromiseError: They differ.
    """
    wrong = [key for key in disturbed.keys() | alone.keys() if disturbed.get(key) != alone.get(key)]
    if wrong or not alone:
        first = {key: (disturbed.get(key), alone.get(key)) for key in sorted(wrong)[:3]}
        msg = f"{len(alone)} models must end as without the faults, {len(wrong)} do not: {first}"
        raise BrokenPromiseError(msg)


def _table(sent: Sequence[Sent], flagged: Counter[str]) -> Table:
    planted = Counter(event.fault for event in sent)
    rows = [
        (
            kind,
            f"{planted[kind]:,}",
            f"{planted[kind] / len(sent):.1%}",
            f"`{FLAGS[kind]}`: {flagged[FLAGS[kind]]:,}" if kind in FLAGS else "dead letters",
        )
        for kind in KINDS
    ]
    return Table(
        f"Faults planted. A sensor is called stuck at its {STUCK_AFTER}th equal reading; the data "
        "hold equal readings of their own, which are flagged too.",
        ("fault", "events", "share", "flagged, with what the data hold themselves"),
        rows,
    )

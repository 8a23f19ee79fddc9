"""Every family of models through a real mesh and kills: equal to plain River to the last bit."""

from __future__ import annotations

import random
import time
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import LOOP_FEATURES, POWER_FEATURES, loop_rows, origin, power_rows
from chaos.families import FAMILIES, FLOW, GAPS, GRADED, MACHINE, POWER, STRANGE
from chaos.figures import spread
from chaos.killing import Killer
from chaos.machine_rows import GRADE, NUMBERS, machine_origin, machine_rows
from chaos.mesh import Mesh
from chaos.plain_models import Said
from chaos.plain_river import bits
from chaos.plant import event_id
from chaos.reading import Arrivals, Tail
from chaos.saved_states import NewestStates
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.tables import Found, Table
from tidemill.contracts.topics import PREDICTIONS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from chaos.families import Family
    from chaos.plain_models import Plain

WORKERS = ("w0", "w1")
DRAIN_S = 7_200.0
GAP = 0.05  # so many of the readings of the stream with gaps are missing
KIBIBYTE = 1 << 10

Compared = dict[tuple[str, str], int]


class Size(NamedTuple):
    """How much of it.

    Attributes:
        rows: Of each stream, at most; None takes all.
        assets: Of each stream, over which its rows are dealt out.
    """

    rows: int | None
    assets: int
    kills: int
    snapshot_every: int
    batch: int
    seed: int


def sheets() -> list[Sheet]:
    """Return the streams: the first family of each is its champion, the others are shadows."""
    return [
        _sheet(FLOW, LOOP_FEATURES, "regression"),
        _sheet(GAPS, LOOP_FEATURES, "regression"),
        _sheet(POWER, POWER_FEATURES, "binary"),
        _sheet(MACHINE, NUMBERS, "multiclass"),
        _sheet(GRADED, NUMBERS, "binary", nominal=(GRADE,)),
        *(_sheet(family.sheet, LOOP_FEATURES, None) for family in STRANGE),
    ]


def _sheet(
    name: str, numbers: Sequence[str], kind: str | None, nominal: Sequence[str] = ()
) -> Sheet:
    champion, *others = families_of(name)
    model: dict[str, Any] = {"champion": champion.steps}  # Any: River's parameters
    if others:
        model["challengers"] = {family.name: family.steps for family in others}
    return Sheet(name, numbers, model, kind, nominal)


def families_of(sheet: str) -> list[Family]:
    """Return the families of a stream, champion first."""
    return [family for family in FAMILIES if family.sheet == sheet]


def readings(size: Size) -> list[Reading]:
    """Return the rows of all streams, taken in turn."""
    columns = [list(islice(rows, size.rows)) for rows in _rows(size.assets)]
    return [reading for row in zip_longest(*columns) for reading in row if reading is not None]


def _rows(assets: int) -> Iterator[Iterator[Reading]]:
    """Yield the rows of each stream."""
    yield from (loop_readings(FLOW, assets), _gaps(assets), power_readings(assets))
    yield from (_machine(assets), _graded(assets))
    for family in STRANGE:
        yield (reading._replace(y=None) for reading in loop_readings(family.sheet, assets))


def loop_readings(sheet: str, assets: int) -> Iterator[Reading]:
    """Yield the rows of the SKAB files as readings of a sheet."""
    for number, row in enumerate(loop_rows()):
        x = dict(zip(LOOP_FEATURES, row.x, strict=True))
        yield Reading(sheet, f"testbed/loop/{sheet}/v{number % assets}", x, row.y)


def power_readings(assets: int) -> Iterator[Reading]:
    """Yield the rows of elec.csv as readings."""
    for number, row in enumerate(power_rows()):
        x = dict(zip(POWER_FEATURES, row.x, strict=True))
        yield Reading(POWER, f"grid/nsw/feeder/m{number % assets}", x, int(row.y))


def _gaps(assets: int) -> Iterator[Reading]:
    chance = random.Random("gaps")
    for number, reading in enumerate(loop_readings(GAPS, assets)):
        is_first = number < assets  # so that an imputer knows something of every feature
        lost = [name for name in reading.x if chance.random() < GAP and not is_first]
        yield reading._replace(x={**reading.x, **dict.fromkeys(lost)})


def _machine(assets: int) -> Iterator[Reading]:
    for number, row in enumerate(machine_rows()):
        yield Reading(MACHINE, f"mill/shop/line/m{number % assets}", row.x, row.mode)


def _graded(assets: int) -> Iterator[Reading]:
    for number, row in enumerate(machine_rows()):
        x = {**row.x, GRADE: row.grade}
        yield Reading(GRADED, f"mill/shop/graded/m{number % assets}", x, int(row.failed))


def prove_families(folder: Path, size: Size) -> Found:
    """Send all streams through two workers that are killed; hold every answer against River.

    Raises:
        BrokenPromiseError: A prediction is lost, doubled or other than River's.
    """
    rows = readings(size)
    plant = SheetPlant(sheets())
    flags = ["--snapshot-every", str(size.snapshot_every), "--batch", str(size.batch)]
    with Mesh(folder / "mesh", plant, flags) as mesh:
        arrivals, states = Arrivals(mesh.partitions), NewestStates()
        killer = Killer(mesh, arrivals, seed=size.seed)
        mesh.start(*WORKERS)
        mesh.await_owners(len(WORKERS))
        tails = [
            Tail(mesh.bootstrap, PREDICTIONS, mesh.partitions, arrivals.take),
            Tail(mesh.bootstrap, SNAPSHOTS, mesh.partitions, states.take),
        ]
        begun = time.monotonic()
        killer.feed(list(plant.events(rows)), size.kills)
        mesh.drain(DRAIN_S)
        elapsed_s = time.monotonic() - begun
        mesh.end()
        for tail in tails:
            tail.close()
        states.take_all(mesh.read(SNAPSHOTS))
        balance = strike_balance(mesh)
        refolded = [
            line["refolded"]
            for worker in mesh.workers.values()
            for line in worker.told("restored", all_lives=True)
            if line["refolded"]
        ]
    compared = check_families(chain.from_iterable(balance.predictions), rows)
    return Found(
        {
            "rows": f"{len(rows):,} events: {origin()}, {machine_origin()}",
            "models": f"{len(FAMILIES)} pipelines of {len({f.cls for f in FAMILIES})} classes, "
            f"each on {size.assets} assets; two workers",
            "workers killed by kill -9": f"{killer.killed}",
            "start after kill -9 to the first new prediction": spread(killer.restarts),
            "records folded again at restarts": f"{sum(refolded):,} in {len(refolded)} partitions",
            "balance": f"{balance.counts[1]:,} predictions for {balance.counts[0]:,} events, "
            f"{balance.counts[2]} dead letters",
            "answers of models compared": f"{sum(compared.values()):,}, all equal to plain River "
            "in every bit, alarms too",
            "from the first event written to the last prediction committed": f"{elapsed_s:.0f} s",
        },
        [_table(compared, states, size)],
    )


def check_families(
    predictions: Iterable[Mapping[str, Any]],  # Any: Avro records
    rows: Sequence[Reading],
) -> Compared:
    """Hold every answer of every model against a plain loop; return how many, by stream and name.

    Raises:
        BrokenPromiseError: One differs, or is missing.
    """
    by_name = {prediction["event_id"]: prediction for prediction in predictions}
    models: dict[tuple[str, str], list[tuple[Family, Plain]]] = {}
    compared: Compared = {(f.sheet, f.name): 0 for f in FAMILIES}
    for number, reading in enumerate(rows):
        about = (reading.sheet, reading.asset)
        if about not in models:
            models[about] = [(f, f.plain()) for f in families_of(reading.sheet)]
        found = answers(by_name[event_id(number)])
        for place, (family, plain) in enumerate(models[about]):
            name = f"{family.sheet}/{family.name if place else 'champion'}"
            expected = plain.ask(reading.x)
            if found.get(name) != expected:
                msg = f"{event_id(number)}: {name} of {reading.asset} must say {expected}, "
                raise BrokenPromiseError(f"{msg}was {found.get(name)}")
            plain.learn(reading.x, reading.y)
            compared[family.sheet, family.name] += 1
    return compared


def answers(prediction: Mapping[str, Any]) -> dict[str, Said]:  # Any: an Avro record
    """Return what each model said, by its name."""
    is_alarm = prediction["value"] is not None and prediction["outcome"] is not None
    champion = _said(prediction)._replace(alarm=prediction["outcome"] if is_alarm else None)
    shadows = {shadow["model"]: _said(shadow) for shadow in prediction["shadows"]}
    return {prediction["model"]: champion, **shadows}


def _said(part: Mapping[str, Any]) -> Said:  # Any: as above
    scores = part["probabilities"]
    return Said(
        None if part["value"] is None else bits(part["value"]),
        None if scores is None else tuple(sorted((key, bits(p)) for key, p in scores.items())),
    )


def _table(compared: Compared, states: NewestStates, size: Size) -> Table:
    """Return a row for every class and stream."""
    weighed: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for key, length, _, load_s in states.weigh():
        name = key.model.partition("/")[2]
        weighed.setdefault((key.stream, name), []).append((length, load_s))
    rows = []
    for sheet in {family.sheet: None for family in FAMILIES}:
        for place, family in enumerate(families_of(sheet)):
            sizes = weighed[sheet, family.name if place else "champion"]
            rows.append(
                (
                    f"`{family.cls}`",
                    sheet,
                    f"{compared[sheet, family.name]:,}",
                    f"{max(length for length, _ in sizes) / KIBIBYTE:,.1f}",
                    f"{max(load_s for _, load_s in sizes) * 1e3:,.1f}",
                    family.bound,
                )
            )
    return Table(
        f"Saved states are the newest of each model, at most {size.snapshot_every:,} records "
        "before the end; the largest of its assets.",
        ("class", "stream", "answers equal", "saved state, KiB", "to load it, ms", "bounded by"),
        rows,
    )

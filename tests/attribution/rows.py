"""Rows of the public data sets as every kind of task is given them, some readings missing."""

from __future__ import annotations

import random
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.data import LOOP_FEATURES, POWER_FEATURES, loop_rows, power_rows
from chaos.machine_rows import GRADE, NUMBERS, machine_rows
from tidemill.contracts.stream import Feature
from tidemill.models.outputs import Anomaly, Binary, Multiclass, Regression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidemill.models.outputs import Task

GAPS = 0.05
CALM_EVERY = 8  # of the products that were fine one in so many


class Labelled(NamedTuple):
    """One event, as a task learns it."""

    x: dict[str, Any]
    y: Any


class DataSet(NamedTuple):
    """Rows of one file or some, their features and the task that they are for."""

    name: str
    features: tuple[Feature, ...]
    task: Task

    def rows(self, count: int | None) -> Iterator[Labelled]:
        """Yield the first rows or all, now and then without a reading."""
        chance = random.Random(self.name)
        for x, y in islice(_RAW[self.name](), count):
            kept = {name: value for name, value in x.items() if chance.random() >= GAPS}
            yield Labelled(kept, y)


def _prices() -> Iterator[Labelled]:
    for row in power_rows():
        yield Labelled(dict(zip(POWER_FEATURES, row.x, strict=True)), row.y > 0.5)


def _demands() -> Iterator[Labelled]:
    for row in power_rows():
        x = dict(zip(POWER_FEATURES, row.x, strict=True))
        yield Labelled(x, x.pop("nswdemand"))


def _flows() -> Iterator[Labelled]:
    for row in loop_rows():
        yield Labelled(dict(zip(LOOP_FEATURES, row.x, strict=True)), row.y)


def _failures(calm_every: int = CALM_EVERY) -> Iterator[Labelled]:
    for number, row in enumerate(machine_rows()):
        if row.failed or number % calm_every == 0:
            yield Labelled({**row.x, GRADE: row.grade}, row.failed)


def _modes(calm_every: int = CALM_EVERY) -> Iterator[Labelled]:
    for number, row in enumerate(machine_rows()):
        if row.failed or number % calm_every == 0:
            yield Labelled({**row.x, GRADE: row.grade}, row.mode)


_RAW: dict[str, Callable[[], Iterator[Labelled]]] = {
    "elec up": _prices,
    "elec demand": _demands,
    "elec": _prices,
    "skab flow": _flows,
    "skab": _flows,
    "ai4i failure": _failures,
    "ai4i mode": _modes,
    "ai4i failure, all products": partial(_failures, 1),
    "ai4i mode, all products": partial(_modes, 1),
}

_POWER = tuple(Feature(name=name) for name in POWER_FEATURES)
_LOOP = tuple(Feature(name=name) for name in LOOP_FEATURES)
_MACHINE = (*(Feature(name=name) for name in NUMBERS), Feature(name=GRADE, kind="nominal"))
_UP = Binary("down", "up")

DATA_SETS = (
    DataSet("elec up", _POWER, _UP),
    DataSet("elec demand", tuple(f for f in _POWER if f.name != "nswdemand"), Regression()),
    DataSet("skab flow", _LOOP, Regression()),
    DataSet("ai4i failure", _MACHINE, Binary("false", "true")),
    DataSet("ai4i mode", _MACHINE, Multiclass()),
    DataSet("elec", _POWER, Anomaly()),
    DataSet("skab", _LOOP, Anomaly()),
)

WHOLE_SETS = (
    *(data for data in DATA_SETS if not data.name.startswith("ai4i")),
    DataSet("ai4i failure, all products", _MACHINE, Binary("false", "true")),
    DataSet("ai4i mode, all products", _MACHINE, Multiclass()),
)

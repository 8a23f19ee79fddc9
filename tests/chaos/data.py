"""The rows of the proofs: real data where it is at hand, else generated rows of the same shape."""

from __future__ import annotations

import csv
import os
import random
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "TIDEMILL_DATA"
BESIDE_THE_TREE = Path(__file__).resolve().parents[3] / "shared" / "data"

POWER = "power"
POWER_FEATURES = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
POWER_ROWS = 45_312
POWER_ASSETS = 8

LOOP = "loop"
LOOP_FEATURES = (
    "accelerometer_1",
    "accelerometer_2",
    "current",
    "pressure",
    "temperature",
    "thermocouple",
    "voltage",
)
LOOP_FILES = 6
LOOP_ROWS = 1_127  # of one file, about


class Row(NamedTuple):
    """One reading: of which stream and asset, the features in order, and the answer."""

    stream: str
    asset: str
    x: tuple[float, ...]
    y: float


def data_folder() -> Path | None:
    """Return where the data sets are; None where they are not at hand."""
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else BESIDE_THE_TREE
    return folder if (folder / "elec.csv").is_file() else None


def origin() -> str:
    """Say in words what the rows are."""
    if data_folder() is None:
        return "generated rows of the shape of elec.csv and the SKAB files"
    return "elec.csv and the SKAB files"


def power_rows() -> Iterator[Row]:
    """Yield the rows of elec.csv, one logical series dealt out over several assets."""
    folder = data_folder()
    values = _generated_power() if folder is None else _read_power(folder / "elec.csv")
    for number, (*x, y) in enumerate(values):
        yield Row(POWER, f"grid/nsw/feeder/m{number % POWER_ASSETS}", tuple(x), y)


def loop_rows() -> Iterator[Row]:
    """Yield the rows of the SKAB files, each file an asset, the files in turn."""
    folder = data_folder()
    if folder is None:
        files = [_generated_loop(number) for number in range(LOOP_FILES)]
    else:
        files = [_read_loop(path) for path in sorted((folder / "skab").glob("*.csv"))]
    running = dict(enumerate(files))
    while running:
        for number, rows in list(running.items()):
            values = next(rows, None)
            if values is None:
                del running[number]
            else:
                *x, y = values
                yield Row(LOOP, f"testbed/loop/valve/v{number}", tuple(x), y)


def all_rows() -> Iterator[Row]:
    """Yield every row of both once, interleaved so that both last about equally long."""
    power, loop = power_rows(), loop_rows()
    ratio = POWER_ROWS // (LOOP_FILES * LOOP_ROWS)
    for row in loop:
        yield from islice(power, ratio)
        yield row
    yield from power


def endless_rows() -> Iterator[Row]:
    """Yield every row, over and over."""
    return cycle(all_rows())


def _read_power(path: Path) -> Iterator[tuple[float, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            yield (*(float(line[name]) for name in POWER_FEATURES), float(line["class"]))


def _read_loop(path: Path) -> Iterator[tuple[float, ...]]:
    """Read one SKAB file: time; seven channels; the flow; two columns that are not used."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter=";")
        next(lines)
        for line in lines:
            yield tuple(float(value) for value in line[1 : len(LOOP_FEATURES) + 2])


def _generated_power() -> Iterator[tuple[float, ...]]:
    rng = random.Random("power")
    price = 0.06
    for number in range(POWER_ROWS):
        price = min(1.0, max(0.0, price + rng.gauss(0, 0.01)))
        demand = 0.4 + 0.2 * rng.random()
        x = (number % 48 / 47, price, demand, 0.003 + price / 20, demand * 0.9, rng.random())
        yield (*x, float(price + rng.gauss(0, 0.02) > 0.06))


def _generated_loop(number: int) -> Iterator[tuple[float, ...]]:
    rng = random.Random(f"loop {number}")
    for _ in range(LOOP_ROWS):
        x = [rng.gauss(mean, mean / 20) for mean in (0.027, 0.04, 1.1, 0.2, 72.0, 25.5, 235.0)]
        yield (*x, 32.0 + 10 * (x[3] - 0.2) + rng.gauss(0, 1))

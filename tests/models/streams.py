"""Streams that models are judged on: seeded ones that drift, and the public data sets."""

from __future__ import annotations

import csv
import math
import random
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from river import linear_model, preprocessing

from chaos.data import data_folder, loop_rows, power_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidemill.models.intervals import Intervals

MACHINE_ROWS = 10_000


class Pair(NamedTuple):
    """What was predicted, and what came."""

    said: float
    label: float


class Machine(NamedTuple):
    """One row of AI4I 2020: five readings, whether it failed, and the mode first named."""

    x: dict[str, float]
    failed: bool
    mode: str


def predicted(rows: Iterable[tuple[dict[str, float], float]]) -> Iterator[Pair]:
    """Yield what a linear model says of each row before it learns it."""
    model = preprocessing.StandardScaler() | linear_model.LinearRegression()
    for x, y in rows:
        yield Pair(model.predict_one(x), y)
        model.learn_one(x, y)


def drifting_rows(seed: int, count: int) -> Iterator[tuple[dict[str, float], float]]:
    """Weights that turn slowly and flip every 5,000 rows; noise that swells and once trebles."""
    rng = random.Random(seed)
    for n in range(count):
        x = {f"s{j}": rng.gauss(0, 1) for j in range(4)}
        flip = -1.5 if n // 5_000 % 2 else 1.0
        y = sum(flip * math.sin(n / 2_500 + j) * v for j, v in enumerate(x.values()))
        swell = 1.0 if 8_000 <= n < 9_000 else 0.0
        yield x, y + rng.gauss(0, 0.5 + 0.4 * math.sin(n / 1_700) + swell)


def drifting(seed: int, count: int) -> Iterator[Pair]:
    """Yield what a linear model says of such rows, and what came."""
    return predicted(drifting_rows(seed, count))


def flows(count: int) -> Iterator[Pair]:
    """The flow of the SKAB loop, file after file and over again, from its other channels."""

    def rows() -> Iterator[tuple[dict[str, float], float]]:
        found = sorted(loop_rows(), key=lambda row: row.asset)
        for n in range(count):
            row = found[n % len(found)]
            yield {f"c{j}": v for j, v in enumerate(row.x)}, row.y

    return predicted(rows())


def prices() -> Iterator[Pair]:
    """The electricity price of every half hour, said to be the last one again."""
    last = 0.0
    for row in power_rows():
        price = row.x[1]
        yield Pair(last, price)
        last = price


def covered(intervals: Intervals, pairs: Iterable[Pair], delay: int = 0) -> list[bool]:
    """Return whether each stored interval held its label, which comes `delay` events later."""
    waiting: deque[tuple[Pair, tuple[float, float, int] | None]] = deque()
    found = []
    for pair in pairs:
        waiting.append((pair, intervals.interval(pair.said)))
        if len(waiting) > delay:
            (said, label), stored = waiting.popleft()
            held = None if stored is None else stored[0] <= label <= stored[1]
            if held is not None:
                found.append(held)
            intervals.observe(said, label, covered=held, delay=delay)
    return found


def worst_share(held: list[bool], width: int = 1_000) -> float:
    """Return the smallest share of True in any so many in a row."""
    inside = sum(held[:width])
    worst = inside
    for n in range(width, len(held)):
        inside += held[n] - held[n - width]
        worst = min(worst, inside)
    return worst / width


def machines() -> list[Machine]:
    """Return the rows of AI4I 2020, or as many made by its rules."""
    folder = data_folder()
    if folder is None:
        return list(_made_machines())
    with (folder / "ai4i2020.csv").open(encoding="utf-8-sig", newline="") as file:
        return [_machine(line) for line in csv.DictReader(file)]


_READINGS = {
    "air": "Air temperature [K]",
    "process": "Process temperature [K]",
    "speed": "Rotational speed [rpm]",
    "torque": "Torque [Nm]",
    "wear": "Tool wear [min]",
}


def _machine(line: dict[str, str]) -> Machine:
    x = {name: float(line[column]) for name, column in _READINGS.items()}
    modes = [mode for mode in ("TWF", "HDF", "PWF", "OSF") if line[mode] == "1"]
    return Machine(x, line["Machine failure"] == "1", modes[0] if modes else "none")


def _made_machines() -> Iterator[Machine]:
    rng = random.Random("machines")
    for n in range(MACHINE_ROWS):
        air = 300 + 2 * math.sin(n / 900)
        x = {
            "air": air,
            "process": air + rng.gauss(10, 1),
            "speed": rng.gauss(1_540, 120),
            "torque": rng.gauss(40, 10),
            "wear": float(n * 2 % 250),
        }
        mode = _made_mode(x, rng)
        yield Machine(x, mode != "none", mode)


def _made_mode(x: dict[str, float], rng: random.Random) -> str:
    power = x["torque"] * x["speed"] * 2 * math.pi / 60
    if x["wear"] > 200 and rng.random() < 0.05:
        return "TWF"
    if x["process"] - x["air"] < 8.6 and x["speed"] < 1_450:
        return "HDF"
    if not 3_000 < power < 10_000:
        return "PWF"
    return "OSF" if x["wear"] * x["torque"] > 13_000 else "none"

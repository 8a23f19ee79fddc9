"""Rows of plants whose faults are known, for checks of whole assets; None where not at hand."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chaos.data import data_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Truth = NDArray[np.bool_]

TEP_NORMAL = "d00_te.dat"
TEP_FAULTS = ("d01_te.dat", "d04_te.dat", "d05_te.dat")
TEP_BEGIN = 160  # the first faulty row
SKAB_REFERENCE = 400  # rows, as the benchmark has it
_SKAB_SENSORS = 8


class Judged(NamedTuple):
    """Rows and whether each is anomalous."""

    rows: Numbers
    truth: Truth


class Counts(NamedTuple):
    """Rows by truth and verdict."""

    hits: int
    false: int
    missed: int
    calm: int

    @classmethod
    def of(cls, over: Truth, truth: Truth) -> Counts:
        """Count verdicts against the truth."""
        pairs = ((over, truth), (over, ~truth), (~over, truth), (~over, ~truth))
        return cls(*(int((verdict & fact).sum()) for verdict, fact in pairs))

    @classmethod
    def sum(cls, each: Sequence[Counts]) -> Counts:
        """Return the counts of all."""
        return cls(*(sum(column) for column in zip(*each, strict=True)))

    @property
    def f1(self) -> float:
        """Twice the hits, over twice the hits and all errors."""
        return 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)

    @property
    def false_rate(self) -> float:
        """Share of normal rows that are over."""
        return self.false / max(1, self.false + self.calm)

    @property
    def missed_rate(self) -> float:
        """Share of anomalous rows that are not over."""
        return self.missed / max(1, self.hits + self.missed)

    @property
    def balanced(self) -> float:
        """Balanced accuracy."""
        return 1.0 - (self.false_rate + self.missed_rate) / 2.0


def skab_files() -> list[Judged] | None:
    """Return the six files: eight sensors, about 1,100 rows each, one fault in the middle."""
    folder = data_folder()
    if folder is None:
        return None
    return [_skab(path) for path in sorted((folder / "skab").glob("*.csv"))]


def _skab(path: Path) -> Judged:
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter=";")
        next(lines)
        values = np.array([[float(value) for value in line[1:]] for line in lines])
    return Judged(values[:, :_SKAB_SENSORS], values[:, _SKAB_SENSORS] > 0.0)


def tep_rows(name: str) -> Numbers | None:
    """Return 960 rows of 52 columns; those of faults are faulty from row 160 on."""
    folder = data_folder()
    return None if folder is None else np.loadtxt(folder / "tep" / name)

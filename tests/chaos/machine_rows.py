"""The rows of AI4I 2020: readings of a milling machine, its product's grade, and how it failed."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING, NamedTuple

from chaos.data import data_folder
from models.streams import machines

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "ai4i2020.csv"
NUMBERS = ("air", "process", "speed", "torque", "wear")
GRADE = "grade"
MODES = ("HDF", "OSF", "PWF", "TWF", "none")


class MachineRow(NamedTuple):
    """One product: readings, its grade, whether the machine failed, and the mode first named."""

    x: dict[str, float]
    grade: str
    failed: bool
    mode: str


def machine_rows() -> Iterator[MachineRow]:
    """Yield the rows in order, or as many made by the same rules."""
    for machine, grade in zip(machines(), _grades(), strict=False):
        yield MachineRow(machine.x, grade, machine.failed, machine.mode)


def machine_origin() -> str:
    """Say in words what the rows are."""
    return "generated rows of the shape of AI4I 2020" if data_folder() is None else FILE


def _grades() -> Iterator[str]:
    folder = data_folder()
    if folder is None:
        chance = random.Random("grades")
        while True:
            yield chance.choice("HLLLLLMMM")
    with (folder / FILE).open(encoding="utf-8-sig", newline="") as file:
        for line in csv.DictReader(file):
            yield line["Type"]

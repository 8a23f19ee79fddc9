"""Failures whose causes are known: does the sensor that is blamed most belong to them?"""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.data import data_folder
from chaos.machine_rows import FILE, NUMBERS, machine_origin, machine_rows
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.tables import Found, Table
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLANATIONS
from tidemill.fold.applying import Fold
from tidemill.fold.explaining import Explaining
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tidemill.fold.seen import Seen

TYPE = "type"
SENSORS = (TYPE, *NUMBERS)
# The sensors in the rules by which the data were made. Source: Matzka (2020), Explainable
# artificial intelligence for predictive maintenance applications.
CAUSES: Mapping[str, frozenset[str]] = {
    "HDF": frozenset({"air", "process", "speed"}),
    "PWF": frozenset({"torque", "speed"}),
    "OSF": frozenset({"torque", "wear", TYPE}),
}
MODES = ("TWF", "HDF", "PWF", "OSF", "RNF")
STREAM, ASSET = "mill", "one/and/only/mill"
FAILED = "1"
REPEAT = 10
BURN_IN = 2_000
SURE = 0.5
SEEDS = 5
PER_MODE, MACRO = 0.85, 0.90
RANKS = {"L": 0.0, "M": 1.0, "H": 2.0}
ENCODER = "preprocessing.OrdinalEncoder"
FOREST = "forest.ARFClassifier"


class Product(NamedTuple):
    """One product: its grade and readings, whether the machine failed, and all ways in which."""

    grade: str
    x: dict[str, float]
    failed: bool
    modes: tuple[str, ...]


class Way(NamedTuple):
    """A way of showing the grade to the forest; `ranks` turns it into a number beforehand."""

    name: str
    steps: Sequence[str]
    ranks: Mapping[str, float] | None = None


CLAIMED = Way("text, `preprocessing.OrdinalEncoder`", [ENCODER])
OTHERS = (
    Way("number: L 0, M 1, H 2", [], RANKS),
    Way("text, split by the trees themselves", []),
)


class Hits(NamedTuple):
    """Of each mode: how many rows were explained, and which sensor was blamed how often."""

    blamed: Mapping[str, Counter[str]]

    def share(self, mode: str) -> float:
        """Return of how many rows the sensor most blamed is a cause."""
        blamed = self.blamed[mode]
        count = sum(blamed.values())
        return sum(blamed[name] for name in CAUSES[mode]) / count if count else 0.0

    def rows(self, mode: str) -> int:
        """Return how many rows were explained."""
        return sum(self.blamed[mode].values())


def products() -> Iterator[Product]:
    """Yield the rows in order, or as many made by the same rules."""
    folder = data_folder()
    if folder is None:
        for row in machine_rows():
            named = tuple(mode for mode in MODES if row.mode == mode)
            yield Product(row.grade, row.x, row.failed, named)
        return
    with (folder / FILE).open(encoding="utf-8-sig", newline="") as file:
        for line, row in zip(csv.DictReader(file), machine_rows(), strict=True):
            modes = tuple(mode for mode in MODES if line[mode] == "1")
            yield Product(line["Type"], row.x, row.failed, modes)


def plant(way: Way, seed: int) -> SheetPlant:
    """Return a plant of one stream: does the machine fail, from the six sensors as they are."""
    forest = {FOREST: {"n_models": 10, "leaf_prediction": "mc", "seed": seed}}
    model: dict[str, Any] = {  # Any: River's parameters
        "champion": [*way.steps, forest],
        "repeat": {FAILED: REPEAT},
    }
    is_text = way.ranks is None
    numbers = NUMBERS if is_text else SENSORS
    sheet = Sheet(STREAM, numbers, model, "binary", (TYPE,) if is_text else (), order=SENSORS)
    return SheetPlant([sheet], partitions=1)


def blame(way: Way, seed: int) -> Hits:
    """Fold the rows test-then-train, and count whom the explanations of failures blame.

    Looked at are failures after the first 2,000 rows that have one way of failing, one with known
    causes, and that the model held for likelier than not, before any correction for repeats.
    """
    blamed: dict[str, Counter[str]] = {mode: Counter() for mode in CAUSES}
    made, decode = plant(way, seed), codec("Explanation").decode
    watched: dict[int, str] = {}

    def is_watched(seen: Seen, _: bool) -> bool:
        return seen.message.offset in watched

    witness = Explaining(choose=is_watched)
    fold = Fold(made.terms(), 0, witness=witness)
    for number, product in enumerate(products()):
        if number >= BURN_IN and len(product.modes) == 1 and product.modes[0] in CAUSES:
            watched[number] = product.modes[0]
        grade = product.grade if way.ranks is None else way.ranks[product.grade]
        x = {TYPE: grade, **product.x}
        value = made.value(Reading(STREAM, ASSET, x, int(product.failed)), number)
        fold.apply([Message(EVENTS, 0, number, None, value)], number)
        for emit in witness.take():
            assert emit.topic == EXPLANATIONS
            found = decode(emit.value)
            if found["prediction"] > SURE:
                blamed[watched[number]][culprit(found)] += 1
    return Hits(blamed)


def culprit(explanation: Mapping[str, Any]) -> str:  # Any: an Avro record
    """Return the sensor that an explanation says spoke most for the failure.

    Raises:
        BrokenPromiseError: It explains something else.
    """
    space, target = explanation["output_space"], explanation["target_class"]
    if (space, target) != ("vote share", FAILED):
        msg = f"what must be explained is the vote share of {FAILED}, was {space} of {target}"
        raise BrokenPromiseError(msg)
    best = max(explanation["attributions"], key=lambda share: share["attribution"])
    return str(best["feature"])


def mean_shares(all_hits: Sequence[Hits]) -> dict[str, float]:
    """Return the share of each mode, the mean of the seeds."""
    return {mode: sum(hits.share(mode) for hits in all_hits) / len(all_hits) for mode in CAUSES}


def macro(shares: Mapping[str, float]) -> float:
    """Return the mean over the modes."""
    return sum(shares.values()) / len(shares)


def best_constant() -> tuple[str, float]:
    """Return the sensor that is right most often if it is always named, and how often it is."""
    right = {
        sensor: macro({mode: float(sensor in causes) for mode, causes in CAUSES.items()})
        for sensor in SENSORS
    }
    best = max(right, key=right.__getitem__)
    return best, right[best]


def prove_causes(*, seeds: int, say: Callable[[str], None]) -> Found:
    """Hold the sensors that explanations blame against the causes that are known.

    Args:
        seeds: Forests, each drawn by a seed of its own.
        say: Hears of progress.

    Raises:
        BrokenPromiseError: The pipeline that is claimed for blames others too often.
    """
    found: dict[str, list[Hits]] = {}
    for way in (CLAIMED, *OTHERS):
        found[way.name] = []
        for seed in range(1, seeds + 1):
            hits = blame(way, seed)
            found[way.name].append(hits)
            said = {mode: f"{hits.share(mode):.3f} of {hits.rows(mode)}" for mode in CAUSES}
            say(f"{way.name}, seed {seed}: {said}")
    shares = mean_shares(found[CLAIMED.name])
    sensor, constant = best_constant()
    check(shares, constant)
    return Found(
        {
            "data": f"{machine_origin()}, *Machine failure*, the grade and five sensors as they "
            f"are, failures learned {REPEAT} times",
            "model": f"`{ENCODER}`, `{FOREST}` with 10 trees and leaves that answer with "
            "frequencies",
            "looked at": f"explanation records of failures in one way only, after {BURN_IN:,} "
            f"rows, predicted with more than {SURE} before repeats are corrected",
            **{
                f"{mode}: the most blamed sensor is one of {', '.join(sorted(CAUSES[mode]))}": ""
                f"{share:.3f}, mean of {seeds} seeds, at least {PER_MODE}"
                for mode, share in shares.items()
            },
            "mean of the three": f"{macro(shares):.3f}, at least {MACRO}",
            "best constant answer": f"{constant:.3f}, always {sensor}",
        },
        [_ways(found), _seeds(found)],
    )


def check(shares: Mapping[str, float], constant: float) -> None:
    """Hold shares against what is promised.

    Raises:
        BrokenPromiseError: They are smaller.
    """
    wrong = [mode for mode, share in shares.items() if share < PER_MODE]
    if wrong or macro(shares) < max(MACRO, constant):
        msg = (
            f"the sensor most blamed must be a cause in {PER_MODE} of the rows of each mode and "
            f"{MACRO} over all, was {shares}, mean {macro(shares):.3f}"
        )
        raise BrokenPromiseError(msg)


def _ways(found: Mapping[str, Sequence[Hits]]) -> Table:
    rows = []
    for name, all_hits in found.items():
        shares = mean_shares(all_hits)
        is_held = min(shares.values()) >= PER_MODE and macro(shares) >= MACRO
        cells = [f"{share:.3f}" for share in shares.values()]
        is_claimed = "yes, the claim" if name == CLAIMED.name else "yes" if is_held else "**no**"
        rows.append((name, *cells, f"{macro(shares):.3f}", is_claimed))
    about = "The same forest with the grade shown in three ways; means over the seeds."
    return Table(about, ("grade", *CAUSES, "mean", "reaches both bounds"), rows)


def _seeds(found: Mapping[str, Sequence[Hits]]) -> Table:
    rows = [
        (
            name,
            f"{seed}",
            *(f"{hits.share(mode):.3f} of {hits.rows(mode)}" for mode in CAUSES),
            "; ".join(
                f"{mode}: {', '.join(f'{k} {n}' for k, n in hits.blamed[mode].most_common())}"
                for mode in CAUSES
            ),
        )
        for name, all_hits in found.items()
        for seed, hits in enumerate(all_hits, 1)
    ]
    head = ("grade", "seed", *CAUSES, "most blamed")
    return Table("Each seed; share of rows whose most blamed sensor is a cause.", head, rows)

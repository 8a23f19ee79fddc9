"""Records of any shape and size, seeded: whole, extreme, mutated, foreign, random, empty."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.plant import START_US, STEP_US
from chaos.sheets import Reading, Sheet, SheetPlant
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LABELS, UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PARTITIONS = 2
NUMBERS = ("force", "heat", "speed")
RECIPE = "recipe"
STICKING = NUMBERS[0]
HALF = 0.5
HUGE = 40_000
REMEMBERED = 200  # of the last whole records, of which one comes again
BUDGET = "12KiB"
SCALED = "preprocessing.StandardScaler"
QUICK_TREE = {"grace_period": 20, "delta": 0.1, "tau": 0.2}
UPDATE_SHARE = 0.15

FEATURES: Mapping[str, Mapping[str, Any]] = {  # Any: parts of a definition
    "force": {"range": [-1_000, 1_000], "stuck_after": 5},
    "heat": {"rate": 50.0},
    "speed": {"required": True},
}
OPTIONS = {"lateness": "1m", "duplicates_within": 20}

NUMBERS_OF_ALL_KINDS = (
    *(0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e-300, 1e50, -1e50, 1.0001e50, 1e308, -1e308),
    *(math.inf, -math.inf, math.nan, 2.0**53 + 1, 0.1),
)
TEXTS = ("", "a", "slow", "fast", "\0", "|", "|#1", "a|b|c", "\u00e9\u4e2d\U0001f600", " ", "true")
TIMES = (0, -1, 1, START_US, -(1 << 63), (1 << 63) - 1, -62_135_596_800_000_000)
CLASSES = ("a", "b", "c")
KINDS = ("VETO", "HOLD", "RELEASE", "FAULT", "PROCESS_CHANGE", "RETRACT", "ROLLBACK")


def fuzzed_plant() -> SheetPlant:
    """Return a plant of every kind of target, with every check that there is."""
    line = [SCALED, "linear_model.LinearRegression"]
    sheets = [
        Sheet(
            "line",
            NUMBERS,
            {
                "champion": line,
                "challengers": {
                    "tree": [{"tree.HoeffdingTreeRegressor": QUICK_TREE}],
                    "bayes": [SCALED, "linear_model.BayesianLinearRegression"],
                },
            },
            features=FEATURES,
            options=OPTIONS,
        ),
        Sheet(
            "gate",
            NUMBERS,
            {
                "champion": [SCALED, "linear_model.LogisticRegression"],
                "challengers": {"tree": [{"tree.HoeffdingTreeClassifier": QUICK_TREE}]},
                "repeat": {"1": 3},
            },
            "binary",
            features=FEATURES,
            options=OPTIONS,
        ),
        Sheet(
            "sort",
            NUMBERS,
            {
                "champion": [{"tree.HoeffdingTreeClassifier": QUICK_TREE}],
                "challengers": {
                    "bayes": ["preprocessing.OneHotEncoder", "naive_bayes.GaussianNB"],
                },
            },
            "multiclass",
            nominal=(RECIPE,),
        ),
        Sheet("watch", NUMBERS, {"champion": ["anomaly.GaussianScorer"]}, None, options=OPTIONS),
    ]
    return SheetPlant(sheets, partitions=PARTITIONS, memory=BUDGET)


class Fuzzed(NamedTuple):
    """One record to write."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Fuzzer:
    """Makes records, the same for the same seed."""

    def __init__(self, plant: SheetPlant, seed: int) -> None:
        self._plant = plant
        self._sheets = list(plant.sheets)
        self._random = random.Random(seed)
        self._number = 0
        self._past = {topic: deque([b""], maxlen=REMEMBERED) for topic in (EVENTS, UPDATES)}
        self._topic = EVENTS

    def records(self, count: int) -> Iterator[Fuzzed]:
        """Yield so many records."""
        chance = self._random
        ways: dict[Callable[[], bytes | None], int] = {
            self._whole: 62,
            self._mutated: 18,
            self._foreign: 3,
            self._random_bytes: 4,
            self._nothing: 3,
            self._again: 10,
        }
        for _ in range(count):
            self._number += 1
            make = chance.choices(list(ways), list(ways.values()))[0]
            topic = self._topic = UPDATES if chance.random() < UPDATE_SHARE else EVENTS
            value = make()
            if make == self._whole and value is not None:
                self._past[topic].append(value)
            key = chance.choice([None, b"", b"line/1", chance.randbytes(3)])
            yield Fuzzed(topic, chance.randrange(PARTITIONS), key, value)

    def _whole(self) -> bytes:
        return self._update() if self._topic == UPDATES else self._event()

    def _mutated(self) -> bytes:
        """Return a whole record with some bytes changed, cut, doubled or put in."""
        value = bytearray(self._whole())
        chance = self._random
        for _ in range(chance.choice([1, 1, 2, 8])):
            at = chance.randrange(len(value)) if value else 0
            match chance.randrange(5):
                case 0 | 1 if value:
                    value[at] ^= 1 << chance.randrange(8)
                case 2:
                    del value[at : at + chance.choice([1, 1, 4, 1 << 20])]
                case 3:
                    value[at:at] = chance.randbytes(chance.choice([1, 1, 4, 40]))
                case _:
                    value[at:at] = value[at : at + 8]
        return bytes(value)

    def _foreign(self) -> bytes:
        """Return the fields of one record under the id of another, or of none."""
        value, other = self._event(), self._event()
        return self._random.choice([other[:5], b"\0\0\0\0\1", b"\1\0\0\0\0"]) + value[5:]

    def _random_bytes(self) -> bytes:
        return self._random.randbytes(self._random.choice([1, 4, 5, 6, 60, 3_000]))

    def _nothing(self) -> bytes | None:
        return self._random.choice([None, b"", b"\0"])

    def _again(self) -> bytes:
        return self._random.choice(self._past[self._topic])

    def _asset(self) -> str:
        chance = self._random
        if chance.random() < 0.97:
            return f"line/{chance.randrange(6)}"
        return chance.choice([*TEXTS, f"new/{self._number}", "x" * HUGE])

    def _value(self) -> float | None:
        chance = self._random
        dice = chance.random()
        if dice < 0.9:
            return chance.gauss(0.0, 1.0)
        return None if dice < 0.93 else chance.choice(NUMBERS_OF_ALL_KINDS)

    def _text(self) -> str:
        chance = self._random
        return chance.choice(TEXTS) if chance.random() < 0.9 else "y" * chance.randrange(HUGE)

    def _label(self, sheet: Sheet) -> Any:  # Any: what an answer may be
        chance = self._random
        is_wild = chance.random() < 0.05
        match sheet.kind:
            case "regression":
                return chance.choice(NUMBERS_OF_ALL_KINDS) if is_wild else chance.gauss(0.0, 1.0)
            case "binary":
                return chance.choice([-1, 2, 1 << 30]) if is_wild else chance.randrange(2)
            case "multiclass":
                return self._text() if is_wild else chance.choice(CLASSES)
        return None

    def _x(self, sheet: Sheet) -> dict[str, Any]:  # Any: numbers and texts
        texts = {
            name: self._random.choice(["slow", "fast", self._text()]) for name in sheet.nominal
        }
        x = {**{name: self._value() for name in sheet.numbers}, **texts}
        return x if self._random.random() < HALF else {**x, STICKING: 1.0}

    def _event(self) -> bytes:
        chance = self._random
        sheet = chance.choice(self._sheets)
        label = self._label(sheet) if chance.random() < 0.9 else None
        reading = Reading(sheet.name, self._asset(), self._x(sheet), label)
        after_us = chance.choice([0] * 30 + [-STEP_US, -(10**9)])
        if chance.random() < 0.01:
            after_us = chance.choice(TIMES) - START_US - self._number * STEP_US
            after_us = max(min(after_us, 1 << 62), -(1 << 62))
        return self._plant.value(reading, self._number, after_us=after_us)

    def _update(self) -> bytes:
        chance = self._random
        sheet = chance.choice(self._sheets[:3])
        label = self._label(sheet)
        is_wild = chance.random() < 0.05
        models = [None, f"{sheet.name}/champion", "none/such"] if is_wild else [None]
        x = {name: value for name, value in self._x(sheet).items() if value is not None}
        if not is_wild:  # or most would be dead letters, which halts a worker
            x |= {name: chance.gauss(0.0, 1.0) for name in sheet.numbers}
        return codec("Update").encode(
            {
                "update_id": f"u{self._number}",
                "cause": {
                    "topic": self._text() if is_wild else LABELS,
                    "partition": chance.choice(TIMES[:3]) if is_wild else 0,
                    "offset": chance.choice([self._number, self._number - 3]),
                    "index": 0,
                },
                "asset": self._asset(),
                "stream": self._text() if is_wild else sheet.name,
                "model": chance.choice(models),
                "kind": chance.choice(KINDS) if is_wild else "EXAMPLE",
                "features": x,
                "label": str(label) if sheet.kind == "binary" else label,
                "weight": chance.choice(NUMBERS_OF_ALL_KINDS) if is_wild else 1.0,
                "origin": "label",
                "time": START_US + self._number * STEP_US,
            }
        )

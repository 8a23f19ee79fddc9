"""Intervals that hold nine labels in ten, and probabilities as large as classes are frequent."""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.data import LOOP_FEATURES, POWER_FEATURES, loop_rows, power_rows
from chaos.machine_rows import MODES, NUMBERS, machine_origin, machine_rows
from chaos.plant import SCALED
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.tables import Found, Table
from models.streams import drifting_rows, worst_share
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS
from tidemill.fold.applying import Fold
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ASSET = "one/and/only/asset"
LABELS = 10_000
BEFORE = 100  # labels before the first interval
LEVEL, POINT, WORST = 0.90, 0.01, 0.85
WIDTH = 1_000
DEVIATION = 0.005
LINE = [SCALED, "linear_model.LinearRegression"]
DEMAND = "nswdemand"
DEMAND_FROM = tuple(name for name in POWER_FEATURES if name != DEMAND)

FAILED, MODE = "failed", "mode"
REPEATS: Mapping[str, Mapping[str, int]] = {
    FAILED: {"1": 10},
    MODE: {"TWF": 10, "HDF": 5, "PWF": 5, "OSF": 5},
}
CLASSIFIERS: Mapping[str, list[Any]] = {  # Any: River's parameters
    "logistic": [SCALED, "linear_model.LogisticRegression"],
    "softmax": [SCALED, "linear_model.SoftmaxRegression"],
    "tree": [{"tree.HoeffdingTreeClassifier": {"leaf_prediction": "mc"}}],
    "forest": [{"forest.ARFClassifier": {"leaf_prediction": "mc", "seed": 1}}],
}
CALIBRATED = (
    (FAILED, "logistic"),
    (FAILED, "tree"),
    (FAILED, "forest"),
    (MODE, "softmax"),
    (MODE, "tree"),
    (MODE, "forest"),
)


class Coverage(NamedTuple):
    """Of how many labels an interval held how large a share, over each 10,000 in a row."""

    labels: int
    shares: tuple[float, ...]
    worst: float

    @property
    def furthest(self) -> float:
        """The share furthest from the level."""
        return max(self.shares, key=lambda share: abs(share - LEVEL))


def predictions(sheet: Sheet, readings: Iterable[Reading]) -> Iterator[dict[str, Any]]:  # Any: Avro
    """Yield what a fold predicts, event by event."""
    plant = SheetPlant([sheet], partitions=1)
    fold, decode = Fold(plant.terms(), 0), codec("Prediction").decode
    for number, reading in enumerate(readings):
        message = Message(EVENTS, 0, number, None, plant.value(reading, number))
        (emit,) = fold.apply([message], 0)
        yield decode(emit.value)


def coverage(names: Sequence[str], rows: Iterable[tuple[dict[str, float], float]]) -> Coverage:
    """Return how often the stored interval of a linear model held the label that came with it."""
    readings = [Reading("line", ASSET, x, y) for x, y in rows]
    sheet = Sheet("line", names, {"champion": LINE})
    held = [
        found["interval"]["low"] <= reading.y <= found["interval"]["high"]
        for found, reading in zip(predictions(sheet, readings), readings, strict=True)
        if found["interval"] is not None
    ]
    starts = range(0, len(held) - LABELS + 1, LABELS)
    shares = tuple(sum(held[start : start + LABELS]) / LABELS for start in starts)
    return Coverage(len(held), shares, worst_share(held, WIDTH))


def covered_streams() -> Iterator[tuple[str, Coverage]]:
    """Yield each stream by name with its coverage."""
    count = LABELS + BEFORE
    for seed in range(5):
        rows = drifting_rows(seed, count)
        yield f"made to drift, seed {seed}", coverage(("s0", "s1", "s2", "s3"), rows)
    yield "demand of elec.csv, its first rows", coverage(DEMAND_FROM, islice(_demands(), count))
    yield "flow of the SKAB files, over and over", coverage(LOOP_FEATURES, islice(_flows(), count))


def _demands() -> Iterator[tuple[dict[str, float], float]]:
    for row in power_rows():
        x = dict(zip(POWER_FEATURES, row.x, strict=True))
        yield x, x.pop(DEMAND)


def _flows() -> Iterator[tuple[dict[str, float], float]]:
    rows = list(loop_rows())
    for row in chain.from_iterable(repeat(rows)):
        yield dict(zip(LOOP_FEATURES, row.x, strict=True)), row.y


def check_coverage(name: str, found: Coverage) -> None:
    """Hold a coverage against what is promised.

    Raises:
        BrokenPromiseError: It is further off.
    """
    if abs(found.furthest - LEVEL) > POINT or found.worst < WORST or not found.shares:
        msg = (
            f"{name}: intervals must hold {LEVEL} of {LABELS} labels within {POINT}, {WORST} "
            f"of any {WIDTH} in a row, was {found}"
        )
        raise BrokenPromiseError(msg)


def deviations(kind: str, classifier: str) -> dict[str, tuple[float, float]]:
    """Return base rate and mean probability of each class of AI4I, test-then-train.

    Args:
        kind: Whether it failed, or how.
        classifier: One of `CLASSIFIERS`.
    """
    model = {"champion": CLASSIFIERS[classifier], "repeat": dict(REPEATS[kind])}
    is_failed = kind == FAILED
    sheet = Sheet(kind, NUMBERS, model, "binary" if is_failed else "multiclass")
    rows = list(machine_rows())
    answers: list[Any] = [int(row.failed) if is_failed else row.mode for row in rows]  # Any: labels
    readings = [Reading(kind, ASSET, row.x, y) for row, y in zip(rows, answers, strict=True)]
    classes = ("0", "1") if is_failed else MODES
    came, said, count = dict.fromkeys(classes, 0), dict.fromkeys(classes, 0.0), 0
    for found, y in zip(predictions(sheet, readings), answers, strict=True):
        if found["probabilities"]:
            count += 1
            came[str(y)] += 1
            for key, p in found["probabilities"].items():
                said[key] += p
    return {key: (came[key] / count, said[key] / count) for key in classes}


def check_deviations(name: str, found: Mapping[str, tuple[float, float]]) -> float:
    """Hold mean probabilities of rare classes against base rates; return the largest deviation.

    Raises:
        BrokenPromiseError: One is further off than is promised.
    """
    rare = [found[key] for repeats in REPEATS.values() for key in repeats if key in found]
    largest = max(abs(said - rate) for rate, said in rare)
    if largest > DEVIATION:
        msg = f"{name}: mean probabilities must be within {DEVIATION} of base rates, was {found}"
        raise BrokenPromiseError(msg)
    return largest


def prove_calibrated() -> Found:
    """Run all streams through the fold.

    Raises:
        BrokenPromiseError: Intervals hold too few or too many labels, or probabilities are off.
    """
    streams = dict(covered_streams())
    for name, covered in streams.items():
        check_coverage(name, covered)
    whole = {"demand of elec.csv, all rows: not held to it": coverage(DEMAND_FROM, _demands())}
    found = {pair: deviations(*pair) for pair in CALIBRATED}
    largest = [check_deviations(" by ".join(pair), each) for pair, each in found.items()]
    worst = min(covered.worst for covered in streams.values())
    furthest = max((c.furthest for c in streams.values()), key=lambda share: abs(share - LEVEL))
    return Found(
        {
            "labels": "with their events, so at delay 0",
            "furthest coverage of 10,000 labels in a row": f"{furthest:.4f}, asked {LEVEL}",
            f"worst {WIDTH:,} in a row": f"{worst:.3f}",
            "largest difference of mean probability and base rate, rare classes": ""
            f"{max(largest):.4f}",
            "rare classes": f"of {machine_origin()}, learned repeatedly: "
            + "; ".join(f"{kind} {dict(each)}" for kind, each in REPEATS.items()),
        },
        [_coverages({**streams, **whole}), _probabilities(found)],
    )


def _coverages(streams: Mapping[str, Coverage]) -> Table:
    rows = [
        (name, f"{c.labels:,}", ", ".join(f"{share:.4f}" for share in c.shares), f"{c.worst:.3f}")
        for name, c in streams.items()
    ]
    head = ("stream", "labels", "share held, of each 10,000", f"worst {WIDTH:,} in a row")
    return Table("Labels within the 90 % interval stored with their prediction.", head, rows)


def _probabilities(found: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]]) -> Table:
    rows = [
        (*pair, key, f"{rate:.4f}", f"{said:.4f}", f"{said - rate:+.4f}")
        for pair, classes in found.items()
        for key, (rate, said) in classes.items()
    ]
    head = ("classes", "champion", "class", "base rate", "mean probability", "difference")
    return Table("Probabilities as predicted, before the label was learned.", head, rows)

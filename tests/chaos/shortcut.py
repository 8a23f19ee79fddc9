"""A sensor that models lean on until it breaks, and operators who say beforehand that it lies."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.beside import Beside
from chaos.feeding import Feed, Outgoing
from chaos.label_schedule import Habits, schedule
from chaos.mesh import Mesh
from chaos.plain_shortcut import accuracy_without
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.tables import Found, Table
from chaos.waiting import await_value
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.local.redis import redis_running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chaos.figures import Figures

SENSORS = ("s0", "s1", "s2", "s3", "s4", "z")
SHORTCUT = "z"
SCALED = "preprocessing.StandardScaler"
ARF = {"forest.ARFClassifier": {"n_models": 10, "leaf_prediction": "mc"}}
TREE = {
    "tree.HoeffdingTreeClassifier": {"leaf_prediction": "mc", "grace_period": 50, "delta": 0.001}
}
MODELS: dict[str, list[Any]] = {  # Any: River's parameters
    "logistic": [SCALED, "linear_model.LogisticRegression"],
    "tree": [TREE],
    "forest": [ARF],
}
AT_LEAST = {"logistic": 0.84, "tree": 0.83, "forest": 0.87}
ALONE_AT_MOST = 0.60
NEAR = 0.02
TOLD, UNTOLD = "line/press/told", "line/press/untold"
ACTORS = 10
AWAITED_S = 900.0


class Lengths(NamedTuple):
    """Events of one asset: up to the feedback, up to the break, and after it; and feedbacks."""

    before: int = 2_500
    broken: int = 5_000
    after: int = 2_000
    feedbacks: int = 200


def rows(lengths: Lengths, seed: int) -> list[tuple[dict[str, float], int]]:
    """Return readings and answers; up to the break one sensor all but gives the answer away."""
    rng = random.Random(seed)
    found = []
    for number in range(lengths.broken + lengths.after):
        s = [rng.random() for _ in range(5)]
        y = int(s[0] + 0.8 * s[1] + 0.5 * (s[2] > 0.6) > 1.15)
        y = 1 - y if rng.random() < 0.05 else y
        agrees = rng.random() < (0.95 if number < lengths.broken else 0.5)
        z = (y if agrees else 1 - y) + rng.gauss(0.0, 0.05)
        found.append((dict(zip(SENSORS, (*s, z), strict=True)), y))
    return found


def plant() -> SheetPlant:
    """Return a plant with one stream for each kind of model, whose answers come as labels."""
    target = {"name": "answer", "kind": "binary", "classes": ["0", "1"], "ttl": "10d"}
    options = {"target": {"label": target}, "feedback": {"veto_needs": "operator"}}
    sheets = [
        Sheet(name, SENSORS, {"champion": steps}, kind="binary", options=options)
        for name, steps in MODELS.items()
    ]
    return SheetPlant(sheets, partitions=2)


class _Plan:
    """What is written: parts of one schedule, in order."""

    def __init__(self, lengths: Lengths, seed: int) -> None:
        self.rows = rows(lengths, seed)
        self.plant = plant()
        readings = [
            Reading(name, asset, x, y) for x, y in self.rows for name in MODELS
            for asset in (TOLD, UNTOLD)
        ]  # fmt: skip
        self._each = len(MODELS) * 2
        labelled = readings[: lengths.broken * self._each]
        habits = Habits(delays=(0,), never=0.0, twice=0.0, revised=0.0, jitter=0)
        records, _ = schedule(self.plant, labelled, habits, seed)
        at = lengths.before * self._each * 2
        self.first, self.second = records[:at], records[at:]
        bare = [reading._replace(y=None) for reading in readings]
        self.rest = list(self.plant.events(bare))[len(labelled) :]


def feedbacks(
    predictions: Sequence[dict[str, Any]],  # Any: Avro records
    count: int,
    seed: int,
) -> list[Outgoing]:
    """Return what operators say of the newest predictions of one asset: that sensor is wrong."""
    rng = random.Random(seed)
    said = []
    for number, prediction in enumerate(rng.sample(list(predictions[-2 * count :]), count)):
        record = {
            "feedback_id": f"{prediction['stream']}-{number}",
            "kind": "IRRELEVANT",
            "event_id": prediction["event_id"],
            "event": prediction["source"],
            "asset": prediction["asset"],
            "stream": prediction["stream"],
            "feature": SHORTCUT,
            "actor": f"{prediction['stream']}-operator-{number % ACTORS}",
            "role": "operator",
            "time": prediction["time"] + 5_000_000 * number,
        }
        key, partition = prediction["asset"].encode(), prediction["source"]["partition"]
        said.append(Outgoing(FEEDBACK, partition, key, codec("Feedback").encode(record)))
    return said


def prove_shortcut(folder: Path, lengths: Lengths, seed: int, say: Callable[[str], None]) -> Found:
    """Let operators veto a shortcut before it breaks, beside an asset where nobody says a word.

    Raises:
        BrokenPromiseError: A model is not as good as it must be, or not as bad without feedback.
    """
    plan = _Plan(lengths, seed)
    with (
        redis_running(folder / "redis") as redis,
        Mesh(folder / "mesh", plan.plant) as mesh,
        Beside("labeller", mesh, folder, ["--redis", str(redis.url)]) as labellers,
        Beside("feedback", mesh, folder) as processors,
    ):
        mesh.start("w0")
        labellers.start("l0")
        processors.start("f0")
        mesh.await_owners(1)
        _write(mesh, plan.first, lengths.before * len(MODELS) * 2)
        told = []
        for stream in MODELS:
            found = predictions_of(mesh, stream, TOLD)
            told += feedbacks(found, lengths.feedbacks, seed)
        feed = Feed(mesh.bootstrap)
        feed.write(told)
        feed.finish()
        receipts = await_receipts(mesh, len(told))
        say(f"{len(told)} feedbacks have their receipts: {receipts}")
        _write(mesh, plan.second, lengths.broken * len(MODELS) * 2)
        feed = Feed(mesh.bootstrap)
        feed.write(plan.rest)
        feed.finish()
        mesh.drain(AWAITED_S)
        table = [_row(mesh, stream, plan.rows, lengths) for stream in MODELS]
        code, document = mesh.audit("replay")
        if (code, document["differences"]) != (0, 0):
            msg = f"audit replay must differ in nothing, was {document}"
            raise BrokenPromiseError(msg)
        processors.end()
        labellers.end()
        mesh.end()
    figures: Figures = {
        "events": f"{2 * (lengths.broken + lengths.after):,} of each model, half of an asset that "
        "nobody says a word about",
        "feedback": f"{lengths.feedbacks} for each model by {ACTORS} operators, at event "
        f"{lengths.before:,}; receipts: {receipts}",
        "labels": f"of the first {lengths.broken:,} events; then the sensor breaks, and none comes",
        "audit replay": "0 differences",
    }
    head = ("model", "accuracy after the break", "without feedback", "never had the sensor")
    about = f"Accuracy over the {lengths.after:,} events after the break:"
    return Found(figures, [Table(about, head, table)])


def _write(mesh: Mesh, records: Sequence[Outgoing], labels: int) -> None:
    """Write records, and wait until so many labels in all have been learned."""
    feed = Feed(mesh.bootstrap)
    feed.write(records)
    feed.finish()
    await_value(
        lambda: sum(map(len, mesh.read(UPDATES))) >= labels,
        lambda: f"{labels} updates",
        AWAITED_S,
        poll_s=1.0,
    )
    mesh.drain(AWAITED_S)


def predictions_of(
    mesh: Mesh, stream: str, asset: str
) -> list[dict[str, Any]]:  # Any: Avro records
    """Return the predictions of an asset, in order."""
    decode = codec("Prediction").decode
    found = [decode(record.value) for part in mesh.read(PREDICTIONS) for record in part]
    return [each for each in found if (each["stream"], each["asset"]) == (stream, asset)]


def await_receipts(mesh: Mesh, count: int) -> str:
    """Wait until so many feedbacks have a final receipt; return how many of each kind."""
    decode = codec("Receipt").decode
    last: dict[str, str] = {}

    def is_there() -> bool:
        mesh.check()
        found = [decode(record.value) for part in mesh.read(RECEIPTS) for record in part]
        last.update({r["feedback_id"]: r["status"] for r in found if r["status"] != "ACCEPTED"})
        return len(last) >= count

    await_value(is_there, lambda: f"{count} final receipts, {len(last)}", AWAITED_S, poll_s=1.0)
    return ", ".join(f"{n} {status}" for status, n in sorted(Counter(last.values()).items()))


def _row(
    mesh: Mesh, stream: str, answers: Sequence[tuple[dict[str, float], int]], lengths: Lengths
) -> list[str]:
    """Hold the answers of one kind of model after the break; return its line of the table."""
    told, untold = (
        _accuracy(predictions_of(mesh, stream, asset), answers, lengths) for asset in (TOLD, UNTOLD)
    )
    without = accuracy_without(stream, answers, lengths.broken)
    low = told < AT_LEAST[stream] or told < without - NEAR
    if low or untold > ALONE_AT_MOST:
        msg = (
            f"{stream}: after feedback at least {AT_LEAST[stream]} and within {NEAR} of "
            f"{without:.4f}, alone at most {ALONE_AT_MOST}; was {told:.4f} and {untold:.4f}"
        )
        raise BrokenPromiseError(msg)
    return [stream, f"{told:.4f}", f"{untold:.4f}", f"{without:.4f}"]


def _accuracy(
    predictions: Sequence[dict[str, Any]],  # Any: Avro records
    answers: Sequence[tuple[dict[str, float], int]],
    lengths: Lengths,
) -> float:
    pairs = list(zip(predictions, answers, strict=True))[lengths.broken :]
    right = sum(bool(each["outcome"] == str(y)) for each, (_, y) in pairs)
    return right / len(pairs)

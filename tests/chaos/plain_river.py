"""Plain River, and nothing of ours: the loop that a person would write over the same rows."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from river import linear_model, preprocessing, tree

from chaos.data import LOOP, POWER
from chaos.plant import CLASSES, FEATURES, event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from chaos.data import Row

_DOUBLE = struct.Struct("<d")

# As `chaos.plant.MODELS` names them, champion first, then the challengers by name.
PIPELINES: Mapping[str, tuple[Callable[[], Any], ...]] = {  # Any: River carries no types
    POWER: (
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        tree.HoeffdingTreeClassifier,
    ),
    LOOP: (
        tree.HoeffdingTreeRegressor,
        lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
    ),
}


class Said(NamedTuple):
    """What one model says: a number, or the probability of each class; bits, not roundings."""

    value: bytes | None
    probabilities: tuple[tuple[str, bytes], ...] | None


def bits(number: float) -> bytes:
    """Return the 64 bits of a double."""
    return _DOUBLE.pack(number)


def ask(stream: str, pipeline: Any, x: dict[str, float]) -> Said:  # Any: as above
    """Ask a pipeline of a stream."""
    if stream != POWER:
        return Said(bits(pipeline.predict_one(x)), None)
    scores = pipeline.predict_proba_one(x)
    if not scores:
        return Said(None, None)
    return Said(None, tuple(sorted((CLASSES[c], bits(p)) for c, p in scores.items())))


def label(row: Row) -> float | bool:
    """Return the answer as River is given it."""
    return bool(row.y) if row.stream == POWER else row.y


class PlainLoop:
    """Predicts, then learns, row by row; every asset has models of its own."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], list[Any]] = {}  # Any: as above

    def take(self, row: Row) -> list[Said]:
        """Return what the models say of a row, champion first; then learn it."""
        key = (row.stream, row.asset)
        if key not in self._models:
            self._models[key] = [build() for build in PIPELINES[row.stream]]
        x = dict(zip(FEATURES[row.stream], row.x, strict=True))
        said = [ask(row.stream, model, x) for model in self._models[key]]
        for model in self._models[key]:
            model.learn_one(x, label(row))
        return said


def run_plain_loop(rows: Iterable[Row]) -> dict[str, list[Said]]:
    """Return what a plain loop over rows says, by event id."""
    loop = PlainLoop()
    return {event_id(number): loop.take(row) for number, row in enumerate(rows)}


def said_in(prediction: Mapping[str, Any]) -> list[Said]:  # Any: an Avro record
    """Return what the models said in a prediction record, champion first."""
    parts = [prediction, *prediction["shadows"]]
    return [_said(part["value"], part["probabilities"]) for part in parts]


def _said(value: float | None, probabilities: Mapping[str, float] | None) -> Said:
    scores = None
    if probabilities is not None:
        scores = tuple(sorted((key, bits(p)) for key, p in probabilities.items()))
    return Said(None if value is None else bits(value), scores)

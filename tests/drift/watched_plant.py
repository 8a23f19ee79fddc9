"""A small plant whose drifts are watched, and the records that its topics hold."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLANATIONS, OUTCOMES, PREDICTIONS, UPDATES
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.records import Message
from tidemill.processors.drift.books import Books
from tidemill.processors.drift.task import DriftTask
from tidemill.processors.drift.watching import Watching
from tidemill.testing.plants import START_US, STEP_US, STREAM, event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit

KEY = SigningKey(bytes(range(32)))
REFERENCE = 64
ASSET = "north/1"


def terms(**drift: object) -> Terms:
    """Return the sample plant's terms with these keys under `drift`."""
    return sample_terms(stream={"drift": {"run_length": 100, "hold_at_most": 1.0, **drift}})


TERMS = terms()


def task(given: Terms = TERMS, policy: Policy | None = None) -> DriftTask:
    """Return a task of partition 0 that has seen nothing."""
    watching = Watching(given, 0, REFERENCE)
    books = Books(watching, None, signing=KEY, policy=policy or Policy())
    return DriftTask(watching, books)


def event(number: int, x: dict[str, float | None], asset: str = ASSET) -> Message:
    """Return one sensor event; its number is its offset, and its time in seconds."""
    return Message(EVENTS, 0, number, asset.encode(), event_value(asset, number, x))


def events(
    count: int, *, seed: int = 1, start: int = 0, shift: float = 0.0, asset: str = ASSET
) -> list[Message]:
    """Return events of three sensors, the vibration shifted by so many sd."""
    rng = random.Random(seed)
    found = []
    for number in range(start, start + count):
        load = rng.gauss(0, 1)
        x: dict[str, float | None] = {
            "vibration": load + rng.gauss(shift, 0.5),
            "temperature": 40 + load + rng.gauss(0, 0.5),
            "flow": rng.gauss(2, 0.1),
        }
        found.append(event(number, x, asset))
    return found


def prediction(number: int, value: float | None, *, structure: int = 0, **more: object) -> Message:
    """Return one prediction of the champion."""
    record: dict[str, Any] = {  # Any: an Avro record
        "event_id": f"e{number}",
        "asset": ASSET,
        "stream": STREAM,
        "time": START_US + number * STEP_US,
        "source": {"topic": EVENTS, "partition": 0, "offset": number},
        "model": "pump/champion",
        "version": number,
        "lineage": bytes(32),
        "value": value,
        "probabilities": None,
        "structure": structure,
        "quality": [],
        "shadows": [],
        **more,
    }
    return Message(PREDICTIONS, 0, number, ASSET.encode(), codec("Prediction").encode(record))


def outcome(number: int, error: float, **more: object) -> Message:
    """Return what became of one prediction."""
    record: dict[str, Any] = {  # Any: an Avro record
        "event_id": f"e{number}",
        "asset": ASSET,
        "stream": STREAM,
        "time": START_US + number * STEP_US,
        "model": "pump/champion",
        "version": number,
        "label": 1.0,
        "error": error,
        "delay_s": 0.0,
        **more,
    }
    return Message(OUTCOMES, 0, number, ASSET.encode(), codec("Outcome").encode(record))


def explanation(number: int, parts: dict[str, float]) -> Message:
    """Return what each sensor added to one prediction."""
    record: dict[str, Any] = {  # Any: an Avro record
        "event_id": f"e{number}",
        "asset": ASSET,
        "stream": STREAM,
        "time": START_US + number * STEP_US,
        "source": {"topic": EVENTS, "partition": 0, "offset": number},
        "model": "pump/champion",
        "version": number,
        "lineage": bytes(32),
        "method": "LINEAR",
        "exact": True,
        "output_space": "value",
        "reference": {"kind": "mean", "n": number},
        "base": 0.0,
        "prediction": sum(parts.values()),
        "attributions": [
            {"feature": name, "observed": 1.0, "attribution": part} for name, part in parts.items()
        ],
        "residual": 0.0,
        "additivity_error": 0.0,
        "missing": [],
        "age": 0,
    }
    return Message(EXPLANATIONS, 0, number, ASSET.encode(), codec("Explanation").encode(record))


def answer(offset: int, drift_id: str, kind: str, asset: str = ASSET) -> Message:
    """Return what a person answered."""
    record = {
        "update_id": f"a{offset}",
        "cause": {"topic": "operator.feedback", "partition": 0, "offset": offset, "index": 0},
        "asset": asset,
        "stream": STREAM,
        "kind": kind,
        "target_id": drift_id,
        "origin": f"f{offset}",
        "time": START_US,
    }
    return Message(UPDATES, 0, offset, asset.encode(), codec("Update").encode(record))


def told(emits: Iterable[Emit], name: str = "Drift") -> list[dict[str, Any]]:
    """Return the records of one name among emissions."""
    topic = {"Drift": "model.drift", "Update": UPDATES}[name]
    return [codec(name).decode(emit.value) for emit in emits if emit.topic == topic]

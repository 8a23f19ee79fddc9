"""Answers made by hand, for the texts that are made of them."""

from __future__ import annotations

from typing import Any

from tidemill.contracts.answer import Answer, Asked, Outcome
from tidemill.contracts.topics import EVENTS, EXPLANATIONS, PREDICTIONS
from tidemill.kernel.records import Position

TIME_US = 1_767_225_612_000_000
LINEAGE = bytes(range(32))
SOURCE = {"topic": EVENTS, "partition": 1, "offset": 12}
WEAR = Asked("regression", "wear", "mm")


def share(
    feature: str, value: float, observed: object, unit: str | None = None, **more: object
) -> dict[str, Any]:
    return {
        "feature": feature,
        "unit": unit,
        "observed": observed,
        "attribution": value,
        "standard_error": None,
        **more,
    }


SHARES = [
    share("vibration", -0.2, 3.14159, "mm/s"),
    share("temperature", 0.8, 91.2, "degC"),
    share("flow", 0.0, None),
    share("load", 0.001, 7.0, "kN"),
]
LINK = {
    "event_id": "e12",
    "asset": "north/1",
    "stream": "pump",
    "time": TIME_US,
    "source": SOURCE,
    "model": "pump/champion",
    "version": 1234,
    "lineage": LINEAGE,
}


def prediction(**fields: object) -> dict[str, Any]:
    interval = {"low": 2.9, "high": 4.1, "level": 0.9, "method": "adaptive conformal"}
    return {
        **LINK,
        "value": 3.421,
        "probabilities": None,
        "outcome": None,
        "interval": {**interval, "labels": 120},
        "class_set": None,
        "structure": 0,
        "quality": ["MISSING"],
        "shadows": [],
        **fields,
    }


def explanation(**fields: object) -> dict[str, Any]:
    return {
        **LINK,
        "method": "LINEAR",
        "exact": True,
        "output_space": "value",
        "target_class": None,
        "contrast_class": None,
        "reference": {"kind": "running mean", "n": 1234, "position": None},
        "base": 2.82,
        "prediction": 3.421,
        "attributions": SHARES,
        "residual": 0.0,
        "additivity_error": 4.440892098500626e-16,
        "missing": ["flow"],
        "age": 0,
        "support": None,
        "samples": None,
        "neighbours": [],
        **fields,
    }


def view(asset: str | None, **fields: object) -> dict[str, Any]:
    ranking = [
        {"feature": "temperature", "mean_absolute": 0.71, "mean": 0.42, "before": 0.3},
        {"feature": "vibration", "mean_absolute": 0.4, "mean": -0.4, "before": 0.5},
        {"feature": "load", "mean_absolute": 0.1, "mean": 0.01, "before": None},
        {"feature": "flow", "mean_absolute": 0.0, "mean": 0.0, "before": 0.0},
    ]
    return {
        **{key: LINK[key] for key in ("stream", "time", "source", "model", "lineage")},
        "asset": asset,
        "version": 1200,
        "before_version": 900,
        "output_space": "value",
        "explanations": 1200,
        "ranking": [{**weight, "unit": None} for weight in ranking],
        **fields,
    }


READINGS = {"vibration": 3.14159, "temperature": 91.2, "flow": None, "load": 7.0}


def answer(**fields: Any) -> Answer:  # Any: fields of an answer
    """Return the answer on a regression, all there; `fields` replace some of it."""
    usual: dict[str, Any] = {
        "prediction": prediction(),
        "at": Position(PREDICTIONS, 1, 15),
        "asked": WEAR,
        "entry": 17,
        "readings": READINGS,
        "label": Outcome(3.6, Position(EVENTS, 1, 12)),
        "explanation": explanation(),
        "explained_at": Position(EXPLANATIONS, 1, 14),
    }
    return Answer(**{**usual, **fields})

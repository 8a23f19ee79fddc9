"""Small readings, predictions and labels, as the demo's books take them."""

from __future__ import annotations

from typing import Any

from tidemill.demo.happenings import EPOCH_US, Reading, Truth

ASSET = "north/press"


def reading(
    number: int,
    truth: Truth | None = None,
    *,
    time_s: float | None = None,
    **fields: object,
) -> Reading:
    """Return the reading `e<number>`, one second after the last unless `time_s` says when."""
    time_us = EPOCH_US + round(1e6 * (number if time_s is None else time_s))
    is_sampled = bool(fields.pop("is_sampled", False))
    is_broken = bool(fields.pop("is_broken", False))
    return Reading("s", f"e{number}", ASSET, time_us, fields, truth, is_sampled, is_broken)


def prediction(number: int, value: float | None = None, **fields: Any) -> dict[str, Any]:
    """Return the prediction of `e<number>`, which stands at that offset."""
    return {
        "event_id": f"e{number}",
        "asset": ASSET,
        "stream": "s",
        "source": {"topic": "sensor.events", "partition": 0, "offset": number},
        "model": "s/champion",
        "version": 0,
        "lineage": b"\0" * 32,
        "value": value,
        "probabilities": None,
        "outcome": None,
        "quality": [],
        **fields,
    }


def outcome(number: int, label: float, **fields: Any) -> dict[str, Any]:
    """Return what became of the prediction of `e<number>`, which was 4, hours later."""
    return {
        "event_id": f"e{number}",
        "asset": ASSET,
        "version": 7,
        "predicted": 4.0,
        "label": label,
        "error": abs(label - 4.0),
        "delay_s": 9_000.0,
        **fields,
    }


def joined(*quality: str) -> dict[str, Any]:
    """Return the instruction that a label became, of an event with these flags."""
    return {"stored": {"quality": list(quality)}}


def receipt(feedback_id: str, status: str, **fields: Any) -> dict[str, Any]:
    """Return the receipt of a feedback."""
    known = {"asset": ASSET, "reason": None, "effect": None, "feature": None, "version": None}
    return {"feedback_id": feedback_id, "status": status, **known, **fields}

"""Feedback and receipts for people, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.runtime.json_lines import as_json, iso_micros

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidemill.kernel.records import Position

    Record = Mapping[str, Any]  # Any: Avro values

_TIMES = frozenset({"time", "until"})
_SHOWN_CLASSES = 3
COLOURS = {
    "REFUSED": "red",
    "COMPENSATED": "yellow",
    "HELD_FOR_EXPERT": "yellow",
    "APPLIED": "green",
    "RETRACTED": "green",
    "COUNTED": "cyan",
}


def answer_text(
    value: float | None,
    probabilities: Mapping[str, float] | None,
    interval: Mapping[str, float] | None,
) -> str:
    """Return what a model says of a case, and how sure it is."""
    if probabilities:
        likely = sorted(probabilities.items(), key=lambda item: -item[1])[:_SHOWN_CLASSES]
        return " ".join(f"{name} {probability:.2f}" for name, probability in likely)
    if value is None:
        return "no answer yet"
    if interval is None:
        return f"{value:.6g}"
    return f"{value:.6g} ({interval['low']:.6g} to {interval['high']:.6g})"


def document(record: Record, position: Position | None = None) -> dict[str, Any]:  # Any: JSON
    """Return a record as JSON: times ISO 8601, bytes hex; and where it stands."""
    shown: dict[str, Any] = {  # Any: JSON
        name: iso_micros(value) if name in _TIMES and value is not None else as_json(value)
        for name, value in record.items()
    }
    return shown if position is None else {"position": position._asdict(), **shown}


def feedback_line(record: Record) -> str:
    """Return a feedback on one line, its id last."""
    said = [record["kind"], *_what(record), *_about(record)]
    who = f"{record['actor']} ({record['role']})"
    return f"{iso_micros(record['time'])}  {who}: {' '.join(said)}  {record['feedback_id']}"


def _what(record: Record) -> Iterator[str]:
    if record["feature"] is not None:
        yield record["feature"]
    if record["value"] is not None:
        yield str(as_json(record["value"]))
    for name in ("target_id", "drift_id"):
        if record[name] is not None:
            yield record[name]
    if record["scope"] is not None:
        yield f"of {record['scope']}"
    if record["until"] is not None:
        yield f"until {iso_micros(record['until'])}"


def _about(record: Record) -> Iterator[str]:
    if record["event_id"] is not None:
        yield f"on {record['event_id']}"
    stream = "" if record["stream"] is None else f" ({record['stream']})"
    yield f"of {record['asset']}{stream}"
    if record["comment"] is not None:
        yield f'"{record["comment"]}"'


def receipt_line(record: Record) -> str:
    """Return a receipt on one line, its status first."""
    kind = "" if record["kind"] is None else f" {record['kind']}"
    model = "" if record["model"] is None else f", {record['model']}"
    version = "" if record["version"] is None else f" version {record['version']}"
    parts = [f"{record['status']}  {record['feedback_id']}{kind} of {record['asset']}"]
    parts += [f"{model}{version}", *_effect(record["effect"])]
    reason = "" if record["reason"] is None else f": {record['reason']}"
    return "".join(parts) + reason


def _effect(effect: Record | None) -> Iterator[str]:
    if effect is None:
        return
    yield f", the case reads {effect['before']:.6g} before and {effect['after']:.6g} after"
    if effect["compared"]:
        yield f", {effect['changed']} of the last {effect['compared']} cases otherwise"


def status_line(record: Record | None) -> str:
    """Return what became of a listed feedback."""
    return "  no receipt yet" if record is None else f"  {receipt_line(record)}"

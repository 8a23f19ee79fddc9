"""An answer as one JSON document: everything, times in ISO 8601, bytes as hex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.runtime.json_lines import as_json, iso_micros

if TYPE_CHECKING:
    from tidemill.contracts.answer import Answer, Record
    from tidemill.kernel.records import Position

Document = dict[str, Any]  # Any: JSON
_TIME = "time"


def answer_document(answer: Answer) -> Document:
    """Return everything; doubles are as they were, to the last bit."""
    prediction, asked, made = answer.prediction, answer.asked, answer.made
    label = answer.label
    return {
        "found": True,
        "event_id": prediction["event_id"],
        "asset": prediction["asset"],
        "stream": prediction["stream"],
        "target": {"kind": asked.kind, "name": asked.name, "unit": asked.unit},
        "ledger_entry": answer.entry,
        "readings": None if answer.readings is None else as_json(answer.readings),
        "prediction": _record(prediction, answer.at),
        "label": label
        and {
            "value": as_json(label.value),
            "revision": label.revision,
            "position": label.position._asdict(),
        },
        "explanation": answer.explanation and _record(answer.explanation, answer.explained_at),
        "explanation_absent": answer.absent or None,
        "explanation_obstacle": answer.obstacle or None,
        "made": made
        and {
            "ledger_entry": made.entry,
            "first_entry": made.first,
            "folded": made.folded,
            "state": made.state and made.state._asdict(),
            "state_entry": made.state_entry,
        },
        "importances": {
            "asset": answer.of_asset and _record(answer.of_asset),
            "stream": answer.of_stream and _record(answer.of_stream),
        },
        "came_again": [position._asdict() for position in answer.again],
    }


def _record(record: Record, at: Position | None = None) -> Document:
    """Return a record as `tidemill tail` shows it, and where it stands, if it does."""
    shown: Document = {name: as_json(value) for name, value in record.items()}
    shown[_TIME] = iso_micros(record[_TIME])
    return shown if at is None else {"position": at._asdict(), **shown}

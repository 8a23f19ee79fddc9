"""What a re-fold that contradicts the ledger is reported as: which prediction, and both values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.audit.bounds import first_where
from tidemill.fold.audit.outputs import prediction_source
from tidemill.kernel.errors import InvalidRecordError, InvariantError
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from tidemill.fold.replica import Step
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

MOST_SHOWN = 200


def mismatch(log: Log, partition: int, step: Step) -> InvariantError:
    """Return the error for an entry that does not come out as the ledger says."""
    entry = step.placed.entry
    where = f"ledger entry {entry.sequence} of partition {partition}"
    found = _first_difference(log, partition, step) or "; ".join(step.differences)
    runs = ", ".join(f"{run.topic}-{partition} {run.first} to {run.last}" for run in entry.runs)
    msg = (
        f"{where} ({runs}): the replica must reproduce every prediction to the last bit; {found}. "
        "Predictions go on. Find out what was altered with `tidemill audit replay`; with other "
        "code or arithmetic than the ledger names, explain with that"
    )
    return InvariantError(msg)


def _first_difference(log: Log, partition: int, step: Step) -> str:
    """Return the first prediction that is another one, with both values; empty if none is."""
    made = [emit.value for emit in step.emits if emit.topic == PREDICTIONS]
    runs = [run for run in step.placed.entry.runs if run.topic == EVENTS]
    if not runs or step.is_partial:
        return ""
    first = runs[0].first
    begin = first_where(log, PREDICTIONS, partition, lambda message: _is_from(message, first))
    if begin is None:
        return f"no prediction on {EVENTS}-{partition} from {first} on is retained"
    end = log.span(PREDICTIONS, partition)[1]
    at = 0
    for messages in log.read(PREDICTIONS, partition, begin.offset, end):
        for message in messages:
            if at == len(made):
                return ""
            if message.value != made[at]:
                return _both(message, made[at])
            at += 1
    return ""


def _is_from(message: Message, first: int) -> bool | None:
    source = prediction_source(message)
    return None if source is None else source >= first


def _both(message: Message, made: bytes | None) -> str:
    again = _decoded(made)
    source = again.get("source")
    event = "" if source is None else f"the prediction on {Position(**source)}, "
    before = _decoded(message.value)
    fields = [name for name in again if again[name] != before.get(name)] or list(again)
    shown = ", ".join(
        f"{name} is {_short(before.get(name))} there and {_short(again[name])} here"
        for name in fields
    )
    return f"{event}{message.position}, differs: {shown}"


def _decoded(value: bytes | None) -> dict[str, Any]:  # Any: Avro values
    try:
        record: dict[str, Any] = codec("Prediction").decode(value)  # Any: as above
    except InvalidRecordError:
        return {}
    return record


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + " ..."

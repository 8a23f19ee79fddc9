"""What a feedback must say, by its kind, and the name it goes by."""

from __future__ import annotations

import json
import math
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import our_lock, record_name
from tidemill.contracts.events import check_name
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FEEDBACK, RECEIPT = "Feedback", "Receipt"

# What a person says of one answer of a model, and needs that answer's event.
OF_ANSWERS = frozenset({"RIGHT", "WRONG", "CORRECTED"})
OF_EXPLANATIONS = frozenset({"IRRELEVANT", "MISSING", "WRONG_DIRECTION"})
OF_EVENTS = OF_ANSWERS | OF_EXPLANATIONS
OF_DRIFTS = frozenset({"FAULT", "PROCESS_CHANGE"})
OF_FEEDBACK = frozenset({"RETRACT", "APPROVE", "REJECT"})
OF_ALARMS = frozenset({"ACKNOWLEDGE", "SHELVE"})
OF_MODELS = frozenset({"HOLD", "FREEZE", "RESUME", "PROMOTE", "ROLLBACK"})
KINDS = (
    "RIGHT", "WRONG", "CORRECTED", "IRRELEVANT", "MISSING", "WRONG_DIRECTION", "FAULT",
    "PROCESS_CHANGE", "HOLD", "FREEZE", "RESUME", "RETRACT", "PROMOTE", "ROLLBACK", "APPROVE",
    "REJECT", "ACKNOWLEDGE", "SHELVE",
)  # fmt: skip

# A receipt that says what became of a feedback in the end; ACCEPTED only says that it was read.
FINAL = frozenset({"REFUSED", "COUNTED", "HELD_FOR_EXPERT", "APPLIED", "COMPENSATED", "RETRACTED"})
REFUSED = "REFUSED"
ACCEPTED = "ACCEPTED"
# How the reason of a refusal ends that is none of the feedback itself.
SEND_AGAIN = "send it again later"

_ALWAYS = ("actor", "role")
_NEEDS: Mapping[str, frozenset[str]] = {
    "event_id": OF_EVENTS,
    "value": frozenset({"CORRECTED"}),
    "feature": OF_EXPLANATIONS,
    "drift_id": OF_DRIFTS,
    "target_id": OF_FEEDBACK | OF_ALARMS,
    "asset": OF_MODELS | OF_DRIFTS | OF_ALARMS,
    "until": frozenset({"SHELVE"}),
}
_ONLY: Mapping[str, frozenset[str]] = {
    "value": frozenset({"WRONG", "CORRECTED"}),
    "until": frozenset({"HOLD", "SHELVE"}),
    "target_id": OF_FEEDBACK | OF_ALARMS,
    "drift_id": OF_DRIFTS,
    "scope": OF_MODELS | {"WRONG", "CORRECTED"},
    "selection": OF_ANSWERS,
}
_NAMED = (
    "feedback_id", "asset", "actor", "role", "stream", "event_id", "feature", "target_id", "scope",
)  # fmt: skip
_NAMES = uuid.uuid5(uuid.NAMESPACE_OID, "tidemill.Feedback")

Fields = dict[str, Any]  # Any: the values of an Avro record


def is_too_early(receipt: Mapping[str, Any]) -> bool:  # Any: as in Fields
    """Return whether a receipt refuses a feedback only for its time: the same may be sent again."""
    reason = receipt["reason"] or ""
    return receipt["status"] == REFUSED and str(reason).endswith(SEND_AGAIN)


class Problem(NamedTuple):
    """What is wrong with one field of a feedback."""

    field: str
    text: str


def field_names() -> tuple[str, ...]:
    """Return the fields of a feedback, in the schema's order."""
    newest = [s for _, s in sorted(our_lock().items()) if record_name(s) == "tidemill.Feedback"][-1]
    return tuple(field["name"] for field in newest["fields"])


def form_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:  # Any: as in Fields
    """Yield what is wrong with a feedback before anything is looked up.

    Args:
        fields: By name, of the schema's types; what is left out or None is not given.
    """
    for name in _ALWAYS:
        if not fields.get(name):
            yield Problem(name, "must say who it is from, found nothing")
    kind = fields.get("kind")
    if kind not in KINDS:
        yield Problem("kind", f"must be one of {', '.join(KINDS)}, was {kind}")
        return
    for name, kinds in _NEEDS.items():
        if kind in kinds and fields.get(name) is None and not _is_told(name, fields):
            yield Problem(name, f"must be given for {kind}, found none")
    for name, kinds in _ONLY.items():
        if kind not in kinds and fields.get(name) is not None:
            takers = ", ".join(each for each in KINDS if each in kinds)
            yield Problem(name, f"must be left out for {kind}, found one; it is for {takers}")
    yield from _unfit(fields)


def _unfit(fields: Mapping[str, Any]) -> Iterator[Problem]:  # Any: as in Fields
    """Yield which values no record of ours can carry."""
    for name in (*_NAMED, "value"):
        given = fields.get(name)
        try:
            check_name(given if isinstance(given, str) else "", "it")
        except InvalidRecordError as error:
            yield Problem(name, str(error).removeprefix("it "))
    selection = fields.get("selection")
    if selection is not None and not 0.0 < selection <= 1.0:
        yield Problem("selection", f"must be a probability in (0, 1], was {selection}")


def _is_told(name: str, fields: Mapping[str, Any]) -> bool:  # Any: as in Fields
    """Return whether another field tells what one would: where an event stands, whose it is."""
    has_place = fields.get("event") is not None
    if name == "event_id":
        return has_place
    has_event = has_place or fields.get("event_id") is not None
    return name == "asset" and fields["kind"] in OF_MODELS and has_event


def answer_in_terms_of(
    prediction: Mapping[str, Any], value: bool | float | str, *, is_text: bool
) -> bool | float | str:  # Any: Avro values
    """Return the right answer as the stream of a prediction has answers.

    Args:
        prediction: On the event.
        value: As it was given.
        is_text: Whether it was typed, so that only the prediction says what it is.

    Raises:
        ValueError: A number was predicted, and this is none.
    """
    is_class = prediction["probabilities"] is not None or prediction["outcome"] is not None
    if is_class:
        return value
    number = _number(value) if is_text else value
    if isinstance(number, float) and math.isfinite(number):
        return number
    if prediction["value"] is None:
        return value
    msg = f"must be a finite number, as the prediction is, was {value!r}"
    raise ValueError(msg)


def _number(value: bool | float | str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def deterministic_id(record: Mapping[str, Any]) -> str:  # Any: as in Fields
    """Return the id of a feedback that has none: equal content, time among it, equal id."""
    content = {name: value for name, value in record.items() if name != "feedback_id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return str(uuid.uuid5(_NAMES, text))

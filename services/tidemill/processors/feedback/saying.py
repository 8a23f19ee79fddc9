"""One feedback as it was sent: its fields, and where and when it stands in the topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.events import check_name
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

# The role whose word settles what others disagree about.
EXPERT = "domain_expert"

# Of the kinds of feedback, those on a prediction, on an explanation, on a model, on a feedback.
INFERENCE = frozenset({"RIGHT", "WRONG", "CORRECTED"})
EXPLANATION = frozenset({"IRRELEVANT", "MISSING", "WRONG_DIRECTION"})
MODEL = frozenset({"HOLD", "FREEZE", "RESUME"})
SETTLING = frozenset({"APPROVE", "REJECT"})
LATER = frozenset({"FAULT", "PROCESS_CHANGE", "PROMOTE", "ROLLBACK", "ACKNOWLEDGE", "SHELVE"})


@dataclass(frozen=True, slots=True)
class Said:
    """One feedback.

    Attributes:
        position: Where it stands in `operator.feedback`.
        time_ms: When it came there, by Kafka's timestamp; never before what came before it.
        value: The right answer; of CORRECTED.
        time_us: When it was said, by its sender.
    """

    position: Position
    time_ms: int
    feedback_id: str
    kind: str
    asset: str
    actor: str
    role: str
    time_us: int
    stream: str | None = None
    event_id: str | None = None
    event: Position | None = None
    feature: str | None = None
    value: float | bool | str | None = None
    target_id: str | None = None
    until_us: int | None = None
    scope: str | None = None


def read_said(message: Message) -> Said:
    """Return the feedback in a message.

    Raises:
        InvalidRecordError: There is none in it, or it has no name to answer to.
    """
    record = codec("Feedback").decode(message.value)
    for name in ("feedback_id", "asset", "actor"):
        if not record[name]:
            msg = f"{name} must not be empty"
            raise InvalidRecordError(DeadLetterReason.CONTRACT, msg)
    names = ("feedback_id", "asset", "actor", "role", "stream", "event_id", "feature", "target_id")
    for name in (*names, "scope"):
        check_name(record[name] or "", name)
    if isinstance(record["value"], str):
        check_name(record["value"], "value")
    return Said(
        message.position,
        message.timestamp_ms,
        record["feedback_id"],
        record["kind"],
        record["asset"],
        record["actor"],
        record["role"],
        record["time"],
        record["stream"],
        record["event_id"],
        _position(record["event"]),
        record["feature"],
        record["value"],
        record["target_id"],
        record["until"],
        record["scope"],
    )


def _position(found: dict[str, Any] | None) -> Position | None:  # Any: an Avro record
    return None if found is None else Position(**found)

"""One feedback as it was sent: its fields, and where and when it stands in the topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tidemill.contracts.codec import codec
from tidemill.contracts.events import check_name
from tidemill.contracts.feedback_form import OF_ANSWERS, OF_DRIFTS, OF_EXPLANATIONS
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

# The role whose word settles what others disagree about.
EXPERT = "domain_expert"
RIGHT = "RIGHT"

# Of the kinds of feedback, those on a prediction, an explanation, a drift, a model, a feedback.
INFERENCE, EXPLANATION, DRIFTS = OF_ANSWERS, OF_EXPLANATIONS, OF_DRIFTS
MODEL = frozenset({"HOLD", "FREEZE", "RESUME"})
SETTLING = frozenset({"APPROVE", "REJECT"})
LATER = frozenset({"PROMOTE", "ROLLBACK"})


@dataclass(frozen=True, slots=True)
class Said:
    """One feedback.

    Attributes:
        position: Where it stands in `operator.feedback`.
        time_ms: When it came there, by Kafka's timestamp; never before what came before it.
        value: The right answer; of CORRECTED.
        time_us: When it was said, by its sender.
        selection: With which probability its case was chosen, where people were asked for it.
        drift_id: The episode that it answers to.
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
    selection: float | None = None
    drift_id: str | None = None


class Answering(Protocol):
    """An answer, now or as it is remembered."""

    @property
    def kind(self) -> str:
        """What kind of feedback it is."""

    @property
    def selection(self) -> float | None:
        """With which probability its case was chosen; None where nobody was asked."""


def is_lesson(answer: Answering) -> bool:
    """Return whether an answer is to be learned: any but a nod that nobody has asked for.

    Who was asked is learned from in any case: models that learned their errors only, of all that
    people were asked, would see a plant in which they are wrong more often than they are.
    """
    return answer.kind != RIGHT or answer.selection is not None


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
    for name in (*names, "scope", "drift_id"):
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
        record["selection"],
        record["drift_id"],
    )


def _position(found: dict[str, Any] | None) -> Position | None:  # Any: an Avro record
    return None if found is None else Position(**found)

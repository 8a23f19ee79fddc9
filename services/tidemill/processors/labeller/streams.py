"""The streams whose labels come apart from their events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.pending import MICROS, case_of
from tidemill.contracts.targets import LabelTarget, class_key
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.outputs import Binary, Multiclass, Regression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.models.outputs import Task

Record = dict[str, Any]  # Any: the values of an Avro record


@dataclass(frozen=True, slots=True)
class LabelStream:
    """One stream.

    Attributes:
        task: How its labels are read.
        ttl_us: How much later than its event a label may be.
        joins_by_time: Whether labels name their event by its time, for want of an id.
    """

    name: str
    task: Task
    ttl_us: int
    joins_by_time: bool

    def case(self, record: Mapping[str, Any]) -> bytes:  # Any: as in Record
        """Return the case that a prediction, or an instruction made of one, belongs to."""
        if self.joins_by_time:
            return case_of(record["asset"], "", record["time"])
        return case_of(record["asset"], record["event_id"])

    def text(self, value: object) -> str:
        """Return a label's value in one line, equal for equal labels.

        Raises:
            InvalidRecordError: It is none of this stream.
        """
        label = self.task.read_label(value) if value is not None else None
        if label is None:
            msg = f"a label of {self.name} must be finite, not null, was {value!r}"
            raise InvalidRecordError(DeadLetterReason.DOMAIN, msg)
        key = self.task.key(label)
        # Minus zero is zero.
        return json.dumps(key if isinstance(key, str) else key + 0.0)


def label_streams(definition: PlantDefinition) -> dict[str, LabelStream]:
    """Return the streams of a plant whose labels come apart from their events, by name."""
    return {
        stream.name: LabelStream(
            stream.name,
            _task(stream.target),
            round(stream.target.ttl_s * MICROS),
            stream.target.join is not None,
        )
        for stream in definition.streams
        if isinstance(stream.target, LabelTarget)
    }


def _task(target: LabelTarget) -> Task:
    if target.kind == "regression":
        return Regression()
    if target.classes is None:
        return Multiclass()
    negative, positive = target.classes
    return Binary(class_key(negative), class_key(positive))

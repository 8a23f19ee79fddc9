"""What the inputs say of signals: one reading of each record that is about an asset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.events import EventReader
from tidemill.contracts.topics import (
    EVENTS,
    EXPLANATIONS,
    OUTCOMES,
    PREDICTIONS,
    UPDATES,
)
from tidemill.fold.gate import Gate
from tidemill.kernel.errors import InvalidRecordError
from tidemill.processors.drift.plans import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.contracts.codec import JsonSchema
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.kernel.records import Message
    from tidemill.processors.drift.plans import Plan

# Of a prediction: what it was made from was no fault.
_NO_FAULT = frozenset({"MISSING", "HELD", "FROZEN"})
ANSWERS = frozenset({"FAULT", "PROCESS_CHANGE"})

Record = dict[str, Any]  # Any: the values of an Avro record


@dataclass(frozen=True, slots=True)
class Reading:
    """What one record says of one asset.

    Attributes:
        index: Its place among the records given.
        offset: Of the record.
        time_us: Event time.
        values: Of the signals of its kind; NaN where missing.
        structure: Of a prediction: how often the model's structure has changed.
        drift_id, answer: Of an answer: to what, and what it is.
        origin: Of an answer: who gave it.
        event_id: Of an event, where it has one.
    """

    index: int
    offset: int
    time_us: int
    values: tuple[float, ...] = ()
    structure: int | None = None
    drift_id: str = ""
    answer: str = ""
    origin: str = ""
    event_id: str | None = None


class Reader:
    """Reads the records of one plant; what nothing can be told from is passed over.

    Whoever owns a topic sets its records aside where they are at fault: here they only do not
    count.
    """

    def __init__(
        self,
        definition: PlantDefinition,
        schemas: Mapping[int, JsonSchema],
        plans: Mapping[str, Plan],
    ) -> None:
        self._plans = plans
        self._events = EventReader(definition, schemas)
        self._gates = {stream.name: Gate(stream.sensors) for stream in definition.streams}
        self._readers: dict[str, Callable[[Message], tuple[str, str, Record] | None]] = {
            EVENTS: self._event,
            PREDICTIONS: self._prediction,
            OUTCOMES: self._outcome,
            EXPLANATIONS: self._explanation,
            UPDATES: self._answer,
        }

    def read(self, message: Message, index: int) -> tuple[str, str, Reading] | None:
        """Return stream, asset and what a record says; None where it says nothing."""
        try:
            found = self._readers[message.topic](message)
        except InvalidRecordError:
            return None
        if found is None or found[0] not in self._plans:
            return None
        return found[0], found[1], Reading(index=index, offset=message.offset, **found[2])

    def _event(self, message: Message) -> tuple[str, str, Record] | None:
        event = self._events.read(message.value)
        name = event.stream.name
        checked = self._gates[name].check(event.values)
        if not checked.is_learnable:
            return None
        sensors = self._plans[name].names.get(Kind.FEATURE, ())
        values = tuple(checked.x.get(sensor, math.nan) for sensor in sensors)
        about = {"time_us": event.time_us, "values": values, "event_id": event.event_id}
        return name, event.asset, about

    def _prediction(self, message: Message) -> tuple[str, str, Record] | None:
        record = codec("Prediction").decode(message.value)
        if not _NO_FAULT.issuperset(record["quality"]):
            return None
        stream = self._plans.get(record["stream"])
        if stream is None:
            return None
        said = _number_said(record["value"], record["probabilities"], stream)
        about = {
            "values": (_finite(said),),
            "structure": record["structure"],
            "time_us": record["time"],
        }
        return record["stream"], record["asset"], about

    def _outcome(self, message: Message) -> tuple[str, str, Record] | None:
        record = codec("Outcome").decode(message.value)
        plan = self._plans.get(record["stream"])
        if plan is None or Kind.ERROR not in plan.names:
            return None
        if record["revision"] > 0 or record["label"] is None:
            return None
        about = {"values": (_finite(record["error"]),), "time_us": record["time"]}
        return record["stream"], record["asset"], about

    def _explanation(self, message: Message) -> tuple[str, str, Record] | None:
        record = codec("Explanation").decode(message.value)
        plan = self._plans.get(record["stream"])
        if plan is None or Kind.EXPLANATION not in plan.names:
            return None
        parts = {each["feature"]: each["attribution"] for each in record["attributions"]}
        values = tuple(_finite(parts.get(name, math.nan)) for name in plan.names[Kind.EXPLANATION])
        return record["stream"], record["asset"], {"values": values, "time_us": record["time"]}

    def _answer(self, message: Message) -> tuple[str, str, Record] | None:
        record = codec("Update").decode(message.value)
        if record["kind"] not in ANSWERS or not record["target_id"]:
            return None
        about = {
            "time_us": record["time"],
            "drift_id": record["target_id"],
            "answer": record["kind"],
            "origin": record["origin"],
        }
        return record["stream"], record["asset"], about


def _number_said(
    value: float | None, probabilities: Mapping[str, float] | None, plan: Plan
) -> float:
    """Return the number predicted, or the probability of the positive or likeliest class.

    A model that has not met the positive class yet does not name it: it has none.
    """
    if probabilities:
        target = plan.stream.target
        if target is not None and target.classes:
            return probabilities.get(target.classes[1], 0.0)
        return max(probabilities.values())
    return math.nan if value is None else value


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan

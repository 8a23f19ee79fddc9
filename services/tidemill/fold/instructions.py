"""Instructions from `model.updates`, checked before anything changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.events import check_name
from tidemill.contracts.topics import BY_NAME
from tidemill.fold.senses import Case
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.outputs import Answer
from tidemill.models.refining import NO_REGION, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.fold.plans import StreamPlan

# Answers to a drift: other processors' business.
NOT_OURS = frozenset({"FAULT", "PROCESS_CHANGE"})
LARGEST_WEIGHT = 1e6
# Of smaller ones River makes sums that vanish, and divides by them.
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled case to learn.

    Attributes:
        cause: Source topic and partition, and (offset, index) there of what completed it.
        model: Which model of the stream learns it; None means all.
        stored_model: Whose prediction is stored in the case; None where none is.
    """

    plan: StreamPlan
    asset: str
    model: str | None
    cause: tuple[tuple[str, int], tuple[int, int]]
    case: Case
    stored_model: str | None


def read_example(
    update: dict[str, Any],  # Any: an Avro record
    plans: Mapping[str, StreamPlan],
    partitions: int,
) -> Example | None:
    """Return the example an update holds; None for kinds that are not the learner's business.

    Args:
        update: As it was decoded.
        plans: What the fold does, by stream.
        partitions: Of every topic: none has a cause beyond them.

    Raises:
        InvalidRecordError: The update cannot be applied; the reason says why.
    """
    kind = update["kind"]
    if kind in NOT_OURS:
        return None
    if kind != "EXAMPLE":
        raise _domain(f"kind must be EXAMPLE in this version, was {kind}")
    plan = _plan(update, plans)
    checked = plan.example_gate.check(update["features"] or {})
    if not checked.is_learnable:
        flags = ", ".join(flag.name for flag in checked.quality)
        raise _domain(f"features must be finite and in range, found {flags}")
    label = plan.task.read_label(update["label"]) if update["label"] is not None else None
    if label is None:
        raise _domain(f"label must be present and finite, was {update['label']!r}")
    weight = update["weight"]
    if not LEAST_WEIGHT <= weight <= LARGEST_WEIGHT:
        rule = f"weight must be in [{LEAST_WEIGHT:g}, {LARGEST_WEIGHT:g}]"
        raise _domain(f"{rule}, was {weight!r}")
    cause = _cause(update["cause"], partitions)
    stored, stored_model = _stored(update["stored"])
    case = Case(checked.x, label, weight, stored)
    return Example(plan, update["asset"], update["model"], cause, case, stored_model)


def _stored(record: dict[str, Any] | None) -> tuple[Stored | None, str | None]:  # Any: Avro
    """Return what was predicted, and by which model; its region is not known here."""
    if record is None:
        return None, None
    answer = Answer(record["value"], record["probabilities"], None)
    return Stored(answer, NO_REGION), record["model"]


def _cause(
    cause: dict[str, Any],  # Any: an Avro record
    partitions: int,
) -> tuple[tuple[str, int], tuple[int, int]]:
    """Return source and position of a cause; a model remembers one position per source."""
    topic, partition = cause["topic"], cause["partition"]
    if topic not in BY_NAME:
        raise _domain(f"cause.topic must be one of {sorted(BY_NAME)}, was {topic!r}")
    if not 0 <= partition < partitions:
        raise _domain(f"cause.partition must be in 0..{partitions - 1}, was {partition}")
    return (topic, partition), (cause["offset"], cause["index"])


def _plan(update: dict[str, Any], plans: Mapping[str, StreamPlan]) -> StreamPlan:  # Any: as above
    plan = plans.get(update["stream"])
    if plan is None:
        msg = f"stream must be one of {sorted(plans)}, was {update['stream']!r}"
        raise InvalidRecordError(DeadLetterReason.CONTRACT, msg)
    if not update["asset"]:
        raise InvalidRecordError(DeadLetterReason.CONTRACT, "asset must not be empty")
    check_name(update["asset"], "asset")
    names = [blueprint.name for blueprint in plan.blueprints]
    if update["model"] is not None and update["model"] not in names:
        raise _domain(f"model must be one of {names} or null, was {update['model']!r}")
    return plan


def _domain(message: str) -> InvalidRecordError:
    return InvalidRecordError(DeadLetterReason.DOMAIN, message)

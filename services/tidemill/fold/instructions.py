"""Instructions from `model.updates`, checked before anything changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.events import check_name
from tidemill.contracts.prediction import Quality
from tidemill.contracts.topics import BY_NAME, FEEDBACK, LABELS, PREDICTIONS
from tidemill.fold.senses import Case
from tidemill.fold.spans import check_span
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.outputs import Answer
from tidemill.models.refining import NO_REGION, Region, Stored
from tidemill.models.vetoing import concerned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.fold.plans import StreamPlan
    from tidemill.models.outputs import Label

# Answers to a drift: other processors' business.
NOT_OURS = frozenset({"FAULT", "PROCESS_CHANGE"})
# Who asks for what a label of the plant teaches.
OF_LABELS = "label"
LARGEST_WEIGHT = 1e6
# Of smaller ones River makes sums that vanish, and divides by them.
LEAST_WEIGHT = 1e-6
KINDS = (
    "EXAMPLE",
    "COUNTEREXAMPLE",
    "VETO",
    "UNVETO",
    "FREEZE",
    "RESUME",
    "HOLD",
    "RELEASE",
    "RESET",
    "RETRACT",
)
_LESSONS = frozenset({"EXAMPLE", "COUNTEREXAMPLE"})
_VETOES = frozenset({"VETO", "UNVETO"})
# What completes a label: the labeller alone goes by them.
_OF_LABELS = frozenset({LABELS, PREDICTIONS})
# What is kept of an instruction with the models: corrections that wait, and who asked for them.
LARGEST_KEPT_BYTES = 65_536
# Of a prediction: it may be learned all the same. Whether an event lay in a hold, its time says.
_NO_FAULT = frozenset({Quality.MISSING.name, Quality.HELD.name, Quality.FROZEN.name})


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction that was understood.

    Attributes:
        update: As it was decoded.
        model: Which model of the stream it is for; None means all.
        cause: Source topic and partition, and (offset, index) there of what completed it.
        case: What is to be learned, where something is, or what it is about, where that is known.
        names: Features that it is about, those made of one among them.
        stored: What was predicted of the case, with its region; None where that is not told.
        is_at_fault: Whether the event predicted was at fault, or is by the terms of now: the case
            is not learned then.
        replaced: The label that an example is to replace; None where that is none, or was none.
    """

    update: Mapping[str, Any]  # Any: an Avro record
    plan: StreamPlan
    model: str | None
    cause: tuple[tuple[str, int], tuple[int, int]]
    case: Case | None = None
    names: tuple[str, ...] = ()
    stored: Stored | None = None
    is_at_fault: bool = False
    replaced: Label | None = None

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return str(self.update["kind"])

    @property
    def asset(self) -> str:
        """Whose models it is for."""
        return str(self.update["asset"])

    @property
    def origin(self) -> str:
        """Who asked for it: a feedback's id, or else."""
        return str(self.update["origin"])

    @property
    def stored_model(self) -> str | None:
        """Whose prediction is stored in it."""
        stored = self.update["stored"]
        return None if stored is None else str(stored["model"])

    @property
    def is_revision(self) -> bool:
        """Whether it puts another label in the place of one that was learned."""
        is_later = self.kind == "EXAMPLE" and self.update["revision"] > 0
        return is_later and self.replaced is not None

    @property
    def is_from_feedback(self) -> bool:
        """Whether somebody waits for a receipt."""
        return self.cause[0][0] == FEEDBACK

    def is_for(self, model: str) -> bool:
        """Return whether it is for this model."""
        return self.model in {None, model}


def read_instruction(
    update: dict[str, Any],  # Any: an Avro record
    plans: Mapping[str, StreamPlan],
    partitions: int,
    *,
    size: int = 0,
    is_kept: bool = False,
) -> Instruction | None:
    """Return what an update asks for; None for kinds that are not the learner's business.

    Args:
        update: As it was decoded.
        plans: What the fold does, by stream.
        partitions: Of every topic: none has a cause beyond them.
        size: Of the update, in bytes.
        is_kept: Whether it was understood before. What a sensor may say can have changed since: a
            case that is out of range by now is at fault, like any that was predicted then.

    Raises:
        InvalidRecordError: The update cannot be applied; the reason says why.
    """
    kind = update["kind"]
    if kind in NOT_OURS:
        return None
    if not is_kept:
        _check_origin(update)
    if kind not in KINDS:
        raise _domain(f"kind must be one of {', '.join(KINDS)} in this version, was {kind}")
    plan = _plan(update, plans)
    if kind in _LESSONS:
        found = _lesson(update, plan, partitions, is_kept=is_kept)
    else:
        names = _names(update, plan) if kind in _VETOES else ()
        cause = _cause(update, partitions)
        found = Instruction(update, plan, update["model"], cause, _about(update, plan), names)
    if kind == "RETRACT" and not update["target_id"]:
        raise _domain(f"target_id must name what is taken back, was {update['target_id']!r}")
    check_span(update)
    if kind != "EXAMPLE" or found.is_revision:
        _check_may_be_kept(update, size)
    return found


def _check_origin(update: dict[str, Any]) -> None:  # Any: as above
    """Hold that a cause among labels is the labeller's: one that ran ahead would silence labels."""
    topic = update["cause"]["topic"]
    if topic in _OF_LABELS and update["origin"] != OF_LABELS:
        rule = f"cause.topic must be none of {sorted(_OF_LABELS)} for an origin other than"
        raise _domain(f"{rule} {OF_LABELS}, was {topic} for {update['origin']!r}")


def _check_may_be_kept(update: dict[str, Any], size: int) -> None:  # Any: as above
    check_name(update["origin"], "origin")
    if size > LARGEST_KEPT_BYTES:
        raise _domain(
            f"an update that is kept must have at most {LARGEST_KEPT_BYTES} bytes, {size}"
        )


def _lesson(
    update: dict[str, Any],  # Any: as above
    plan: StreamPlan,
    partitions: int,
    *,
    is_kept: bool,
) -> Instruction:
    """Return a case that is to be learned, or whose label judges a prediction."""
    checked = plan.example_gate.check(update["features"] or {})
    at_fault = is_at_fault(update) or (is_kept and not checked.is_learnable)
    if not checked.is_learnable and not at_fault:
        flags = ", ".join(flag.name for flag in checked.quality)
        raise _domain(f"features must be finite and in range, found {flags}")
    label = plan.task.read_label(update["label"]) if update["label"] is not None else None
    if label is None:
        raise _domain(f"label must be present and finite, was {update['label']!r}")
    weight = update["weight"]
    least = 1.0 if update["kind"] == "COUNTEREXAMPLE" else LEAST_WEIGHT
    if not least <= weight <= LARGEST_WEIGHT:
        rule = f"weight must be in [{least:g}, {LARGEST_WEIGHT:g}]"
        raise _domain(f"{rule}, was {weight!r}")
    if update["revision"] < 0:
        raise _domain(f"revision must be from 0, was {update['revision']}")
    replaced = _replaced(update, plan)
    if update["revision"] and replaced is not None and update["event_id"] is None:
        raise _domain("event_id must name whose label is revised, was null")
    cause = _cause(update, partitions)
    stored = _stored(update["stored"])
    told = None if stored is None else stored._replace(region=NO_REGION)
    case = Case(checked.x, label, weight, told)
    return Instruction(update, plan, update["model"], cause, case, (), stored, at_fault, replaced)


def _replaced(update: dict[str, Any], plan: StreamPlan) -> Label | None:  # Any: as above
    """Return the label that an example replaces; what no model can have learned is none."""
    try:
        return None if update["replaced"] is None else plan.task.read_label(update["replaced"])
    except InvalidRecordError:
        return None


def is_at_fault(update: Mapping[str, Any]) -> bool:  # Any: as above
    """Return whether an example holds the prediction of an event at fault."""
    stored = update["stored"]
    return stored is not None and not _NO_FAULT.issuperset(stored["quality"])


def _about(update: dict[str, Any], plan: StreamPlan) -> Case | None:  # Any: as above
    """Return the case in question, as much of it as can be asked about."""
    features = update["features"]
    return None if features is None else Case(plan.example_gate.check(features).x, None)


def _names(update: dict[str, Any], plan: StreamPlan) -> tuple[str, ...]:  # Any: as above
    known = plan.blueprints[0].features
    names = concerned(known, update["feature"])
    if update["feature"] not in names:
        listed = [feature.name for feature in known]
        raise _domain(f"feature must be one of {listed}, was {update['feature']!r}")
    return names


def _stored(record: dict[str, Any] | None) -> Stored | None:  # Any: as above
    """Return what was predicted: answer, region, and what the naive model had said."""
    if record is None:
        return None
    answer = Answer(record["value"], record["probabilities"], record["outcome"])
    if answer.probabilities and answer.outcome is None:
        answer = answer._replace(outcome=_likeliest(answer.probabilities))
    interval, class_set = record["interval"], record["class_set"]
    region = Region(
        None if interval is None else (interval["low"], interval["high"], interval["labels"]),
        None if class_set is None else tuple(class_set),
    )
    return Stored(answer, region, _naive(record["naive"]))


def _naive(said: float | Mapping[str, float] | None) -> Answer:
    if said is None or isinstance(said, float):
        return Answer(said, None, None)
    return Answer(None, said, _likeliest(said) if said else None)


def _likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the likeliest class, the first of several: so predictions have them."""
    return max(probabilities, key=probabilities.__getitem__)


def _cause(
    update: dict[str, Any],  # Any: an Avro record
    partitions: int,
) -> tuple[tuple[str, int], tuple[int, int]]:
    """Return source and position of a cause; a model remembers one position per source."""
    cause = update["cause"]
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

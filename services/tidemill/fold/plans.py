"""What the fold does for each stream, worked out once from the definition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidemill.contracts.prediction import Quality
from tidemill.contracts.targets import AheadTarget, FieldTarget, LabelTarget
from tidemill.fold.gate import Gate
from tidemill.fold.senses import MICROS, MOST_WAITING, Ahead, Case, Senses
from tidemill.models.means import take_note
from tidemill.models.outputs import Anomaly, Answer, Binary, Multiclass, Regression
from tidemill.models.pipelines import check_steps, nominal_problems
from tidemill.models.refining import NO_REGION, Stored
from tidemill.models.state import Blueprint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.events import Event
    from tidemill.contracts.stream import Explanations, StreamDefinition
    from tidemill.fold.gate import Checked
    from tidemill.models.outputs import Label, Task
    from tidemill.models.recent import Recent
    from tidemill.models.refining import RegionKind, Score
    from tidemill.models.state import ModelState


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream: how its events are judged, asked about and learned.

    Attributes:
        gate: For what events carry.
        example_gate: For what models were asked with: features derived from others among it.
        task: What its models answer.
        label_field: Carries the label of its own event, or of an earlier one where it is ahead.
        repeats: How often a case is learned, by label; once where none is named.
        blueprints: Of its models, champion first.
        explanations: Which predictions are explained.
        alarm: The outcome that is an alarm; None where there is none.
        starts_from_type: Whether its asset type has models, and new ones start as those.
        is_late: Whether labels come as instructions, to what predictions carry for them.
        judges: Whether an event that brings labels makes outcomes of them.
    """

    name: str
    gate: Gate
    example_gate: Gate
    senses: Senses
    task: Task
    label_field: str | None
    repeats: Mapping[Label, int]
    blueprints: tuple[Blueprint, ...]
    budget_bytes: int
    explanations: Explanations
    alarm: str | None
    starts_from_type: bool = False
    is_late: bool = False
    judges: bool = False

    @property
    def champion(self) -> str:
        """Name of the model that answers."""
        return self.blueprints[0].name

    def read(self, values: dict[str, Any]) -> tuple[Checked, Label | None]:  # Any: Avro values
        """Return the features of an event and the label in it; a bad one is a fault of the event.

        Raises:
            InvalidRecordError: A value contradicts the definition.
        """
        checked = self.gate.check(values)
        raw = None if self.label_field is None else values.get(self.label_field)
        if raw is None:
            return checked, None
        label = self.task.read_label(raw)
        return (checked.with_fault(Quality.NOT_FINITE) if label is None else checked), label

    def ask(self, state: ModelState, x: dict[str, Any]) -> Stored:  # Any: River's x
        """Return what a model says of `x`, and how sure it is."""
        if state.controls is not None:
            x = state.controls.without_vetoed(x)
        answer = self.task.ask(state.pipeline, x)
        refinement = state.refinement
        if refinement.is_idle:
            return Stored(answer, NO_REGION)
        answer = refinement.refine(answer)
        return Stored(answer, refinement.region(answer), refinement.naive())

    def cases(
        self,
        recent: Recent,
        event: Event,
        x: dict[str, Any],  # Any: as above
        *,
        label: Label | None,
        stored: Stored | None,
        named: tuple[str, int] = ("", 0),
    ) -> Sequence[Case]:
        """Take an event without a fault into the recent past; return what can be learned by it.

        Args:
            stored: What the champion says of it, if it is asked.
            named: What its prediction is called, and the version of the model that made it.
        """
        senses, time_us = self.senses, event.time_us
        ripe = senses.ripe(recent, time_us, label)
        senses.remember(recent, x, time_us, event.event_id)
        if senses.looks_ahead:
            if stored is not None and label is not None:
                stored = stored._replace(naive=Answer(float(label), None, None))
            senses.wait(recent, x, time_us, stored, named=named)
            return ripe
        return (Case(x, label),) if label is not None or self.task.name == "anomaly" else ()

    def teach(
        self,
        state: ModelState,
        case: Case,
        stored: Stored | None,
        told: Callable[[dict[str, Any]], None] | None = None,  # Any: as above
        *,
        times: int | None = None,
    ) -> Score | None:
        """Let a model learn a case, and from what it had said.

        Args:
            stored: What the model said of the case, where that is known.
            told: Is told of the case each time that the model has learned it.
            times: How often it is learned; None is as often as its class is repeated.

        Returns:
            What became of it, where that is the champion's.
        """
        x, y, weight, _, delay, _ = case
        if state.controls is not None:
            x = state.controls.without_vetoed(x)
        if times is None:
            times = self.repeats.get(y, 1) if self.repeats else 1
        for _ in range(times):
            if state.means is not None:
                take_note(state.means, state.pipeline, x)
            self.task.learn(state.pipeline, x, y, weight)
            if told is not None:
                told(x)
        if stored is None or y is None or state.refinement.is_idle:
            return None
        return state.refinement.observe(stored, self.task.key(y), delay=delay)


def plan_stream(stream: StreamDefinition) -> StreamPlan:
    """Return the plan of a stream whose definition has no problems."""
    target = stream.target
    text = "none" if target is None else target.model_dump_json()
    task = _task(stream)
    made = [
        Blueprint.of(name, steps, stream.features, target=text, seed=stream.seed)
        for name, steps in stream.pipelines.items()
    ]
    blueprints = tuple(
        replace(blueprint, repeats=stream.repeat, region="none" if number else _region(task))
        for number, blueprint in enumerate(made)
    )
    return StreamPlan(
        name=stream.name,
        gate=Gate(stream.sensors),
        example_gate=Gate(stream.features),
        senses=Senses(stream, _ahead(stream)),
        task=task,
        label_field=target.name if isinstance(target, FieldTarget | AheadTarget) else None,
        repeats=_repeats(task, stream.repeat),
        blueprints=blueprints,
        budget_bytes=int(stream.memory_mb * (1 << 20)),
        explanations=stream.explanations,
        alarm=_alarm(stream),
        starts_from_type=stream.start_from == "stream",
        is_late=isinstance(target, LabelTarget),
        judges=isinstance(target, AheadTarget)
        or (isinstance(target, FieldTarget) and stream.outcomes == "all"),
    )


def _alarm(stream: StreamDefinition) -> str | None:
    """Return what an alarm says: of a detector, or the positive class of two."""
    target = stream.target
    if target is None:
        return "true"
    classes = target.classes if isinstance(target, FieldTarget | LabelTarget) else None
    return None if classes is None else classes[1]


def _ahead(stream: StreamDefinition) -> Ahead | None:
    target = stream.target
    if not isinstance(target, AheadTarget):
        return None
    after_us = None if target.after_s is None else int(target.after_s * MICROS)
    return Ahead(target.after_events, after_us)


def _region(task: Task) -> RegionKind:
    kinds: dict[str, RegionKind] = {"regression": "interval", "anomaly": "none"}
    return kinds.get(task.name, "classes")


def _repeats(task: Task, by_key: Mapping[str, int]) -> dict[Label, int]:
    labels = {key: task.read_label(key) for key in by_key}
    return {label: by_key[key] for key, label in labels.items() if label is not None}


def _task(stream: StreamDefinition) -> Task:
    target = stream.target
    if isinstance(target, FieldTarget | LabelTarget):
        if target.kind == "binary" and target.classes is not None:
            return Binary(*target.classes)
        if target.kind == "multiclass":
            return Multiclass()
    return Anomaly() if target is None else Regression()


def unsupported(definition: PlantDefinition) -> list[str]:
    """Return what this version cannot do of a definition that is otherwise right."""
    problems = []
    for stream in definition.streams:
        path = f"streams.{stream.name}"
        target = stream.target
        if stream.explanations.which == "on_alarm" and _alarm(stream) is None:
            problems.append(
                f"{path}.explanations.which: on_alarm must be for a binary target or none, whose "
                "answers can be alarms; choose all, {every: N} or on_request"
            )
        if isinstance(target, AheadTarget) and (target.after_events or 0) > MOST_WAITING:
            problems.append(
                f"{path}.target.ahead.after: must be at most {MOST_WAITING} events, was "
                f"{target.after_events}"
            )
    return problems


def plan_problems(definition: PlantDefinition) -> list[str]:
    """Return what keeps a definition from being run, every problem."""
    problems = unsupported(definition)
    for stream in definition.streams:
        path = f"streams.{stream.name}"
        for name, steps in stream.pipelines.items():
            found = check_steps(steps, stream.kind) + nominal_problems(steps, stream.features)
            problems += [f"{path}.model.{name.partition('/')[2]}: {problem}" for problem in found]
    return problems

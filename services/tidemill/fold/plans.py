"""What the fold does for each stream, worked out once from the definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.targets import FieldTarget, LabelTarget
from tidemill.fold.gate import Gate
from tidemill.models.outputs import Binary, Multiclass, Regression
from tidemill.models.pipelines import check_steps, nominal_problems
from tidemill.models.state import Blueprint

if TYPE_CHECKING:
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.models.outputs import Label, Task


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream: its gate, its task, and the blueprints of its models, champion first."""

    name: str
    gate: Gate
    task: Task
    label_field: str | None
    blueprints: tuple[Blueprint, ...]
    budget_bytes: int

    def label_in(self, values: dict[str, Any]) -> tuple[Label | None, bool]:  # Any: Avro values
        """Return the label an event carries, and whether one stands there that is at fault.

        Raises:
            InvalidRecordError: The value contradicts the definition.
        """
        if self.label_field is None:
            return None, False
        raw = values.get(self.label_field)
        if raw is None:
            return None, False
        label = self.task.read_label(raw)
        return label, label is None


def plan_stream(stream: StreamDefinition) -> StreamPlan:
    """Return the plan of a stream whose definition has no problems."""
    target = stream.target
    text = "none" if target is None else target.model_dump_json()
    blueprints = tuple(
        Blueprint.of(name, steps, stream.features, target=text, seed=stream.seed)
        for name, steps in stream.pipelines.items()
    )
    return StreamPlan(
        name=stream.name,
        gate=Gate(stream.features),
        task=_task(stream),
        label_field=target.name if isinstance(target, FieldTarget) else None,
        blueprints=blueprints,
        budget_bytes=int(stream.memory_mb * (1 << 20)),
    )


def _task(stream: StreamDefinition) -> Task:
    target = stream.target
    if isinstance(target, FieldTarget | LabelTarget):
        if target.kind == "binary" and target.classes is not None:
            return Binary(*target.classes)
        if target.kind == "multiclass":
            return Multiclass()
    return Regression()


def unsupported(definition: PlantDefinition) -> list[str]:
    """Return what this version cannot do of a definition that is otherwise right."""
    problems = []
    for stream in definition.streams:
        path = f"streams.{stream.name}"
        if not isinstance(stream.target, FieldTarget | LabelTarget):
            problems.append(f"{path}.target: must be field or label in this version")
        if stream.repeat:
            problems.append(f"{path}.model.repeat: must be empty in this version")
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

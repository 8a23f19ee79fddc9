"""The plant definition: its text to a checked value, and that value to the ledger and back."""

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from tidemill.contracts.document import (
    FeatureDocument,
    FeedbackDocument,
    ModelDocument,
    PlantDocument,
    StreamDocument,
    TargetDocument,
)
from tidemill.contracts.document_problems import checked_document
from tidemill.contracts.quantities import MEBIBYTE
from tidemill.contracts.stream import (
    COMPARED,
    LONGEST_HOLD_S,
    AlertOptions,
    Derivation,
    DriftOptions,
    Explanations,
    Feature,
    FeedbackOptions,
    Role,
    Step,
    StreamDefinition,
    TimeField,
)
from tidemill.contracts.targets import AheadTarget, FieldTarget, LabelTarget, Target
from tidemill.contracts.written import Pipeline

__all__ = [
    "AheadTarget",
    "Derivation",
    "DriftOptions",
    "Explanations",
    "Feature",
    "FeedbackOptions",
    "FieldTarget",
    "LabelTarget",
    "PlantDefinition",
    "Step",
    "StreamDefinition",
    "Target",
    "TimeField",
    "json_schema",
    "parse_definition",
]


# What a definition from before there was the key means.
_LATER_KEYS = {"start_from": "nothing", "outcomes": "late"}
# What models have nothing to do with.
_NOT_OF_MODELS = ("alerts",)
_LATER_OF_FEEDBACK: dict[str, object] = {
    "compare": COMPARED,
    "tolerance": None,
    "experts": [],
    "longest_hold": LONGEST_HOLD_S,
}


class PlantDefinition(BaseModel):
    """One plant: its streams in the order of the definition; `schemas` as written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plant: str
    partitions: int
    schemas: str
    streams: tuple[StreamDefinition, ...]

    def canonical(self) -> str:
        """Return JSON that is equal exactly when the mesh would do the same; for the ledger.

        Where the files lie (`schemas`) is left out: it differs between machines. So is what a
        ledger from before there was a key cannot have: it must mean what it meant.
        """
        value = self.model_dump(mode="json", exclude={"schemas"})
        for stream in value["streams"]:
            for key in _NOT_OF_MODELS:
                del stream[key]
            for key, meant in _LATER_KEYS.items():
                if stream[key] == meant:
                    del stream[key]
            for key, default in _LATER_OF_FEEDBACK.items():
                if stream["feedback"][key] == default:
                    del stream["feedback"][key]
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """Return the definition that `canonical` wrote; its `schemas` is empty."""
        return cls.model_validate({**json.loads(text), "schemas": ""})

    def stream_for(self, event_full_name: str) -> StreamDefinition | None:
        """Return the stream that claims this Avro record, or None."""
        return next((s for s in self.streams if s.event == event_full_name), None)


def parse_definition(text: str) -> PlantDefinition:
    """Return the definition written in `text` (YAML).

    Raises:
        ConfigError: With every problem found, each with its path.
    """
    document = checked_document(text)
    assert document.plant is not None
    assert document.partitions is not None
    assert document.schemas is not None
    assert document.streams is not None
    return PlantDefinition(
        plant=document.plant,
        partitions=document.partitions,
        schemas=document.schemas,
        streams=tuple(
            _stream(document.plant, name, stream) for name, stream in document.streams.items()
        ),
    )


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of `plant.yaml`, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PlantDocument.model_json_schema(mode="validation"),
    }


def _stream(plant: str, name: str, document: StreamDocument) -> StreamDefinition:
    assert document.event is not None
    assert document.asset is not None
    assert document.time is not None
    assert document.features is not None
    assert document.target is not None
    model = document.model
    assert model is not None
    return StreamDefinition(
        name=name,
        event=document.event,
        asset=document.asset,
        time=TimeField(field=document.time.field, unit=document.time.unit),
        id=document.id,
        lateness_s=document.lateness,
        duplicates_within=document.duplicates_within,
        features=tuple(_feature(key, feature) for key, feature in document.features.items()),
        target=_target(document.target),
        champion=_steps(model.champion or []),
        challengers={key: _steps(model.challengers[key]) for key in sorted(model.challengers)},
        repeat=dict(sorted(model.repeat.items())),
        start_from=model.start_from,
        memory_mb=_memory_mb(model),
        seed=_seed(plant, name) if document.seed is None else document.seed,
        explanations=_explanations(document.explanations.which),
        drift=DriftOptions(
            run_length=document.drift.run_length,
            question_timeout_s=document.drift.question_timeout,
            hold_at_most=document.drift.hold_at_most,
        ),
        feedback=_feedback(document.feedback),
        outcomes=document.outcomes,
        alerts=_alerts(document.alerts.silence),
    )


def _feature(name: str, document: FeatureDocument) -> Feature:
    low, high = document.range or (None, None)
    return Feature(
        name=name,
        unit=document.unit,
        low=low,
        high=high,
        stuck_after=document.stuck_after,
        rate=document.rate,
        kind=document.kind,
        required=document.required,
        derived=_derivation(document),
    )


def _derivation(document: FeatureDocument) -> Derivation | None:
    if document.of is None:
        return None
    ((take, over),) = document.takes.items()
    if isinstance(over, int):
        return Derivation(of=document.of, take=take, events=over)
    return Derivation(of=document.of, take=take, after_s=over)


def _target(document: TargetDocument) -> Target | None:
    if field := document.field:
        return FieldTarget(name=field.name, kind=field.kind, classes=_pair(field.classes))
    if ahead := document.ahead:
        if isinstance(ahead.after, int):
            return AheadTarget(field=ahead.field, after_events=ahead.after)
        return AheadTarget(field=ahead.field, after_s=ahead.after)
    if label := document.label:
        return LabelTarget(
            name=label.name,
            kind=label.kind,
            ttl_s=label.ttl,
            unit=label.unit,
            join=None if label.join is None else tuple(label.join),
            classes=_pair(label.classes),
        )
    return None


def _pair(classes: list[str] | None) -> tuple[str, str] | None:
    return (classes[0], classes[1]) if classes else None


def _steps(pipeline: Pipeline) -> tuple[Step, ...]:
    return tuple(
        Step(name=name, parameters=parameters)
        for step in pipeline
        for name, parameters in step.items()
    )


def _memory_mb(model: ModelDocument) -> float:
    return 8.0 if model.memory is None else model.memory / MEBIBYTE


def _explanations(which: str | int) -> Explanations:
    if isinstance(which, int):
        return Explanations(which="every", every=which)
    return Explanations.model_validate({"which": which})


def _feedback(document: FeedbackDocument) -> FeedbackOptions:
    fallback: Role = "domain_expert" if "domain_expert" in document.roles else "operator"
    return FeedbackOptions(
        kinds=tuple(document.kinds),
        roles=tuple(document.roles),
        veto_needs=document.veto_needs or fallback,
        compare=document.compare,
        tolerance=document.tolerance,
        experts=tuple(document.experts),
        longest_hold=document.longest_hold,
    )


def _alerts(silence: float | Literal["never"]) -> AlertOptions:
    return AlertOptions(silence_s=None if silence == "never" else silence)


def _seed(plant: str, stream: str) -> int:
    digest = hashlib.sha256(f"tidemill seed\0{plant}\0{stream}".encode()).digest()
    return int.from_bytes(digest[:4], "big")

"""The shape of `plant.yaml` as it is written; keys are optional so that all problems are found."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tidemill.contracts.stream import (
    COMPARED,
    LONGEST_HOLD_S,
    DerivationKind,
    FeatureKind,
    FeedbackKind,
    OutcomesKind,
    Role,
    StartKind,
    TimeUnit,
)
from tidemill.contracts.targets import TargetKind
from tidemill.contracts.written import (
    Bytes,
    Classes,
    Distance,
    Duration,
    FieldName,
    FullName,
    Name,
    Pipeline,
    Range,
    Repeat,
    refusal,
)

STREAM_REQUIRES = ("event", "asset", "time", "features", "target", "model")
PLANT_REQUIRES = ("plant", "partitions", "schemas", "streams")


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class TimeDocument(_Document):
    """Where event time stands, and its unit if the field is a plain long."""

    field: FieldName
    unit: TimeUnit | None = None


class FeatureDocument(_Document):
    """One sensor: unit, range, how many equal readings mean stuck, fastest change per second.

    With `of`, a feature made of a sensor's recent readings instead: a lag or a statistic.
    """

    unit: str | None = None
    range: Range | None = None
    stuck_after: Annotated[int, Field(ge=2)] | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    kind: FeatureKind = "numeric"
    required: bool = False
    of: FieldName | None = None
    lag: Distance | None = None
    mean: Duration | None = None
    min: Duration | None = None
    max: Duration | None = None
    sd: Duration | None = None
    count: Duration | None = None
    slope: Duration | None = None

    @property
    def takes(self) -> dict[DerivationKind, int | float]:
        """What is taken of the sensor's readings, over how long; one where all is well."""
        every = {kind: getattr(self, kind) for kind in get_args(DerivationKind)}
        return {kind: given for kind, given in every.items() if given is not None}


class FieldDocument(_Document):
    """The answer is a field of the event itself."""

    name: FieldName
    kind: TargetKind
    classes: Classes | None = None


class AheadDocument(_Document):
    """The answer is a later reading of a field: after a number of events, or a duration."""

    field: FieldName
    after: Distance


class LabelDocument(_Document):
    """The answer arrives on plant.labels."""

    name: Name
    kind: TargetKind
    ttl: Duration
    unit: str | None = None
    join: list[str] | None = None
    classes: Classes | None = None


class TargetDocument(_Document):
    """Exactly one of field, ahead, label; none of them set stands for `target: none`."""

    field: FieldDocument | None = None
    ahead: AheadDocument | None = None
    label: LabelDocument | None = None


class ModelDocument(_Document):
    """Champion and challengers as River classes by name; memory is the budget of one model.

    `start_from: stream` lets new models begin as those that learned from all assets of the stream.
    """

    model_config = ConfigDict(json_schema_extra={"required": ["champion"]})

    champion: Pipeline | None = None
    challengers: dict[Name, Pipeline] = {}
    repeat: Repeat = {}
    memory: Bytes | None = None
    start_from: StartKind = "nothing"


class EveryDocument(_Document):
    """Explain every n-th event of an asset."""

    every: Annotated[int, Field(ge=1)]


class DriftDocument(_Document):
    """The dial of drift detection and how long a question may hold learning.

    Beyond a million million events, or ten years, nobody waits: such a number is a slip.
    """

    run_length: Annotated[int, Field(ge=100, le=10**12)] = 100_000
    question_timeout: Annotated[Duration, Field(ge=1.0, le=3_650 * 86_400)] = 7200.0
    hold_at_most: Annotated[float, Field(gt=0, le=1)] = 0.05


class FeedbackDocument(_Document):
    """Kinds of feedback taken, roles that may give it, whose word a veto needs.

    `compare`: over how many of an asset's last cases it is counted what one has changed.
    `tolerance`: people's answers that are numbers and differ by no more, in the unit of the target,
    are the same. `experts`: who may speak as domain experts; anybody unless named.
    `longest_hold`: of operators, in event time.
    """

    kinds: Annotated[list[FeedbackKind], Field(min_length=1)] = [
        "inference",
        "explanation",
        "drift",
    ]
    roles: Annotated[list[Role], Field(min_length=1)] = ["operator", "domain_expert"]
    veto_needs: Role | None = None
    compare: Annotated[int, Field(ge=0, le=1_000)] = COMPARED
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    experts: list[Annotated[str, Field(min_length=1)]] = []
    longest_hold: Duration = LONGEST_HOLD_S


def _target(value: object) -> object:
    if value == "none":
        return TargetDocument()
    known = {"field", "ahead", "label"}
    if isinstance(value, dict) and (len(value) == 1 or not known.issuperset(value)):
        return value
    given = " and ".join(map(str, value)) if isinstance(value, dict) and value else repr(value)
    msg = f"must be exactly one of label, field, ahead, or none, was {given}"
    raise refusal(msg)


def _which(value: object) -> object:
    match value:
        case "all" | "on_alarm" | "on_request":
            return value
        case {"every": int(every), **rest} if not rest and every >= 1 and every is not True:
            return every
    msg = f"must be all, on_alarm, on_request or {{every: N}} with N from 1, was {value!r}"
    raise refusal(msg)


def _time(value: object) -> object:
    return {"field": value} if isinstance(value, str) else value


def _empty(value: object) -> object:
    return {} if value is None else value


class ExplanationsDocument(_Document):
    """Which predictions are explained; a number n means every n-th."""

    which: Annotated[
        str | int,
        BeforeValidator(
            _which,
            json_schema_input_type=Literal["all", "on_alarm", "on_request"] | EveryDocument,
        ),
    ] = "all"


class StreamDocument(_Document):
    """One stream."""

    model_config = ConfigDict(json_schema_extra={"required": list(STREAM_REQUIRES)})

    event: FullName | None = None
    asset: FieldName | None = None
    time: Annotated[
        TimeDocument | None, BeforeValidator(_time, json_schema_input_type=FieldName | TimeDocument)
    ] = None
    id: FieldName | None = None
    lateness: Duration | None = None
    duplicates_within: Annotated[int, Field(ge=0, le=10_000)] = 64
    features: (
        Annotated[
            dict[FieldName, Annotated[FeatureDocument, BeforeValidator(_empty)]],
            Field(min_length=1),
        ]
        | None
    ) = None
    target: Annotated[
        TargetDocument | None,
        BeforeValidator(_target, json_schema_input_type=Literal["none"] | TargetDocument),
    ] = None
    model: ModelDocument | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    explanations: ExplanationsDocument = ExplanationsDocument()
    drift: DriftDocument = DriftDocument()
    feedback: FeedbackDocument = FeedbackDocument()
    outcomes: OutcomesKind = "late"


class PlantDocument(_Document):
    """The file as a whole."""

    model_config = ConfigDict(
        title="Tidemill plant definition",
        json_schema_extra={"required": list(PLANT_REQUIRES)},
    )

    plant: Name | None = None
    partitions: Annotated[int, Field(ge=1)] | None = None
    schemas: Annotated[str, Field(min_length=1)] | None = None
    streams: Annotated[dict[Name, StreamDocument], Field(min_length=1)] | None = None

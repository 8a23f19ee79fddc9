"""One stream of the plant definition, checked, with every default filled in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from tidemill.contracts.targets import ModelKind, Target  # noqa: TC001 - pydantic reads it

TimeUnit = Literal["s", "ms", "us", "ns"]
FeatureKind = Literal["numeric", "nominal"]
DerivationKind = Literal["lag", "mean", "min", "max", "sd", "count", "slope"]
Role = Literal["operator", "domain_expert"]
FeedbackKind = Literal["inference", "explanation", "drift"]
StartKind = Literal["nothing", "stream"]
OutcomesKind = Literal["late", "all"]

# How many of an asset's last cases tell what feedback has changed, unless the definition says.
COMPARED = 20
LONGEST_HOLD_S = 86_400.0
SILENCE_S = 3_600.0

# Under this name stand the models of a stream's asset type: no event and no instruction names it.
ASSET_TYPE = ""

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class TimeField(BaseModel):
    """The field that carries event time; `unit` only for a plain long."""

    model_config = _FROZEN

    field: str
    unit: TimeUnit | None = None


class Derivation(BaseModel):
    """How a feature is made of the recent readings of a sensor.

    A lag reads what was `events` readings, or `after_s` seconds of event time, before; any other
    statistic is of the readings in the last `after_s` seconds, this event's among them.
    """

    model_config = _FROZEN

    of: str
    take: DerivationKind
    events: int | None = None
    after_s: float | None = None


class Feature(BaseModel):
    """One input of the models. `low` and `high` are inclusive, in `unit`; `rate` per second."""

    model_config = _FROZEN

    name: str
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    stuck_after: int | None = None
    rate: float | None = None
    kind: FeatureKind = "numeric"
    required: bool = False
    derived: Derivation | None = None


class Step(BaseModel):
    """One class of a pipeline by its name inside River, with the parameters that were given."""

    model_config = _FROZEN

    name: str
    parameters: dict[str, JsonValue] = {}


class Explanations(BaseModel):
    """Which predictions are explained; `every` counts events of one asset."""

    model_config = _FROZEN

    which: Literal["all", "every", "on_alarm", "on_request"] = "all"
    every: int | None = None


class DriftOptions(BaseModel):
    """The operator's dial: expected events between false alarms of one asset, and the hold."""

    model_config = _FROZEN

    run_length: int = 100_000
    question_timeout_s: float = 7200.0
    hold_at_most: float = 0.05


class AlertOptions(BaseModel):
    """What people are told of a stream's assets: None seconds of `silence` are never an alarm."""

    model_config = _FROZEN

    silence_s: float | None = SILENCE_S


class FeedbackOptions(BaseModel):
    """What people may say, who may say it, and whose word a veto needs.

    Over the last `compare` cases of an asset it is counted what a feedback has changed. Answers
    that are numbers and differ by no more than `tolerance` are the same. Where `experts` names any,
    nobody else is a domain expert; anybody else's hold lasts at most `longest_hold` seconds.
    """

    model_config = _FROZEN

    kinds: tuple[FeedbackKind, ...] = ("inference", "explanation", "drift")
    roles: tuple[Role, ...] = ("operator", "domain_expert")
    veto_needs: Role = "domain_expert"
    compare: int = COMPARED
    tolerance: float | None = None
    experts: tuple[str, ...] = ()
    longest_hold: float = LONGEST_HOLD_S


class StreamDefinition(BaseModel):
    """How the records of one event type are read, learned and predicted.

    `features` keep the order of the definition: it is the order in which they reach the models.
    New models start from `nothing`, or from those that learned from all assets of the `stream`.
    Of every asset the last `duplicates_within` event ids are remembered. `memory_mb` is the budget
    of one model in units of 2**20 bytes, as River counts. Outcomes are written of `late` labels,
    those that come apart from their event, or of `all`.
    """

    model_config = _FROZEN

    name: str
    event: str
    asset: str
    time: TimeField
    id: str | None = None
    lateness_s: float | None = None
    duplicates_within: int = 64
    features: tuple[Feature, ...]
    target: Target | None
    champion: tuple[Step, ...]
    challengers: dict[str, tuple[Step, ...]] = {}
    repeat: dict[str, int] = {}
    start_from: StartKind = "nothing"
    memory_mb: float = 8.0
    seed: int
    explanations: Explanations = Explanations()
    drift: DriftOptions = DriftOptions()
    feedback: FeedbackOptions = FeedbackOptions()
    outcomes: OutcomesKind = "late"
    alerts: AlertOptions = AlertOptions()

    @property
    def sensors(self) -> tuple[Feature, ...]:
        """The features that events carry themselves; the others are made of their readings."""
        return tuple(feature for feature in self.features if feature.derived is None)

    @property
    def kind(self) -> ModelKind:
        """What the models do; without a target they look for anomalies."""
        return self.target.kind if self.target else "anomaly"

    @property
    def pipelines(self) -> dict[str, tuple[Step, ...]]:
        """Steps by model name, `<stream>/champion` first, then the challengers by name."""
        challengers = {f"{self.name}/{name}": steps for name, steps in self.challengers.items()}
        return {f"{self.name}/champion": self.champion, **challengers}

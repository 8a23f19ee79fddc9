"""The topics of the mesh: their names, keys, records and clean-up."""

from __future__ import annotations

from dataclasses import dataclass

EVENTS = "sensor.events"
LABELS = "plant.labels"
UPDATES = "model.updates"
PREDICTIONS = "model.predictions"
OUTCOMES = "model.outcomes"
EXPLANATIONS = "model.explanations"
IMPORTANCES = "model.importances"
LEDGER = "model.ledger"
SNAPSHOTS = "learner.snapshots"
EXPLAINER_SNAPSHOTS = "explainer.snapshots"
ANCHORS = "model.anchors"
FEEDBACK = "operator.feedback"
RECEIPTS = "operator.receipts"
DECISIONS = "feedback.decisions"
DRIFT = "model.drift"
DRIFT_LEDGER = "drift.ledger"
DRIFT_SNAPSHOTS = "drift.snapshots"
ALARMS = "operator.alarms"
ALARM_STATES = "alerts.states"
ALERTS_CLOCK = "alerts.clock"

RETENTION_DAYS = 184
# What stands for longer is in the table of the alerts processor.
ALARM_DAYS = 31
CLOCK_DAYS = 1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as `tidemill topics` creates it.

    Attributes:
        days: How long its records are kept, where time cleans it up.
        is_brief: Whether they are kept no longer than that either.
    """

    name: str
    record: str
    key: str
    cleanup: str = "delete"
    about: str = ""
    days: int = RETENTION_DAYS
    is_brief: bool = False

    @property
    def is_retained(self) -> bool:
        """Whether time cleans it up, and nothing else."""
        return self.cleanup == "delete"


TOPICS: tuple[Topic, ...] = (
    Topic(EVENTS, "the plant's own", "asset", about="one reading of one asset"),
    Topic(LABELS, "Label", "asset", about="ground truth for one event"),
    Topic(UPDATES, "Update", "asset", about="one instruction to a model"),
    Topic(PREDICTIONS, "Prediction", "asset", about="one prediction and the model that made it"),
    Topic(OUTCOMES, "Outcome", "asset", about="what became of one prediction once its label came"),
    Topic(EXPLANATIONS, "Explanation", "asset", about="what each sensor added to one prediction"),
    Topic(
        IMPORTANCES,
        "Importance",
        "asset, or stream",
        about="which sensors carry a model's answers, when their order changes",
    ),
    Topic(LEDGER, "LedgerEntry", "partition", about="what one transaction applied, hash-chained"),
    Topic(
        SNAPSHOTS,
        "Snapshot",
        "stream|asset|model",
        cleanup="compact",
        about="state of one model at one ledger sequence, signed",
    ),
    Topic(
        EXPLAINER_SNAPSHOTS,
        "Snapshot",
        "stream|asset|model",
        cleanup="compact",
        about="the explainer's replica of the models, and where it stands",
    ),
    Topic(ANCHORS, "Snapshot", "stream|asset|model", about="full state of a model, now and then"),
    Topic(FEEDBACK, "Feedback", "asset", about="what a person says of one answer of a model"),
    Topic(RECEIPTS, "Receipt", "asset", about="what became of one feedback"),
    Topic(
        DECISIONS,
        "JSON, internal",
        "partition|feedback",
        cleanup="compact",
        about="what was decided of each feedback: the table of the feedback processor",
    ),
    Topic(DRIFT, "Drift", "asset", about="one episode of drift, or one change of its status"),
    Topic(
        DRIFT_LEDGER,
        "LedgerEntry",
        "partition",
        about="what one transaction of the drift processor applied, hash-chained",
    ),
    Topic(
        DRIFT_SNAPSHOTS,
        "Snapshot",
        "stream|asset|drift",
        cleanup="compact",
        about="what is watched of one asset at one drift ledger sequence, signed",
    ),
    Topic(ALARMS, "Alarm", "asset, or none", about="one change of one alarm", days=ALARM_DAYS),
    Topic(
        ALARM_STATES,
        "JSON, internal",
        "partition|condition",
        cleanup="compact",
        about="where each alarm stands: the table of the alerts processor",
    ),
    Topic(
        ALERTS_CLOCK,
        "JSON, internal",
        "none",
        about="that time passed, and what the alerts processor had yet to read",
        days=CLOCK_DAYS,
        is_brief=True,
    ),
    Topic(EVENTS + ".dlq", "original bytes", "original", about="sensor events set aside"),
    Topic(UPDATES + ".dlq", "original bytes", "original", about="updates set aside"),
    Topic(LABELS + ".dlq", "original bytes", "original", about="labels set aside"),
    Topic(FEEDBACK + ".dlq", "original bytes", "original", about="feedback set aside"),
)

BY_NAME = {topic.name: topic for topic in TOPICS}


def group_of(plant: str, processor: str) -> str:
    """Return the consumer group of a processor of a plant."""
    return f"tidemill.{plant}.{processor}"

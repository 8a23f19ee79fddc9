"""What every topic must be like, and how a topic that exists falls short of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

from tidemill.contracts.topics import (
    ALERTS_CLOCK,
    ANCHORS,
    DECISIONS,
    DRIFT_LEDGER,
    DRIFT_SNAPSHOTS,
    FEEDBACK,
    LEDGER,
    PREDICTIONS,
    RECEIPTS,
    SNAPSHOTS,
    TOPICS,
    UPDATES,
)
from tidemill.kernel.deadletters import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.topics import Topic

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
UNLIMITED = -1
# What may be larger than Kafka's default; a dead letter is its record and why it is there.
LARGE = {
    SNAPSHOTS: "states of models are larger than Kafka's default",
    ANCHORS: "states of models are larger than Kafka's default",
    LEDGER: "an entry names every model that changed",
    DRIFT_SNAPSHOTS: "what is watched of an asset is larger than Kafka's default",
    DRIFT_LEDGER: "an entry names every asset that changed",
    PREDICTIONS: "a prediction holds headers of its event and the classes of every model",
    **{
        topic.name: "a dead letter is its record, as large as its topic allows, and why"
        for topic in TOPICS
        if topic.name.endswith(SUFFIX)
    },
}
LARGEST_MESSAGE = 10 << 20
# What a feedback causes is held to this size, Kafka's default, before anything is written.
USUAL = frozenset({UPDATES, RECEIPTS, DECISIONS})
USUAL_MESSAGE = 1_048_588
SEGMENT = 16 << 20
PRODUCTION_REPLICATION = 3
IN_SYNC = "min.insync.replicas"
UNCLEAN = "unclean.leader.election.enable"
RETENTION = "retention.ms"
RETENTION_BYTES = "retention.bytes"
MESSAGE_BYTES = "max.message.bytes"
INTERNAL = ("__consumer_offsets", "__transaction_state")


class Shorter(Enum):
    """What becomes of a retention shorter than replay needs."""

    REFUSED = auto()
    RAISED = auto()
    ACCEPTED = auto()


class Rule(StrEnum):
    """How a value found is held against the one wanted."""

    EQUAL = "must be"
    AT_LEAST = "must be at least"
    AT_MOST = "must be at most"


@dataclass(frozen=True, slots=True)
class Setting:
    """One topic setting as Kafka names it, and why it matters."""

    name: str
    value: str
    rule: Rule
    why: str

    def holds(self, found: str) -> bool:
        """Return whether a value found will do; -1 is without limit."""
        if self.rule is Rule.EQUAL:
            keeps_all = self.name == "cleanup.policy" and not found
            return found == self.value or (keeps_all and self.value == "delete")
        number, wanted = int(found), int(self.value)
        if self.rule is Rule.AT_LEAST:
            return number == UNLIMITED or number >= wanted
        return number != UNLIMITED and number <= wanted

    def said(self, found: str) -> str:
        """Return what must hold, what was found, and why it matters."""
        return f"{self.name} {self.rule} {self.value}, was {found}: {self.why}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator and the definition ask of all topics.

    Attributes:
        replication: Copies of a topic that is created.
        brokers: How many there are to hold them.
        check_replication: Copies that topics at hand must have; 0 leaves them as they are.
        is_production: Whether no single broker may be able to lose a record.
        shorter: What becomes of a retention that is too short.
    """

    partitions: int
    replication: int
    brokers: int
    check_replication: int = 0
    is_production: bool = False
    shorter: Shorter = Shorter.REFUSED


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the cluster has it; `replication` is that of its poorest partition."""

    partitions: int
    replication: int
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that may be changed without harm."""

    setting: str
    found: str
    wanted: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about one topic: create it, change settings, or refuse, with reasons."""

    name: str
    create: Mapping[str, str] | None = None
    changes: tuple[Change, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """One word: ok, create, change or refused."""
        if self.refusals:
            return "refused"
        if self.create is not None:
            return "create"
        return "change" if self.changes else "ok"


def settings_of(topic: Topic, *, is_production: bool) -> tuple[Setting, ...]:
    """Return what is asked of a topic beside its partitions and copies."""
    wanted = [
        Setting("cleanup.policy", topic.cleanup, Rule.EQUAL, f"{topic.name} holds {topic.about}")
    ]
    if topic.is_brief:
        why = "it grows by the second, and nobody reads what is older"
        wanted += [
            Setting(RETENTION, str(topic.days * DAY_MS), Rule.AT_MOST, why),
            Setting("segment.ms", str(HOUR_MS), Rule.AT_MOST, "only closed segments are deleted"),
        ]
    elif topic.is_retained:
        why = "what is not retained cannot be replayed"
        days = str(topic.days * DAY_MS)
        wanted += [
            Setting(RETENTION, days, Rule.AT_LEAST, f"{topic.days} days; {why}"),
            Setting(RETENTION_BYTES, str(UNLIMITED), Rule.EQUAL, why),
        ]
    else:
        why = "only closed segments are compacted, and a start reads all that is there"
        wanted += [
            Setting("segment.bytes", str(SEGMENT), Rule.AT_MOST, why),
            Setting("max.compaction.lag.ms", str(HOUR_MS), Rule.AT_MOST, why),
        ]
    if topic.name == FEEDBACK:
        why = "how much a person says in a minute must not be told by the sender's clock"
        wanted.append(Setting("message.timestamp.type", "LogAppendTime", Rule.EQUAL, why))
    if topic.name == ALERTS_CLOCK:
        why = "whether an asset is silent must be told by one clock, the brokers'"
        wanted.append(Setting("message.timestamp.type", "LogAppendTime", Rule.EQUAL, why))
    if topic.name in LARGE:
        limit = str(LARGEST_MESSAGE)
        wanted.append(Setting(MESSAGE_BYTES, limit, Rule.AT_LEAST, LARGE[topic.name]))
    elif topic.name in USUAL:
        why = "what a feedback causes is as large as Kafka's default at most, not as less"
        wanted.append(Setting(MESSAGE_BYTES, str(USUAL_MESSAGE), Rule.AT_LEAST, why))
    return (*wanted, *(DURABLE if is_production else ()))


DURABLE = (
    Setting(IN_SYNC, "2", Rule.AT_LEAST, "one broker alone must not acknowledge"),
    Setting(UNCLEAN, "false", Rule.EQUAL, "a broker that lags must not lead: records would go"),
)


def judge(topic: Topic, found: Found | None, wanted: Wanted) -> Verdict:
    """Hold a topic against what is wanted; None is a topic that does not exist."""
    settings = settings_of(topic, is_production=wanted.is_production)
    if found is None:
        few = _few_brokers(wanted)
        return Verdict(topic.name, create={s.name: s.value for s in settings}, refusals=few)
    refusals = _shape_refusals(found, wanted)
    changes = []
    for setting in settings:
        value = found.settings.get(setting.name)
        if value is None or setting.holds(value) or _is_accepted(setting, wanted):
            continue
        refusal = _refusal(setting, value, wanted)
        if refusal:
            refusals.append(refusal)
        else:
            changes.append(Change(setting.name, value, setting.value, setting.why))
    return Verdict(topic.name, changes=tuple(changes), refusals=tuple(refusals))


def judge_internal(name: str, found: Found) -> Verdict:
    """Hold one of Kafka's own topics against what production asks; it is never changed."""
    refusals = [
        f"{setting.said(value)}; it is the cluster's own, change it there"
        for setting in DURABLE
        if (value := found.settings.get(setting.name)) is not None and not setting.holds(value)
    ]
    refusals += _replication_refusals(found, PRODUCTION_REPLICATION)
    return Verdict(name, refusals=tuple(refusals))


def _shape_refusals(found: Found, wanted: Wanted) -> list[str]:
    refusals = []
    if found.partitions != wanted.partitions:
        refusals.append(
            f"partitions must be the definition's {wanted.partitions}, are {found.partitions}; "
            "the count is never changed: assets would move and their models would not. Mend the "
            "definition, or migrate to a plant of a new name"
        )
    return refusals + _replication_refusals(found, wanted.check_replication)


def _few_brokers(wanted: Wanted) -> tuple[str, ...]:
    if wanted.brokers >= wanted.replication:
        return ()
    return (f"must be created with {wanted.replication} copies, brokers are {wanted.brokers}",)


def _replication_refusals(found: Found, least: int) -> list[str]:
    if found.replication >= least:
        return []
    return [
        f"replication must be at least {least}, is {found.replication}; copies are added by "
        "Kafka's own kafka-reassign-partitions, which says what it moves"
    ]


def _is_accepted(setting: Setting, wanted: Wanted) -> bool:
    return _is_of_replay(setting) and wanted.shorter is Shorter.ACCEPTED


def _is_of_replay(setting: Setting) -> bool:
    """Return whether less than a setting asks for takes records that replay needs."""
    return setting.name in {RETENTION, RETENTION_BYTES} and setting.rule is not Rule.AT_MOST


def _refusal(setting: Setting, value: str, wanted: Wanted) -> str:
    """Return why a setting is not changed, or nothing where it may be."""
    if setting.name == "cleanup.policy" and "compact" in value and setting.value == "delete":
        return f"{setting.said(value)}; records may be gone already: look what took them first"
    if _is_of_replay(setting) and wanted.shorter is Shorter.REFUSED:
        return (
            f"{setting.said(value)}; longer takes disk: have it raised by --raise-retention, "
            "or accept it by --short-retention"
        )
    return ""

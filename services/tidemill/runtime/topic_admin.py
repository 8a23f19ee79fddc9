"""The topics of a cluster: what they are like, and how they are created and changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not said so
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from tidemill.contracts.topic_settings import (
    INTERNAL,
    PRODUCTION_REPLICATION,
    Found,
    Verdict,
    judge,
    judge_internal,
)
from tidemill.contracts.topics import TOPICS
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.clients import KafkaError, kafka_error
from tidemill.runtime.reach import reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from confluent_kafka.admin._metadata import ClusterMetadata, TopicMetadata

    from tidemill.contracts.topic_settings import Wanted

_ANSWER_S = 30.0
# The client itself says that nobody answered, a moment after that time.
_SAID_S = 30.0
_VISIBLE_S = 30.0
_POLL_S = 0.1

# Which of the broker's settings its own topics are created with, by topic.
_CREATED_WITH = {
    "__consumer_offsets": "offsets.topic.replication.factor",
    "__transaction_state": "transaction.state.log.replication.factor",
}


class TopicAdmin:
    """Administers the topics of one cluster.

    Raises:
        ConfigError: The cluster does not answer, or refuses.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, str]) -> None:
        self._admin, cluster = reach(bootstrap, properties)
        deadline = time.monotonic() + _VISIBLE_S
        while not cluster.brokers and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            cluster = self._admin.list_topics(timeout=_ANSWER_S)
        self.brokers = len(cluster.brokers)
        self._broker = next(iter(cluster.brokers), 0)
        self._topics = _whole(cluster)

    def verdicts(self, wanted: Wanted) -> list[Verdict]:
        """Return what is to be done about each of the mesh's topics, and in production Kafka's."""
        internal = INTERNAL if wanted.is_production else ()
        here = [name for name in (*(t.name for t in TOPICS), *internal) if name in self._topics]
        settings = self._settings(ResourceType.TOPIC, here)
        found = {name: self._found(name, settings[name]) for name in here}
        verdicts = [judge(topic, found.get(topic.name), wanted) for topic in TOPICS]
        for name in internal:
            if name in found:
                verdicts.append(judge_internal(name, found[name]))
            else:
                verdicts.append(self._judge_unborn(name))
        return verdicts

    def _found(self, name: str, settings: Mapping[str, str]) -> Found:
        partitions = self._topics[name].partitions.values()
        return Found(len(partitions), min(len(p.replicas) for p in partitions), settings)

    def _judge_unborn(self, name: str) -> Verdict:
        """Judge a topic that Kafka creates on first use, by what it will be created with."""
        broker = str(self._broker)
        setting = _CREATED_WITH[name]
        value = int(self._settings(ResourceType.BROKER, [broker])[broker][setting])
        if value >= PRODUCTION_REPLICATION:
            return Verdict(name)
        reason = (
            f"does not exist yet; the broker's {setting} must be at least "
            f"{PRODUCTION_REPLICATION}, was {value}"
        )
        return Verdict(name, refusals=(reason,))

    def _settings(self, kind: ResourceType, names: Sequence[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(kind, name) for name in names]
        if not resources:
            return {}
        futures = self._admin.describe_configs(resources, request_timeout=_ANSWER_S)
        return {
            resource.name: {
                name: entry.value
                for name, entry in _answer(future, f"describe {resource.name}").items()
                if entry.value is not None
            }
            for resource, future in futures.items()
        }

    def execute(self, verdicts: Iterable[Verdict], wanted: Wanted) -> None:
        """Create what is missing and change what may be changed; wait until all can see it."""
        missing, changed = [], []
        for verdict in verdicts:
            if verdict.create is not None:
                missing.append(_new_topic(verdict.name, verdict.create, wanted))
            elif verdict.changes:
                changed.append(_alteration(verdict))
        if missing:
            self._create(missing)
        if changed:
            altered = self._admin.incremental_alter_configs(changed, request_timeout=_ANSWER_S)
            for resource, future in altered.items():
                _answer(future, f"change {resource.name}")
        if missing or changed:
            self._await(wanted)

    def _create(self, missing: Sequence[NewTopic]) -> None:
        """Create topics; a broker that stood still takes none until it is let in again."""
        deadline = time.monotonic() + _VISIBLE_S
        left = {topic.topic: topic for topic in missing}
        while left:
            futures = self._admin.create_topics([*left.values()], request_timeout=_ANSWER_S)
            for name, future in futures.items():
                if not _is_locked_out(future) or time.monotonic() > deadline:
                    _answer(future, f"create {name}", passing=KafkaError.TOPIC_ALREADY_EXISTS)
                    del left[name]
            time.sleep(_POLL_S if left else 0.0)

    def _await(self, wanted: Wanted) -> None:
        deadline = time.monotonic() + _VISIBLE_S
        while True:
            self._topics = _whole(self._admin.list_topics(timeout=_ANSWER_S))
            hidden = [topic.name for topic in TOPICS if not self._is_led(topic.name)]
            hidden += [v.name for v in self.verdicts(wanted) if v.state != "ok"]
            if not hidden:
                return
            if time.monotonic() > deadline:
                reason = f"must show within {_VISIBLE_S:g} s what was done, does not for"
                raise ConfigError([f"the cluster {reason} {', '.join(hidden)}"])
            time.sleep(_POLL_S)

    def _is_led(self, name: str) -> bool:
        topic = self._topics.get(name)
        return topic is not None and all(p.leader >= 0 for p in topic.partitions.values())


def _whole(cluster: ClusterMetadata) -> dict[str, TopicMetadata]:
    """Return the topics by name, without those that are just coming or going."""
    return {name: topic for name, topic in cluster.topics.items() if topic.partitions}


def _new_topic(name: str, settings: Mapping[str, str], wanted: Wanted) -> NewTopic:
    return NewTopic(
        name,
        num_partitions=wanted.partitions,
        replication_factor=wanted.replication,
        config=dict(settings),
    )


def _alteration(verdict: Verdict) -> ConfigResource:
    entries = [
        ConfigEntry(change.setting, change.wanted, incremental_operation=AlterConfigOpType.SET)
        for change in verdict.changes
    ]
    return ConfigResource(ResourceType.TOPIC, verdict.name, incremental_configs=entries)


def _is_locked_out(future: Any) -> bool:  # Any: untyped client
    """Say whether the brokers that there are were too few to hold a topic."""
    error = future.exception(timeout=_ANSWER_S + _SAID_S)
    few = KafkaError.INVALID_REPLICATION_FACTOR
    return isinstance(error, KafkaException) and kafka_error(error).code() == few


def _answer(future: Any, what: str, *, passing: int | None = None) -> Any:  # Any: untyped client
    try:
        return future.result(timeout=_ANSWER_S + _SAID_S)
    except KafkaException as error:
        found = kafka_error(error)
        if found.code() == passing:
            return None
        reason = f"the cluster must let this user {what}, it said {found.name()}: {found.str()}"
        raise ConfigError([reason]) from error

"""Whether a broker answers, and which topics it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError
    from confluent_kafka.admin._metadata import ClusterMetadata

_TIMEOUT_S = 10.0


def partition_counts(bootstrap: str, properties: Mapping[str, str]) -> dict[str, int]:
    """Return the number of partitions of every topic at `bootstrap`.

    Raises:
        ConfigError: Nobody answers, or `properties` are not librdkafka settings.
    """
    _, cluster = reach(bootstrap, properties)
    return {name: len(topic.partitions) for name, topic in cluster.topics.items()}


def reach(bootstrap: str, properties: Mapping[str, str]) -> tuple[AdminClient, ClusterMetadata]:
    """Return a client that administers the cluster at `bootstrap`, and what the cluster is.

    Raises:
        ConfigError: Nobody answers, or `properties` are not librdkafka settings.
    """
    seen: list[KafkaError] = []
    settings: dict[str, Any] = {  # Any: librdkafka's values
        **properties,
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "error_cb": seen.append,
    }
    try:
        admin = AdminClient(settings)
    except (KafkaException, ValueError, TypeError) as error:
        raise ConfigError([f"-X: must be librdkafka settings, found {error}"]) from error
    try:
        return admin, admin.list_topics(timeout=_TIMEOUT_S)
    except KafkaException as error:
        said = "; ".join(dict.fromkeys(each.str() for each in seen)) or str(error)
        reason = f"must answer within {_TIMEOUT_S:g} s, found: {said}"
        raise ConfigError([f"the broker at {bootstrap} {reason}"]) from error


def topic_problems(wanted: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return which topics are missing or have another number of partitions."""
    problems = []
    for name, count in wanted.items():
        if name not in found:
            problems.append(f"{name}: must exist; create it by `tidemill topics --execute`")
        elif found[name] != count:
            problems.append(
                f"{name}: must have {count} partitions as the definition says, has {found[name]};"
                " changing a count is a migration"
            )
    return problems

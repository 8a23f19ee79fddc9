"""Topics of a real broker, made and deleted so that whoever asks next is told so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._metadata import TopicMetadata
    from confluent_kafka.cimpl import NewTopic

WITHIN_S = 180.0
POLL_S = 0.05


def create_topics(admin: AdminClient, topics: Iterable[NewTopic]) -> None:
    """Create topics and wait until the broker tells their leaders.

    Creating returns when the controller has written the topics down; the broker, which
    follows the controller, may still say for a while that it does not know them. A broker that
    stood still for longer than its session is let in again a moment later: until then it takes
    no topic.
    """
    deadline = time.monotonic() + WITHIN_S
    left = {topic.topic: topic for topic in topics}
    names = tuple(left)
    while left:
        futures = admin.create_topics(list(left.values()), request_timeout=WITHIN_S)
        errors = {name: future.exception(WITHIN_S) for name, future in futures.items()}
        for name, error in errors.items():
            if error is None:
                del left[name]
            elif not _is_locked_out(error) or time.monotonic() > deadline:
                raise error
        time.sleep(POLL_S if left else 0.0)
    await_topics(admin, names)


def await_topics(admin: AdminClient, names: Iterable[str]) -> None:
    """Wait until the broker tells the leaders of these topics."""
    deadline = time.monotonic() + WITHIN_S
    hidden = set(names)
    while hidden := hidden - _led(admin, deadline):
        assert time.monotonic() < deadline, f"the broker must tell of {sorted(hidden)}"
        time.sleep(POLL_S)


def delete_topics(admin: AdminClient, names: Iterable[str]) -> None:
    """Delete those of the topics that exist and wait until the broker tells of none of them."""
    wanted = set(names)
    deadline = time.monotonic() + WITHIN_S
    if found := wanted & set(_told(admin, deadline)):
        for future in admin.delete_topics(sorted(found)).values():
            future.result(WITHIN_S)
    while left := wanted & set(_told(admin, deadline)):
        assert time.monotonic() < deadline, f"the broker must forget {sorted(left)}"
        time.sleep(POLL_S)


def _is_locked_out(error: BaseException) -> bool:
    code = error.args[0].code() if isinstance(error, KafkaException) else None
    return bool(code == KafkaError.INVALID_REPLICATION_FACTOR)


def _told(admin: AdminClient, deadline: float) -> dict[str, TopicMetadata]:
    """Return the topics that the broker tells of, once it answers."""
    while True:
        try:
            return admin.list_topics(timeout=WITHIN_S).topics
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


def _led(admin: AdminClient, deadline: float) -> set[str]:
    return {
        name
        for name, topic in _told(admin, deadline).items()
        if topic.error is None
        and topic.partitions
        and all(p.leader >= 0 for p in topic.partitions.values())
    }

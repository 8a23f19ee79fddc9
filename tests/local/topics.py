"""Topics of a real broker, made and deleted so that whoever asks next is told so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # exported, not said so

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._metadata import TopicMetadata
    from confluent_kafka.cimpl import NewTopic

WITHIN_S = 180.0
POLL_S = 0.05


def create_topics(admin: AdminClient, topics: Iterable[NewTopic]) -> None:
    """Create topics and wait until the broker tells their leaders, and these answer.

    Creating returns when the controller has written the topics down; the broker, which
    follows the controller, may still say for a while that it does not know them, and then that
    it does not lead them. A broker that stood still for longer than its session is let in again a
    moment later: until then it takes no topic.
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
    """Wait until the broker tells the leaders of these topics, and these answer."""
    deadline = time.monotonic() + WITHIN_S
    wanted = set(names)
    hidden = wanted
    while hidden := hidden - _led(admin, deadline):
        assert time.monotonic() < deadline, f"the broker must tell of {sorted(hidden)}"
        time.sleep(POLL_S)
    while silent := _silent(admin, wanted):
        assert time.monotonic() < deadline, f"the broker must lead {silent}"
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


def _silent(admin: AdminClient, names: Iterable[str]) -> list[str]:
    """Return those partitions of the topics whose leaders do not say where they end."""
    topics = _told(admin, time.monotonic() + WITHIN_S)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # as its module is
    asked = {
        TopicPartition(name, number): latest
        for name in names
        for number in (topics[name].partitions if name in topics else [0])
    }
    answers = admin.list_offsets(asked, request_timeout=WITHIN_S) if asked else {}
    silent = []
    for where, answer in answers.items():
        try:
            answer.result(WITHIN_S)
        except KafkaException as error:
            silent.append(f"{where.topic}-{where.partition}: {error}")
    return silent

"""Topics of a real broker, made and deleted so that whoever asks next is told so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # exported, not said so

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

WITHIN_S = 180.0
POLL_S = 0.05


def create_topics(admin: AdminClient, topics: Iterable[NewTopic]) -> None:
    """Create topics and wait until the broker tells their leaders, and these answer.

    Creating returns when the controller has written the topics down; the broker, which
    follows the controller, may still say for a while that it does not know them, and then that
    it does not lead them.
    """
    futures = admin.create_topics(list(topics), request_timeout=WITHIN_S)
    for future in futures.values():
        future.result(WITHIN_S)
    await_topics(admin, futures)


def await_topics(admin: AdminClient, names: Iterable[str]) -> None:
    """Wait until the broker tells the leaders of these topics, and these answer."""
    deadline = time.monotonic() + WITHIN_S
    wanted = set(names)
    hidden = wanted
    while hidden := {name for name in hidden if not _is_led(admin, name)}:
        assert time.monotonic() < deadline, f"the broker must tell of {sorted(hidden)}"
        time.sleep(POLL_S)
    while silent := _silent(admin, wanted):
        assert time.monotonic() < deadline, f"the broker must lead {silent}"
        time.sleep(POLL_S)


def delete_topics(admin: AdminClient, names: Iterable[str]) -> None:
    """Delete those of the topics that exist and wait until the broker tells of none of them."""
    wanted = set(names)
    deadline = time.monotonic() + WITHIN_S
    if found := wanted & set(admin.list_topics(timeout=WITHIN_S).topics):
        for future in admin.delete_topics(sorted(found)).values():
            future.result(WITHIN_S)
    while left := wanted & set(admin.list_topics(timeout=WITHIN_S).topics):
        assert time.monotonic() < deadline, f"the broker must forget {sorted(left)}"
        time.sleep(POLL_S)


def _is_led(admin: AdminClient, name: str) -> bool:
    topic = admin.list_topics(timeout=WITHIN_S).topics.get(name)
    return (
        topic is not None
        and topic.error is None
        and bool(topic.partitions)
        and all(p.leader >= 0 for p in topic.partitions.values())
    )


def _silent(admin: AdminClient, names: Iterable[str]) -> list[str]:
    """Return those partitions of the topics whose leaders do not say where they end."""
    topics = admin.list_topics(timeout=WITHIN_S).topics
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

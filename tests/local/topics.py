"""Topics of a real broker, made and deleted so that whoever asks next is told so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

WITHIN_S = 180.0
POLL_S = 0.05


def create_topics(admin: AdminClient, topics: Iterable[NewTopic]) -> None:
    """Create topics and wait until the broker tells their leaders.

    Creating returns when the controller has written the topics down; the broker, which
    follows the controller, may still say for a while that it does not know them.
    """
    futures = admin.create_topics(list(topics), request_timeout=WITHIN_S)
    for future in futures.values():
        future.result(WITHIN_S)
    await_topics(admin, futures)


def await_topics(admin: AdminClient, names: Iterable[str]) -> None:
    """Wait until the broker tells the leaders of these topics."""
    deadline = time.monotonic() + WITHIN_S
    hidden = set(names)
    while hidden := {name for name in hidden if not _is_led(admin, name)}:
        assert time.monotonic() < deadline, f"the broker must tell of {sorted(hidden)}"
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

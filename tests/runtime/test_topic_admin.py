"""What a cluster answers to who administers its topics."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.topic_settings import Wanted
from tidemill.contracts.topics import TOPICS
from tidemill.kernel.errors import ConfigError
from tidemill.runtime import topic_admin
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.topic_admin import TopicAdmin

if TYPE_CHECKING:
    from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # exported
    from confluent_kafka.cimpl import NewTopic

ANSWER_S = 0.05
WANTED = Wanted(1, 1, 1)
FENCED = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "all are fenced"))


class Cluster:
    """Its one broker is let in again when it was asked a few times, in vain."""

    def __init__(self, in_vain: int) -> None:
        self.topics: dict[str, Any] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._in_vain = in_vain

    @property
    def brokers(self) -> dict[int, object]:
        return {} if self._is_in_vain() else {1: object()}

    def list_topics(self, *, timeout: float) -> Cluster:
        assert timeout > 0
        return self

    def create_topics(
        self, topics: list[NewTopic], *, request_timeout: float
    ) -> dict[str, Future[None]]:
        assert request_timeout > 0
        futures: dict[str, Future[None]] = {}
        for topic in topics:
            future = futures[topic.topic] = Future()
            if self._is_in_vain():
                future.set_exception(FENCED)
            else:
                part = SimpleNamespace(leader=1, replicas=[1])
                self.topics[topic.topic] = SimpleNamespace(partitions={0: part})
                values = {n: SimpleNamespace(value=v) for n, v in (topic.config or {}).items()}
                self._settings[topic.topic] = values
                future.set_result(None)
        return futures

    def describe_configs(
        self, resources: list[ConfigResource], *, request_timeout: float
    ) -> dict[ConfigResource, Future[dict[str, Any]]]:
        assert request_timeout > 0
        futures: dict[ConfigResource, Future[dict[str, Any]]] = {r: Future() for r in resources}
        for resource, future in futures.items():
            future.set_result(self._settings[resource.name])
        return futures

    def lock_out(self, in_vain: int) -> None:
        self._in_vain = in_vain

    def _is_in_vain(self) -> bool:
        self._in_vain -= 1
        return self._in_vain >= 0


def administers(cluster: Cluster, patch: pytest.MonkeyPatch) -> TopicAdmin:
    patch.setattr(topic_admin, "reach", lambda *_: (cluster, cluster))
    patch.setattr(topic_admin, "_POLL_S", 0.0)
    return TopicAdmin("nowhere", {})


def test_a_cluster_that_does_not_answer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_admin, "_ANSWER_S", ANSWER_S)
    future: Future[Any] = Future()
    late = KafkaException(KafkaError(KafkaError._TIMED_OUT, "nobody answered"))
    timer = threading.Timer(4 * ANSWER_S, future.set_exception, [late])
    timer.start()
    with pytest.raises(ConfigError, match="create it, it said _TIMED_OUT: nobody answered"):
        topic_admin._answer(future, "create it")
    timer.join()


def test_a_broker_that_stood_still_is_waited_for_and_then_takes_every_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(in_vain=7)
    admin = administers(cluster, monkeypatch)
    assert admin.brokers == 1

    cluster.lock_out(7)
    admin.execute(admin.verdicts(WANTED), WANTED)

    assert cluster.topics.keys() == {topic.name for topic in TOPICS}
    assert [verdict.state for verdict in admin.verdicts(WANTED)] == ["ok"] * len(TOPICS)


def test_a_broker_that_is_never_let_in_again_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(in_vain=0)
    admin = administers(cluster, monkeypatch)
    monkeypatch.setattr(topic_admin, "_VISIBLE_S", ANSWER_S)

    cluster.lock_out(10**9)
    with pytest.raises(ConfigError, match="said INVALID_REPLICATION_FACTOR: all are fenced"):
        admin.execute(admin.verdicts(WANTED), WANTED)

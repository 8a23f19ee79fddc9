"""Lag: told once a second, from what is known without asking."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.topics import create_topics
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.lag import LagWatch
from tidemill.runtime.lanes import Lane
from tidemill.runtime.membership import Membership
from tidemill.runtime.observer import Silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.kernel.records import Emit, Message
    from tidemill.local.kafka import EmbeddedKafka

PATIENCE_S = 180.0
WALL_S = 1_767_225_600.0


class Told(NamedTuple):
    topic: str
    partition: int
    records: int
    age_s: float


class Listener(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def lagging(self, topic: str, partition: int, *, records: int, position_age_s: float) -> None:
        self.told.append(Told(topic, partition, records, position_age_s))


class Idle:
    """A task that is never used."""

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        raise AssertionError

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        raise AssertionError


def watch(listener: Listener, ends: Mapping[str, int]) -> LagWatch:
    return LagWatch(lambda topic, _: ends.get(topic), listener, wall=lambda: WALL_S)


def lane(**fields: object) -> Lane:
    made = Lane(3, 0.0, task=Idle(), positions={"in": 40})
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_lag_is_what_is_known_beyond_the_position_and_the_age_of_what_was_applied() -> None:
    listener = Listener()

    watch(listener, {"in": 100}).look([lane(applied_ms={"in": int(WALL_S * 1000) - 2500})], 1.0)

    assert listener.told == [Told("in", 3, 60, 2.5)]


def test_read_to_the_end_is_no_lag_whatever_stands_behind_the_last_stable_offset() -> None:
    listener = Listener()

    watch(listener, {"in": 100}).look([lane(ended={"in"}, applied_ms={"in": 0})], 1.0)

    assert listener.told == [Told("in", 3, 0, 0.0)]


def test_before_the_first_record_the_age_is_not_known() -> None:
    listener = Listener()

    watch(listener, {"in": 100}).look([lane()], 1.0)

    assert listener.told[0].records == 60
    assert math.isnan(listener.told[0].age_s)


def test_a_record_from_a_clock_ahead_of_ours_has_no_negative_age() -> None:
    listener = Listener()

    watch(listener, {"in": 41}).look([lane(applied_ms={"in": int(WALL_S * 1000) + 500})], 1.0)

    assert listener.told == [Told("in", 3, 1, 0.0)]


def test_nothing_is_told_where_no_end_is_known_or_the_state_does_not_stand() -> None:
    listener = Listener()

    watch(listener, {}).look([lane()], 1.0)
    watch(listener, {"in": 100}).look([lane(task=None)], 1.0)

    assert listener.told == []


def test_lag_is_told_once_a_second() -> None:
    listener = Listener()
    watching = watch(listener, {"in": 100})

    for now in (10.0, 10.5, 10.99, 11.0, 11.2):
        watching.look([lane()], now)

    assert len(listener.told) == 2


@pytest.mark.broker
def test_the_end_is_known_from_what_was_fetched_on_a_real_broker(broker: EmbeddedKafka) -> None:
    topic = f"lag{time.monotonic_ns()}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    create_topics(admin, [NewTopic(topic, 1, 1)])
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for _ in range(50):
        producer.produce(topic, b"v", partition=0)
    assert producer.flush(PATIENCE_S) == 0
    member = Membership(
        KafkaClients(broker.bootstrap), [topic], group=topic, instance="0", expected=1
    )

    before = member.known_end(topic, 0)
    member.fetch({(topic, 0): 0})
    deadline = time.monotonic() + PATIENCE_S
    read: list[object] = []
    while not read and time.monotonic() < deadline:
        read += [message for message in member.poll(10, 0.5) if message.error() is None]
    after = member.known_end(topic, 0)
    member.close()

    assert before is None
    assert 0 < len(read) <= 10
    assert after == 50

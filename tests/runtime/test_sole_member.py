"""Acting for a group that must have no worker."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import ConsumerGroupState

from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.kernel.errors import ConfigError, DependencyUnavailableError, InvariantError
from tidemill.kernel.records import Emit
from tidemill.runtime import sole_member
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.membership import Membership
from tidemill.runtime.sole_member import SoleMember, members
from tidemill.testing.cluster import MemoryCluster

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidemill.runtime.clients import RawMessage
    from tidemill.testing.consumers import MemoryConsumer
    from tidemill.testing.producers import MemoryProducer

INPUTS = (UPDATES, EVENTS)
GROUP = "tidemill.sample.learner"
ENTRY = Emit(LEDGER, 0, b"learner|0", b"entry")
OFFSETS = {(EVENTS, 0): 7, (UPDATES, 0): 2}


class Beside:
    """Clients whose members let a worker turn whenever they turn themselves."""

    def __init__(self, cluster: MemoryCluster, worker: Membership) -> None:
        self._cluster = cluster
        self._worker = worker

    def member(self, group: str, instance: str) -> MemoryConsumer:
        member, worker = self._cluster.member(group, instance), self._worker
        consume = member.consume

        def both(num_messages: int, timeout: float) -> list[RawMessage]:
            worker.poll(1, 0.0)
            return consume(num_messages, timeout)

        member.consume = both  # type: ignore[method-assign]  # the other one turns, too
        return member

    def reader(self) -> MemoryConsumer:
        return self._cluster.reader()

    def producer(self, transactional_id: str) -> MemoryProducer:
        return self._cluster.producer(transactional_id)


def topics() -> MemoryCluster:
    return MemoryCluster({UPDATES: 2, EVENTS: 2, LEDGER: 2})


def sole(cluster: MemoryCluster, clients: Any = None) -> SoleMember:
    return SoleMember(
        clients or cluster, INPUTS, group=GROUP, name="skip", partitions=2, clock=cluster.now
    )


def worker(cluster: MemoryCluster) -> Membership:
    return Membership(cluster, INPUTS, group=GROUP, instance="0", expected=2)


def test_records_and_offsets_are_written_as_one() -> None:
    cluster = topics()
    member = sole(cluster)
    member.join()

    member.commit([ENTRY], OFFSETS)

    assert [message.value for message in cluster.read(LEDGER)] == [b"entry"]
    assert member.committed(0) == {EVENTS: 7, UPDATES: 2}
    member.close()


def test_positions_are_read_without_joining() -> None:
    cluster = topics()
    member = sole(cluster)

    assert member.committed(1) == {EVENTS: None, UPDATES: None}
    assert not cluster.group(GROUP).members


def test_a_worker_that_shares_the_group_is_in_the_way() -> None:
    cluster = topics()
    other = worker(cluster)
    other.join()
    other.poll(1, 0.0)

    with pytest.raises(ConfigError, match=r"gave some partitions to others: stop the workers"):
        sole(cluster, Beside(cluster, other)).join()


def test_a_worker_that_comes_meanwhile_makes_it_fail_and_nothing_is_written() -> None:
    cluster = topics()
    member = sole(cluster)
    member.join()
    other = worker(cluster)
    other.join()

    def work() -> Generator[None, None, None]:
        other.poll(1, 0.0)
        cluster.advance(1.5)
        yield
        yield

    member.drive(work)

    with pytest.raises(ConfigError, match="ASSIGNMENT_CHANGED"):
        member.commit([ENTRY], OFFSETS)
    assert cluster.read(LEDGER) == []


def test_work_starts_again_while_the_broker_does_not_show_what_was_committed() -> None:
    tries = iter(range(3))

    def work() -> Generator[None, None, str]:
        yield
        if next(tries) < 2:
            raise DependencyUnavailableError("entry", retry_after_s=0.1)
        return "done"

    assert sole(topics()).drive(work) == "done"


def test_what_stays_hidden_halts() -> None:
    cluster = topics()

    def work() -> Generator[None, None, str]:
        yield
        cluster.advance(20.0)
        raise DependencyUnavailableError("entry", retry_after_s=0.1)

    with pytest.raises(InvariantError, match="must be visible"):
        sole(cluster).drive(work)


def described(patch: pytest.MonkeyPatch, *codes: int) -> deque[int]:
    """Let a cluster answer with errors, then with a group of one; return the errors left."""
    left = deque(codes)
    worker = SimpleNamespace(group_instance_id="7", client_id="any")
    group = SimpleNamespace(state=ConsumerGroupState.STABLE, members=[worker])

    def describe(names: list[str], *, request_timeout: float) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        if left:
            answer.set_exception(KafkaException(KafkaError(left.popleft(), "planned")))
        else:
            answer.set_result(group)
        return dict.fromkeys(names, answer)

    admin = SimpleNamespace(describe_consumer_groups=describe)
    patch.setattr(sole_member, "reach", lambda *_: (admin, None))
    patch.setattr(sole_member, "_BREATH_S", 0.0)
    return left


def test_a_coordinator_that_has_just_come_up_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = described(
        monkeypatch,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    )

    assert members("any:1", {}, GROUP) == ["7"]
    assert not left


def test_a_coordinator_that_never_comes_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    described(monkeypatch, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    monkeypatch.setattr(sole_member, "_SETTLED_S", -1.0)

    with pytest.raises(ConfigError, match="it said COORDINATOR_LOAD_IN_PROGRESS: planned"):
        members("any:1", {}, GROUP)


def test_a_group_that_this_user_may_not_describe_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = described(monkeypatch, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._TRANSPORT)

    with pytest.raises(ConfigError, match="must let this user describe it"):
        members("any:1", {}, GROUP)
    assert len(left) == 1

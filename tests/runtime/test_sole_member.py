"""Acting for a group that must have no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.kernel.errors import ConfigError, DependencyUnavailableError, InvariantError
from tidemill.kernel.records import Emit
from tidemill.runtime.membership import Membership
from tidemill.runtime.sole_member import SoleMember
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

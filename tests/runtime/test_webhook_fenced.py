"""A webhook whose place in its group was lost takes it again; two of one name are told so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime.test_webhook import WITHIN_S, Member, Told
from tidemill.kernel.errors import InvariantError
from tidemill.runtime.clients import Failures, KafkaError, KafkaException
from tidemill.runtime.renewals import RENEWED_AT_MOST
from tidemill.runtime.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.clients import TopicPartition

FATAL = KafkaError(KafkaError._FATAL, "planned: fenced", fatal=True)
BY_NAME = KafkaError(KafkaError.FENCED_INSTANCE_ID, "planned: fenced", fatal=True)


class Failed:
    """What a poll gives in the place of a message."""

    def error(self) -> KafkaError:
        return FATAL


class FencedInPoll(Member):
    """Its client is told by the broker that another took its place."""

    def consume(self, _: int, timeout_s: float) -> list[object]:
        super().consume(_, timeout_s)
        return [Failed()]


class FencedInCommit(Member):
    """It learns that another took its place when it commits."""

    def commit(self, **_: object) -> None:
        raise KafkaException(BY_NAME)


class FencedInAsking(Member):
    """It learns that when it asks what is committed."""

    def committed(self, *_: object) -> list[TopicPartition]:
        raise KafkaException(BY_NAME)


class FencedInAssigning(Member):
    """It learns that when it has asked, and would begin."""

    def assign(self, _: object) -> None:
        raise KafkaException(FATAL)


FENCED = [FencedInPoll, FencedInCommit, FencedInAsking, FencedInAssigning]


class Clients:
    """Makes the planned members, in order."""

    def __init__(self, *members: Member) -> None:
        self.waiting = list(members)
        self.failures = Failures()

    def member(self, *_: str) -> Member:
        return self.waiting.pop(0)


def follow(clients: Any, failed: Callable[[BaseException], None]) -> Webhook:  # Any: a fake
    url = "http://127.0.0.1:9/"
    return Webhook(url, clients, group="g", instance="0", observer=Told(), failed=failed)


@pytest.mark.parametrize("fenced", FENCED)
def test_a_place_that_was_lost_is_taken_again_and_gone_on_from_there(fenced: type[Member]) -> None:
    first, second = fenced(3, span=(0, 9)), Member(4, span=(0, 9))
    failures: list[BaseException] = []
    with follow(Clients(first, second), failures.append):
        assert second.assigned.wait(WITHIN_S)
    assert first.is_closed
    assert second.is_closed
    assert [part.offset for part in second.starts] == [4]
    assert failures == []


def test_what_an_old_client_still_says_takes_no_second_place() -> None:
    first, second = FencedInPoll(3, span=(0, 9)), Member(4, span=(0, 9))
    clients = Clients(first, second)
    clients.failures(FATAL)
    with follow(clients, lambda _: None):
        assert second.assigned.wait(WITHIN_S)
    assert clients.waiting == []


def test_two_webhooks_of_one_name_are_told_so() -> None:
    clients = Clients(*(FencedInPoll(3, span=(0, 9)) for _ in range(RENEWED_AT_MOST + 1)))
    webhook = follow(clients, lambda _: None)
    with pytest.raises(InvariantError, match="instance 0 of group g must belong to one"), webhook:
        webhook._thread.join(WITHIN_S)
    assert clients.waiting == []

"""Our parts of Faust's driver, where a cluster is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NotCoordinatorError,
)
from aiokafka.protocol.commit import (
    OffsetFetchRequest,
    OffsetFetchRequest_v3,
    OffsetFetchResponse_v3,
)
from faust.exceptions import NotReady
from faust.types import TP

from tidemill.runtime import faust_driver
from tidemill.runtime.faust_batches import Batches
from tidemill.runtime.faust_driver import CommittedConsumer, IdempotentProducer, Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HERE = TP("asked", 0)


class Thread:
    """Answers as a coordinator does: with what was committed, after some failures."""

    group_id = "g"

    def __init__(self, *failures: KafkaError | int, offset: int = 7) -> None:
        self.failures = list(failures)
        self.deaths = 0
        self._offset = offset
        self._coordinator = self

    def _ensure_consumer(self) -> Thread:
        return self

    async def ensure_coordinator_known(self) -> None: ...

    def coordinator_dead(self) -> None:
        self.deaths += 1

    async def _send_req(self, question: OffsetFetchRequest) -> OffsetFetchResponse_v3:
        asked = question.build(OffsetFetchRequest_v3)
        assert (asked.consumer_group, asked.topics) == ("g", [(HERE.topic, [HERE.partition])])
        failure = self.failures.pop(0) if self.failures else 0
        if isinstance(failure, KafkaError):
            raise failure
        found = [] if failure else [(HERE.topic, [(HERE.partition, self._offset, "", 0)])]
        return OffsetFetchResponse_v3(0, found, failure)

    @staticmethod
    async def call_thread(
        call: Callable[[Thread, TP], Awaitable[int | None]], to: Thread, tp: TP
    ) -> int | None:
        return await call(to, tp)


def asked(thread: Thread) -> int | None:
    """Return what a consumer is told whose thread is this."""
    consumer: Any = object.__new__(CommittedConsumer)  # Any: Faust's types are partial
    consumer._thread = thread
    found: int | None = asyncio.run(consumer.committed_offset(HERE))
    return found


def test_a_coordinator_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_driver, "ASK_AGAIN_S", 0.0)

    assert asked(Thread(CoordinatorNotAvailableError(), KafkaConnectionError())) == 7
    with pytest.raises(GroupAuthorizationFailedError):
        asked(Thread(GroupAuthorizationFailedError()))


def test_nothing_is_committed_where_the_coordinator_says_so_and_not_while_it_reads_its_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faust_driver, "ASK_AGAIN_S", 0.0)
    reading = Thread(CoordinatorLoadInProgressError.errno, NotCoordinatorError.errno)

    assert asked(reading) == 7
    assert reading.deaths == 1
    assert asked(Thread(CoordinatorLoadInProgressError.errno, offset=-1)) is None
    with pytest.raises(GroupAuthorizationFailedError):
        asked(Thread(GroupAuthorizationFailedError.errno))


def test_an_answer_that_leaves_the_partition_out_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mute(Thread):
        async def _send_req(self, question: OffsetFetchRequest) -> OffsetFetchResponse_v3:
            answer = await super()._send_req(question)
            self._send_req = super()._send_req  # type: ignore[method-assign]  # mute but once
            return OffsetFetchResponse_v3(0, [], answer.error_code)

    monkeypatch.setattr(faust_driver, "ASK_AGAIN_S", 0.0)

    assert asked(Mute()) == 7


class Client:
    """What is asked of aiokafka's producer."""

    def __init__(self, *, is_away: bool = False) -> None:
        self._closed = False
        self._sender = self._message_accumulator = self
        self.is_away = is_away
        self.done: list[str] = []
        self._batches = {HERE: ["again"]}
        self._pending_batches = {"under way"}

    async def start(self) -> None:
        if self.is_away:
            raise KafkaConnectionError

    async def flush(self) -> None:
        if self.is_away:
            await asyncio.Event().wait()

    def fail_all(self, _: KafkaError) -> None:
        self.done += [f"failed {batch}" for batch in sorted(self._pending_batches)]
        assert not self._batches

    async def stop(self) -> None:
        self._closed = True
        self.done.append("stopped")

    async def close(self) -> None:
        self.done.append("silenced")


def test_an_old_client_writes_no_more_before_a_new_one_begins() -> None:
    clients = [Client(is_away=True), Client()]
    producer: Any = object.__new__(IdempotentProducer)  # Any: Faust's types are partial
    first = producer._producer = Client()
    made = iter(clients)
    producer._new_producer = lambda: next(made)

    with pytest.raises(KafkaConnectionError):
        asyncio.run(producer.renew())
    assert first.done == ["silenced", "stopped"]
    assert producer._producer is first

    asyncio.run(producer.renew())
    assert first.done == ["silenced", "stopped"]
    assert clients[0].done == ["stopped"]
    assert producer._producer is clients[1]


def test_a_producer_that_stops_meanwhile_leaves_no_new_client_behind() -> None:
    producer: Any = object.__new__(IdempotentProducer)  # Any: Faust's types are partial
    producer._producer = Client()
    new = Client()
    producer._new_producer = lambda: new

    async def stop() -> None:
        producer._producer = None

    new.start = stop  # type: ignore[method-assign]  # as Faust stops it while it connects
    for _ in range(2):
        with pytest.raises(NotReady):
            asyncio.run(producer.renew())
    assert new.done == ["stopped"]


@pytest.mark.parametrize(
    ("is_away", "done"),
    [(True, ["silenced", "failed again", "failed under way", "stopped"]), (False, [])],
)
def test_what_nobody_acknowledges_is_let_go_at_the_end(*, is_away: bool, done: list[str]) -> None:
    producer: Any = object.__new__(IdempotentProducer)  # Any: Faust's types are partial
    producer._producer = client = Client(is_away=is_away)

    async def give_up_twice() -> None:
        await producer.give_up(0.01)
        await producer.give_up(0.01)

    asyncio.run(give_up_twice())
    assert client.done == done


class Watching:
    """Notes what it is asked to look after."""

    def __init__(self) -> None:
        self.looked: list[tuple[str, TP]] = []

    def verify_event_path(self, _: float, tp: TP) -> None:
        self.looked.append(("fetched and taken by streams", tp))

    def verify_recovery_event_path(self, _: float, tp: TP) -> None:
        self.looked.append(("fetched", tp))


def test_of_what_is_read_in_batches_nobody_is_told_that_streams_do_not_take_it() -> None:
    consumer: Any = object.__new__(CommittedConsumer)  # Any: Faust's types are partial
    consumer._thread = Watching()
    consumer.transport = object.__new__(Transport)
    consumer.transport.batches = Batches(frozenset({"many"}))
    many = TP("many", 0)
    consumer.verify_event_path(1.0, HERE)
    consumer.verify_event_path(1.0, many)
    assert consumer._thread.looked == [("fetched and taken by streams", HERE), ("fetched", many)]

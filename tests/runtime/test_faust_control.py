"""The order of records is kept by their positions, whatever Faust hands over."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest
from faust.types import TP

from tidemill.kernel.deciding import Handled, Noted
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.kernel.records import Emit, Message, Position
from tidemill.runtime import faust_asking, faust_writing
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.faust_app import Identity
from tidemill.runtime.faust_control import ControlApp
from tidemill.runtime.faust_driver import Connection
from tidemill.runtime.faust_service import BreathingLog, Stopping
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

ASKED, ANSWERS, TABLE = "asked", "answers", "deciders.table"
OTHER = "also"
HERE = TP(ASKED, 0)
NOW_MS = 1_800_000_000_000


class Counting:
    """Answers each record with its value and how many came before it."""

    def __init__(self, remembered: Mapping[bytes, bytes]) -> None:
        self.kept = dict(remembered)
        self.offsets = [int(value[1:]) for value in remembered.values() if value.startswith(b"@")]
        self.times_ms: list[int] = []
        self.shown: list[int] = []
        self.away = 0

    def decide(self, message: Message) -> Handled:
        if self.away:
            self.away -= 1
            raise DependencyUnavailableError("the world", retry_after_s=0.0)
        self.times_ms.append(message.timestamp_ms)
        key = f"0|{(message.value or b'').decode()}".encode()
        value = self.kept.get(key, f"{len(self.kept)}".encode())
        emits = [Emit(ANSWERS, 0, message.value, value)]
        return Handled(emits, key, value, is_repeated=key in self.kept)

    def note(self, messages: Sequence[Message]) -> Noted:
        """Take note of what begins with `-`, as one entry; in batches only."""
        plain = list(takewhile(lambda m: (m.value or b"").startswith(b"-"), messages))
        self.times_ms += [message.timestamp_ms for message in plain]
        self.shown.append(len(messages))
        entries = {b"0|noted": plain[-1].value or b""} if plain else {}
        return Noted(len(plain), entries)

    def keep(self, handled: Handled) -> None:
        assert handled.key is not None
        self.kept[handled.key] = handled.value

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def reached(self) -> Mapping[str, int]:
        return {ASKED: max(self.offsets, default=0)}


class Factory:
    name, table = "deciders", TABLE
    inputs: tuple[str, ...] = (ASKED,)
    from_end: frozenset[str] = frozenset()
    batched: frozenset[str] = frozenset()
    clock = ""

    def __init__(self) -> None:
        self.opened: list[Counting] = []
        self.away = 0
        self.make = Counting

    def valid(self, before: bytes, _: bytes) -> bytes:
        return before

    def open(self, partition: int, remembered: Mapping[bytes, bytes]) -> Counting:
        assert partition == 0
        self.opened.append(self.make(remembered))
        self.opened[-1].away = self.away
        return self.opened[-1]


class FromEnd(Factory):
    from_end = frozenset({ASKED})


class FakeConsumer:
    """What is asked of Faust's consumer."""

    def __init__(self, cluster: MemoryCluster, committed: int | None) -> None:
        self.done: dict[TP, int] = {}
        self.unacked: set[Any] = set()  # Any: Faust's messages
        self.flow_active = True
        self.app: Any = None  # Any: Faust's
        self._cluster = cluster
        self._committed = committed
        self.begun: dict[TP, int] = {}

    async def committed_offset(self, tp: TP) -> int | None:
        return self.begun.get(tp, self._committed)

    async def commit(self) -> None:
        self.begun = dict(self.done)

    def highwater(self, tp: TP) -> int:
        return self._cluster.log(tp.topic, tp.partition).stable_end

    async def position(self, tp: TP) -> int:
        return self.highwater(tp)


class Producer:
    """Writes to the cluster in memory; the first `failures` raise, the first `lost` fail later."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.failures: list[Exception] = []
        self.lost: list[Exception] = []
        self.away: list[Exception] = []
        self.renewed = 0
        self.order: list[str] = []
        self._cluster = cluster

    async def send(  # noqa: PLR0917 - Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        _: float | None,
        headers: Sequence[tuple[str, bytes]] | None,
    ) -> asyncio.Future[None]:
        if self.failures:
            raise self.failures.pop(0)
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost:
            sent.set_exception(self.lost.pop(0))
            return sent
        self.order.append(topic)
        self._cluster.append(topic, partition, value, key=key, headers=tuple(headers or ()))
        sent.set_result(None)
        return sent

    async def renew(self) -> None:
        if self.away:
            raise self.away.pop(0)
        self.renewed += 1


class Told:
    """Hears everything and keeps what tests ask."""

    def __init__(self) -> None:
        self.mended_entries: list[int] = []

    def turned(self, now: float) -> None: ...
    def assigned(self, partitions: Sequence[int]) -> None: ...
    def restored(self, partition: int, remembered: int, seconds: float, /) -> None: ...
    def mended(self, _: int, entries: int, /) -> None:
        self.mended_entries.append(entries)

    def handled(self, message: Message, handled: Handled, remembered: int, /) -> None: ...
    def noted(self, tp: TP, records: int, remembered: int, /) -> None: ...
    def lagging(self, topic: str, partition: int, records: int) -> None: ...
    def away(self, why: str) -> None: ...
    def back(self, seconds: float) -> None: ...


class Bench:
    """A control app around a cluster in memory."""

    def __init__(self, committed: int | None = None, factory: Factory | None = None) -> None:
        self.cluster = MemoryCluster(dict.fromkeys((ASKED, OTHER, ANSWERS, TABLE), 1))
        self.factory = factory or Factory()
        self.told = Told()
        self.control = ControlApp(
            self.factory,
            Connection("127.0.0.1:1", {}),
            Identity("group", "w0", 1),
            log=MemoryLog(self.cluster),
            observer=self.told,
            now=lambda: NOW_MS / 1000,
        )
        self.consumer = FakeConsumer(self.cluster, committed)
        self.producer = Producer(self.cluster)
        app = self.control.app
        app.consumer = self.consumer
        app.maybe_start_producer = self._started
        app.producer = self.producer
        app._assignment = {TP(topic, 0) for topic in (*self.factory.inputs, TABLE)}

    async def _started(self) -> Producer:
        return self.producer

    async def hand_over(self, offset: int) -> None:
        """Do as Faust does with the record at an offset."""
        log = self.cluster.log(ASKED, 0)
        (message,) = log.committed(offset, offset + 1)
        await self.control._reach(0, message)

    def answers(self) -> list[tuple[bytes | None, bytes | None]]:
        return [(message.key, message.value) for message in self.cluster.read(ANSWERS)]

    def ask(self, *values: str) -> None:
        for value in values:
            self.cluster.append(ASKED, 0, value.encode())


def run(bench: Bench, steps: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps(bench))


def test_records_that_were_passed_over_are_decided_first() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        bench.cluster.append_aborted(ASKED, 0, b"lost")
        bench.ask("c")
        await bench.hand_over(0)
        await bench.hand_over(4)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0"), (b"b", b"1"), (b"c", b"2")]
    assert bench.consumer.done == {HERE: 5}


def test_a_record_that_is_handed_over_again_causes_nothing() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        for offset in (0, 1, 0, 1):
            await bench.hand_over(offset)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0"), (b"b", b"1")]


def test_what_is_never_handed_over_is_read_from_the_log_and_markers_are_passed() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        bench.cluster.append_aborted(ASKED, 0, b"lost")
        await bench.control.catch_up()

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0"), (b"b", b"1")]
    assert bench.consumer.done == {HERE: 4}
    assert bench.control.lag() == {HERE: 0}


def test_a_partition_is_read_on_where_the_group_has_committed_it() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b", "c")
        await bench.hand_over(2)

    bench = Bench(committed=1)
    run(bench, steps)

    assert bench.answers() == [(b"b", b"0"), (b"c", b"1")]


def test_a_group_whose_offsets_expired_goes_on_with_what_it_remembers() -> None:
    async def steps(bench: Bench) -> None:
        bench.cluster.append(TABLE, 0, b"@1", key=b"0|b")
        bench.ask("a", "b", "c")
        await bench.hand_over(2)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"b", b"@1"), (b"c", b"1")]


@pytest.mark.parametrize(
    ("committed", "remembered", "why"),
    [
        (1, b"@0", "committed is offset 1, retained are 3 to 4: retention took records"),
        (1000, b"@0", "committed is offset 1000, retained are 3 to 4: the topic was made anew"),
        (None, b"@70", "remembered is offset 70, retained are 3 to 4: the topic was made anew"),
    ],
)
def test_where_the_records_that_come_next_are_gone_it_halts(
    committed: int | None, remembered: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faust_asking, "SHOWN_WITHIN_S", 0.0)

    async def steps(bench: Bench) -> None:
        bench.cluster.append(TABLE, 0, remembered, key=b"0|old")
        bench.ask("a", "b", "c", "d")
        bench.cluster.delete_records(ASKED, 0, 3)
        await bench.hand_over(3)

    with pytest.raises(InvariantError, match=why):
        run(Bench(committed), steps)


def test_a_decision_is_remembered_before_it_acts() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert bench.producer.order == [TABLE, ANSWERS]


def test_after_a_crash_between_both_the_same_is_caused_again() -> None:
    async def steps(bench: Bench) -> None:
        bench.cluster.append(TABLE, 0, b"7", key=b"0|a")
        bench.ask("a", "b")
        await bench.hand_over(0)
        await bench.hand_over(1)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"7"), (b"b", b"1")]
    assert bench.producer.order == [ANSWERS, TABLE, ANSWERS]
    assert bench.told.mended_entries == [1]


def test_what_is_away_is_asked_again_and_what_was_not_written_is_written_again() -> None:
    from aiokafka.errors import KafkaTimeoutError  # noqa: PLC0415 - untyped, here only

    async def steps(bench: Bench) -> None:
        bench.factory.away = 2
        bench.producer.failures = [KafkaTimeoutError(), KafkaTimeoutError()]
        bench.ask("a")
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]


@pytest.mark.parametrize("code", [KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT])
def test_a_cluster_that_does_not_say_what_a_topic_holds_is_asked_again(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    failures = [code, code]
    log = bench.control._asking._log
    span = log.span

    def failing(topic: str, partition: int) -> tuple[int, int]:
        if failures:
            raise KafkaException(KafkaError(failures.pop()))
        return span(topic, partition)

    monkeypatch.setattr(log, "span", failing)
    bench.control._asking._log = BreathingLog(log, Stopping())

    async def steps(bench: Bench) -> None:
        bench.ask("a")
        await bench.hand_over(0)

    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]
    assert not failures


def test_a_cluster_that_refuses_to_say_what_a_topic_holds_halts() -> None:
    class Refusing(MemoryLog):
        def span(self, topic: str, partition: int) -> tuple[int, int]:
            raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(InvariantError, match="must accept this worker"):
        BreathingLog(Refusing(Bench().cluster), Stopping()).span(ASKED, 0)


def test_a_producer_that_the_cluster_knows_no_more_is_replaced() -> None:
    from aiokafka.errors import (  # noqa: PLC0415 - as above
        KafkaConnectionError,
        OutOfOrderSequenceNumber,
    )

    async def steps(bench: Bench) -> None:
        bench.producer.failures = [OutOfOrderSequenceNumber()]
        bench.producer.away = [KafkaConnectionError()]
        bench.ask("a")
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]
    assert (bench.producer.renewed, bench.producer.away) == (1, [])


def test_what_one_record_causes_is_written_in_order_whatever_fails() -> None:
    from aiokafka.errors import KafkaTimeoutError  # noqa: PLC0415 - as above

    async def steps(bench: Bench) -> None:
        bench.ask("a")
        bench.producer.lost = [KafkaTimeoutError()]
        emits = [Emit(ANSWERS, 0, b"k", value) for value in (b"first", b"second")]
        await bench.control._writer.write(emits, Position(ASKED, 0, 0))

    bench = Bench()
    run(bench, steps)

    assert [value for _, value in bench.answers()] == [b"first", b"second"]


def test_a_record_that_is_not_acknowledged_for_long_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faust_writing, "TELL_AFTER_S", 0.001)
    bench = Bench()
    heard: list[str] = []

    async def steps(bench: Bench) -> None:
        late: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def failed(why: str) -> None:
            heard.append(why)
            if len(heard) == 3:
                late.set_result(None)

        async def send(*_: object) -> asyncio.Future[None]:
            return late

        monkeypatch.setattr(bench.producer, "send", send)
        monkeypatch.setattr(bench.control._outage, "failed", failed)
        monkeypatch.setattr(bench.control._outage, "passed", lambda: heard.append("passed"))
        await bench.control._writer.write([Emit(ANSWERS, 0, b"k", b"v")], Position(ASKED, 0, 0))

    run(bench, steps)

    assert heard == ["a record was not acknowledged"] * 3 + ["passed"]


def test_no_record_comes_later_than_our_own_clock_says() -> None:
    async def steps(bench: Bench) -> None:
        for value, stamp_ms in (("a", NOW_MS - 5), ("b", NOW_MS + 80 * 365 * 86_400_000)):
            log = bench.cluster.log(ASKED, 0)
            log.append(None, value.encode(), (), timestamp_ms=stamp_ms)
        await bench.hand_over(0)
        await bench.hand_over(1)

    bench = Bench()
    run(bench, steps)

    assert bench.factory.opened[0].times_ms == [NOW_MS - 5, NOW_MS]


def test_a_refusal_halts() -> None:
    from aiokafka.errors import TopicAuthorizationFailedError  # noqa: PLC0415 - as above

    async def steps(bench: Bench) -> None:
        bench.producer.failures = [TopicAuthorizationFailedError()]
        bench.ask("a")
        await bench.hand_over(0)

    with pytest.raises(InvariantError, match="asked-0@0 causes, it refused: TopicAuthorization"):
        run(Bench(), steps)


def test_a_record_that_is_too_large_is_named_with_its_size_and_cause() -> None:
    from aiokafka.errors import MessageSizeTooLargeError  # noqa: PLC0415 - as above

    async def steps(bench: Bench) -> None:
        bench.producer.failures = [MessageSizeTooLargeError()]
        bench.ask("a")
        await bench.hand_over(0)

    with pytest.raises(InvariantError, match=r"asked-0@0 causes.*for deciders.table-0 has 4 bytes"):
        run(Bench(), steps)


def test_of_a_partition_that_went_while_it_was_decided_nothing_is_remembered() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        await bench.control._own(0)
        loop = asyncio.get_running_loop()

        def slow(message: Message) -> Handled:
            lost = bench.control._revoked(None, ())
            asyncio.run_coroutine_threadsafe(lost, loop).result()
            return Handled([Emit(ANSWERS, 0, message.value, b"late")], b"0|a", b"late")

        bench.factory.opened[0].decide = slow  # type: ignore[method-assign]  # takes its time
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert not bench.cluster.read(TABLE)
    assert not bench.answers()
    assert not bench.consumer.done


def test_a_record_handed_over_before_a_rebalance_is_not_decided_during_it() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        await bench.control._revoked(None, ())
        await bench.hand_over(0)
        await bench.control.catch_up()
        assert not bench.factory.opened
        await bench.control._assigned(None, [HERE])
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]


def test_of_a_partition_that_is_another_workers_nothing_is_decided() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        bench.control.app._assignment = {TP(ASKED, 1)}
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert not bench.factory.opened


@pytest.mark.parametrize("step", ["committed_offset", "commit"])
def test_a_partition_that_goes_while_it_is_opened_is_not_ours(step: str) -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        call = getattr(bench.consumer, step)

        async def lose(*arguments: TP) -> object:
            await bench.control._revoked(None, ())
            return await call(*arguments)

        setattr(bench.consumer, step, lose)
        await bench.hand_over(0)
        assert bench.control._owned == {}
        assert bench.consumer.done == {}

    bench = Bench(factory=FromEnd())
    run(bench, steps)

    assert not bench.answers()


def test_of_two_entries_the_first_counts_until_it_is_forgotten() -> None:
    async def steps(bench: Bench) -> None:
        for value in (b"1", b"late", None, b"3", b"later"):
            bench.cluster.append(TABLE, 0, value, key=b"0|a")
        bench.cluster.append(TABLE, 0, b"4", key=b"0|b")
        bench.cluster.append(TABLE, 0, b"late", key=b"0|b")
        bench.ask("a", "b")
        await bench.hand_over(0)
        await bench.hand_over(1)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"3"), (b"b", b"4")]


def test_of_a_partition_that_went_meanwhile_nothing_is_written_or_committed() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        write = bench.control._writer.write

        async def write_and_lose(emits: Sequence[Emit], cause: Position) -> None:
            await write(emits, cause)
            await bench.control._revoked(None, ())

        bench.control._writer.write = write_and_lose  # type: ignore[method-assign]  # between steps
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert not bench.answers()
    assert not bench.consumer.done

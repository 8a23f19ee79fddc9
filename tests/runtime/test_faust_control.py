"""The order of records is kept by their positions, whatever Faust hands over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from faust.exceptions import NotReady
from faust.types import TP

from runtime.faust_bench import (
    ANSWERS,
    ASKED,
    HERE,
    NOW_MS,
    TABLE,
    Bench,
    Factory,
    run,
)
from tidemill.kernel.deciding import Handled
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Emit, Message, Position
from tidemill.runtime import faust_asking, faust_writing
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.faust_service import BreathingLog, Stopping
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Sequence


class FromEnd(Factory):
    from_end = frozenset({ASKED})


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


def test_a_record_of_a_partition_that_is_no_longer_ours_is_left_to_its_owner() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        bench.control.app._assignment = set()
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert not bench.answers()
    assert not bench.factory.opened
    assert not bench.consumer.done


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


def test_a_producer_that_has_not_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_writing, "RETRY_AFTER_S", 0.0)

    async def steps(bench: Bench) -> None:
        bench.producer.failures = [NotReady(), OutOfOrderSequenceNumber(), NotReady()]
        bench.producer.away = [NotReady()]
        bench.ask("a")
        await bench.hand_over(0)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]
    assert bench.consumer.done == {HERE: 1}


def test_what_a_producer_that_has_stopped_does_not_take_is_left_to_the_next_life() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        await bench.hand_over(0)
        bench.control.app._stopped.set()
        bench.producer.failures = [NotReady()]
        with pytest.raises(asyncio.CancelledError):
            await bench.hand_over(1)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]
    assert bench.consumer.done == {HERE: 1}


def test_a_worker_that_lets_go_begins_nothing_and_keeps_what_is_done_with() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        await bench.hand_over(0)
        bench.control.let_go()
        await bench.hand_over(1)

    bench = Bench()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]
    assert bench.consumer.done == {HERE: 1}


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

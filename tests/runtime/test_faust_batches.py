"""Topics that are read in batches: each record in its order, none lost, none twice."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from faust.types import TP

from runtime.faust_bench import ANSWERS, ASKED, HERE, NOW_MS, TABLE, Bench, Factory, run
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Emit, Position
from tidemill.runtime import faust_control
from tidemill.runtime.faust_batches import MOST_MARKERS, MOST_WAITING, Batch, Batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidemill.kernel.records import Message


class InBatches(Factory):
    batched = frozenset({ASKED})


def fetched(messages: Iterable[Message]) -> list[Any]:  # Any: as aiokafka has them
    return [
        SimpleNamespace(
            topic=m.topic,
            partition=m.partition,
            offset=m.offset,
            key=m.key,
            value=m.value,
            headers=m.headers,
            timestamp=m.timestamp_ms,
        )
        for m in messages
    ]


def batch(bench: Bench, start: int, stop: int, follows: int | None = None) -> Batch:
    return Batch(HERE, fetched(bench.cluster.log(ASKED, 0).committed(start, stop)), follows)


def in_batches(committed: int | None = None) -> Bench:
    return Bench(committed, InBatches())


def reads(bench: Bench) -> list[tuple[int, int]]:
    """Return a list that the spans read from the log of the input will be added to."""
    found: list[tuple[int, int]] = []
    read = bench.control._asking._between

    def counted(tp: TP, start: int, until: int) -> list[Message]:
        found.append((start, until))
        return read(tp, start, until)

    bench.control._asking._between = counted  # type: ignore[method-assign]  # counts
    return found


def test_what_nothing_is_told_of_is_noted_at_once_and_the_rest_decided_in_order() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("-1", "-2", "a", "-3", "b", "-4")
        await bench.control._reach_batch(batch(bench, 0, 6))

    bench = in_batches()
    run(bench, steps)

    assert bench.factory.opened[0].shown == [6, 3, 1]
    assert bench.answers() == [(b"a", b"0"), (b"b", b"1")]
    noted = [m.value for m in bench.cluster.read(TABLE) if m.key == b"0|noted"]
    assert noted == [b"-2", b"-3", b"-4"]
    assert bench.consumer.done == {HERE: 6}


def test_a_batch_that_comes_again_or_overlaps_causes_nothing_twice() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "-1", "b", "c")
        for start, stop in ((0, 3), (0, 3), (1, 4), (0, 4)):
            await bench.control._reach_batch(batch(bench, start, stop))

    bench = in_batches()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0"), (b"b", b"1"), (b"c", b"2")]
    assert bench.consumer.done == {HERE: 4}


def test_between_batches_that_follow_one_another_nothing_is_looked_for() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        bench.cluster.append_aborted(ASKED, 0, b"lost")
        bench.ask("b")
        spans = reads(bench)
        await bench.control._reach_batch(batch(bench, 0, 1))
        await bench.control._reach_batch(batch(bench, 2, 4, follows=1))
        assert spans == []

    bench = in_batches()
    run(bench, steps)

    assert [asked for asked, _ in bench.answers()] == [b"a", b"b"]


@pytest.mark.parametrize("follows", [None, 2])
def test_where_records_may_have_been_passed_over_they_are_decided_first(
    follows: int | None,
) -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b", "c")
        spans = reads(bench)
        await bench.control._reach_batch(batch(bench, 0, 1))
        await bench.control._reach_batch(batch(bench, 2, 3, follows))
        assert spans == [(1, 2)]

    bench = in_batches()
    run(bench, steps)

    assert [asked for asked, _ in bench.answers()] == [b"a", b"b", b"c"]


def test_a_wide_gap_is_looked_at_for_retention_may_have_taken_records() -> None:
    record = SimpleNamespace(offset=MOST_MARKERS + 11)
    assert Batch(HERE, [record], 10).is_next(11)
    assert not Batch(HERE, [record], 10).is_next(10)


def test_of_a_partition_that_is_no_longer_ours_a_batch_is_dropped() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        bench.control.app._assignment = set()
        await bench.control._reach_batch(batch(bench, 0, 1))

    bench = in_batches()
    run(bench, steps)

    assert not bench.answers()
    assert not bench.factory.opened


def test_of_a_partition_that_went_while_its_records_were_noted_nothing_is_committed() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("-1", "a")
        write = bench.control._writer.write_together

        async def write_and_lose(emits: Sequence[Emit], cause: Position) -> None:
            await write(emits, cause)
            await bench.control._revoked(None, ())

        bench.control._writer.write_together = write_and_lose  # type: ignore[method-assign]  # between
        await bench.control._reach_batch(batch(bench, 0, 2))

    bench = in_batches()
    run(bench, steps)

    assert not bench.answers()
    assert not bench.consumer.done


def test_what_must_be_remembered_of_a_batch_is_written_before_it_is_done_with() -> None:
    done: list[dict[TP, int]] = []

    async def steps(bench: Bench) -> None:
        bench.ask("-1", "-2", "-3")
        write = bench.control._writer.write_together

        async def write_and_look(emits: Sequence[Emit], cause: Position) -> None:
            done.append(dict(bench.consumer.done))
            await write(emits, cause)

        bench.control._writer.write_together = write_and_look  # type: ignore[method-assign]  # looks
        await bench.control._reach_batch(batch(bench, 0, 2))
        await bench.control._reach_batch(batch(bench, 2, 3))

    bench = in_batches()
    run(bench, steps)

    assert done == [{}, {HERE: 2}]


def test_a_long_way_is_read_from_the_log_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_control, "MOST_BETWEEN", 2)

    async def steps(bench: Bench) -> None:
        bench.ask("a", "-1", "-2", "b", "c", "d")
        spans = reads(bench)
        await bench.control._reach_batch(batch(bench, 5, 6))
        assert spans == [(0, 2), (2, 4), (4, 5)]

    bench = in_batches()
    run(bench, steps)

    assert [asked for asked, _ in bench.answers()] == [b"a", b"b", b"c", b"d"]


def test_no_record_of_a_batch_comes_later_than_our_own_clock_says() -> None:
    async def steps(bench: Bench) -> None:
        for value, stamp_ms in ((b"-1", NOW_MS - 5), (b"-2", NOW_MS + 1000)):
            bench.cluster.log(ASKED, 0).append(None, value, (), timestamp_ms=stamp_ms)
        await bench.control._reach_batch(batch(bench, 0, 2))

    bench = in_batches()
    run(bench, steps)

    assert bench.factory.opened[0].times_ms == [NOW_MS - 5, NOW_MS]


def test_what_never_comes_in_a_batch_is_read_from_the_log_once_nothing_moves() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("-1", "a")
        spans = reads(bench)
        await bench.control.catch_up()
        assert spans == []
        await bench.control.catch_up()
        assert spans == [(0, 2)]

    bench = in_batches()
    run(bench, steps)

    assert bench.answers() == [(b"a", b"0")]
    assert bench.consumer.done == {HERE: 2}


def test_a_worker_follows_batches_and_halts_on_what_must_not_be() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        app = bench.control.app
        app.consumer_generation_id, bench.consumer.app = 1, app
        for start in (0, 1):
            records = fetched(bench.cluster.log(ASKED, 0).committed(start, start + 1))
            await bench.control._batches.divert(bench.consumer, {HERE: records})
        crashed: list[BaseException] = []

        async def crash(error: BaseException) -> None:
            crashed.append(error)

        def refuse(_: object) -> None:
            raise ValueError("broken")

        app.crash = crash
        following = asyncio.create_task(bench.control.follow_batches())
        while len(bench.answers()) < 2:
            await asyncio.sleep(0)
        bench.factory.opened[0].decide = refuse  # type: ignore[assignment, method-assign]  # breaks
        bench.ask("c")
        records = fetched(bench.cluster.log(ASKED, 0).committed(2, 3))
        await bench.control._batches.divert(bench.consumer, {HERE: records})
        with pytest.raises(ValueError, match="broken"):
            await following
        assert [str(error) for error in crashed] == ["broken"]

    bench = in_batches()
    run(bench, steps)

    assert [asked for asked, _ in bench.answers()] == [b"a", b"b"]


class Fetching:
    """What is asked of Faust's consumer where batches are diverted."""

    def __init__(self) -> None:
        self.flow_active = True
        self.app = SimpleNamespace(consumer_generation_id=1)


def record(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset)


def test_only_topics_read_in_batches_are_diverted_and_each_batch_says_what_it_follows() -> None:
    async def steps() -> None:
        batches, consumer = Batches(frozenset({ASKED})), Fetching()
        other = TP(ANSWERS, 0)
        found: dict[TP, list[Any]] = {HERE: [record(3), record(5)], other: [record(0)]}
        await batches.divert(consumer, found)
        assert list(found) == [other]
        assert await batches.take() == Batch(HERE, [record(3), record(5)], None)
        await batches.divert(consumer, {HERE: [record(7)]})
        assert (await batches.take()).follows == 6

    asyncio.run(steps())


def test_after_records_were_dropped_or_partitions_went_the_next_batch_follows_nothing() -> None:
    async def steps() -> None:
        batches, consumer = Batches(frozenset({ASKED})), Fetching()

        async def divert(offset: int) -> None:
            await batches.divert(consumer, {HERE: [record(offset)]})

        await divert(0)
        consumer.flow_active = False
        await divert(1)
        consumer.flow_active = True
        await divert(2)
        await batches.take()
        assert (await batches.take()).follows is None
        await divert(3)
        batches.forget()
        await divert(4)
        assert (await batches.take()).follows is None
        assert batches._waiting.empty()

    asyncio.run(steps())


def test_a_batch_that_waited_through_a_rebalance_is_followed_by_none() -> None:
    async def steps() -> None:
        batches, consumer = Batches(frozenset({ASKED})), Fetching()
        for offset in range(MOST_WAITING):
            await batches.divert(consumer, {HERE: [record(offset)]})
        more = asyncio.create_task(batches.divert(consumer, {HERE: [record(2)]}))
        await asyncio.sleep(0)
        consumer.app.consumer_generation_id = 2
        await batches.take()
        await more
        await batches.take()
        await batches.take()
        await batches.divert(consumer, {HERE: [record(3)]})
        assert (await batches.take()).follows is None

    asyncio.run(steps())


def test_what_waits_when_partitions_go_is_dropped() -> None:
    async def steps(bench: Bench) -> None:
        batches = bench.control._batches
        await batches.divert(Fetching(), {HERE: [record(0)]})
        await bench.control._revoked(None, ())
        assert batches._waiting.empty()

    run(in_batches(), steps)


def test_fetching_waits_until_there_is_room() -> None:
    async def steps() -> None:
        batches, consumer = Batches(frozenset({ASKED})), Fetching()
        for offset in range(MOST_WAITING):
            await batches.divert(consumer, {HERE: [record(offset)]})
        more = asyncio.create_task(batches.divert(consumer, {HERE: [record(9)]}))
        await asyncio.sleep(0)
        assert not more.done()
        assert batches.is_moving(HERE, 0)
        assert batches.is_moving(HERE, 0)
        await batches.take()
        await more

    asyncio.run(steps())


def test_many_entries_are_written_at_once_and_those_that_fail_again() -> None:
    from aiokafka.errors import KafkaTimeoutError  # noqa: PLC0415 - untyped, here only

    async def steps(bench: Bench) -> None:
        bench.producer.failures = [KafkaTimeoutError()]
        bench.producer.lost = [KafkaTimeoutError()]
        emits = [Emit(ANSWERS, 0, b"k", str(number).encode()) for number in range(1200)]
        await bench.control._writer.write_together(emits, Position(ASKED, 0, 0))

    bench = Bench()
    run(bench, steps)

    written = [int(value or b"") for _, value in bench.answers()]
    assert sorted(written) == list(range(1200))
    assert [written.index(0), written.index(1)] == [498, 499]


def test_many_entries_are_written_by_a_new_producer_once_the_old_one_is_unknown() -> None:
    from aiokafka.errors import OutOfOrderSequenceNumber  # noqa: PLC0415 - as above

    async def steps(bench: Bench) -> None:
        bench.producer.failures = [OutOfOrderSequenceNumber()]
        bench.control._writer._is_useless = True
        emits = [Emit(ANSWERS, 0, b"k", str(number).encode()) for number in range(3)]
        await bench.control._writer.write_together(emits, Position(ASKED, 0, 0))

    bench = Bench()
    run(bench, steps)

    assert [value for _, value in bench.answers()] == [b"0", b"1", b"2"]
    assert bench.producer.renewed == 2


def test_a_refusal_of_one_of_many_entries_halts() -> None:
    from aiokafka.errors import TopicAuthorizationFailedError  # noqa: PLC0415 - as above

    async def steps(bench: Bench) -> None:
        bench.producer.lost = [TopicAuthorizationFailedError()]
        emits = [Emit(ANSWERS, 0, b"k", b"v")] * 3
        await bench.control._writer.write_together(emits, Position(ASKED, 0, 0))

    with pytest.raises(InvariantError, match="TopicAuthorization"):
        run(Bench(), steps)

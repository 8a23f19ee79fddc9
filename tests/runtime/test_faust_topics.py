"""A processor of the control plane that reads several topics, and decides twice on a record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from faust.types import TP

from runtime.faust_bench import (
    ANSWERS,
    ASKED,
    HERE,
    NOW_MS,
    OTHER,
    TABLE,
    Bench,
    Counting,
    Factory,
    run,
)
from tidemill.runtime.faust_ticking import CONFIRMED_S

if TYPE_CHECKING:
    import pytest

    from tidemill.kernel.deciding import Handled
    from tidemill.kernel.records import Message

WITHIN_S = 30.0


class TwoTopics(Factory):
    inputs: tuple[str, ...] = (ASKED, OTHER)
    from_end = frozenset({OTHER})


def test_records_of_two_topics_are_decided_each_in_its_own_order() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a", "b")
        bench.cluster.append(OTHER, 0, b"old")
        await bench.hand_over(0)
        bench.cluster.append(OTHER, 0, b"new")
        await bench.control.catch_up()

        answered = [asked for asked, _ in bench.answers()]
        assert [asked for asked in answered if asked != b"new"] == [b"a", b"b"]
        assert answered.count(b"new") == 1
        assert bench.consumer.done == {HERE: 2, TP(OTHER, 0): 2}
        assert bench.control.lag() == {HERE: 0, TP(OTHER, 0): 0}

    run(Bench(factory=TwoTopics()), steps)


class Several(Counting):
    """Decides twice about each record."""

    def decide(self, message: Message) -> Handled:
        return super().decide(message)._replace(more={b"0|more": message.value or b""})


def test_where_a_topic_begins_that_begins_at_its_end_is_committed_before_it_is_read() -> None:
    async def steps(bench: Bench) -> None:
        bench.cluster.append(OTHER, 0, b"old")
        bench.ask("a")
        await bench.hand_over(0)
        assert bench.consumer.begun == {TP(OTHER, 0): 1}

    run(Bench(factory=TwoTopics()), steps)


def test_partitions_that_go_and_come_back_before_their_beginning_is_committed_begin_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def steps(bench: Bench) -> None:
        commit = bench.consumer.commit

        async def lose_once() -> None:
            monkeypatch.setattr(bench.consumer, "commit", commit)
            await bench.control._revoked(None, ())
            await commit()

        monkeypatch.setattr(bench.consumer, "commit", lose_once)
        bench.cluster.append(OTHER, 0, b"old")
        bench.ask("a")
        await asyncio.wait_for(bench.hand_over(0), WITHIN_S)
        assert bench.consumer.begun == {}
        await bench.control._assigned(None, [TP(ASKED, 0), TP(OTHER, 0)])
        await asyncio.wait_for(bench.hand_over(0), WITHIN_S)
        assert bench.consumer.begun == {TP(OTHER, 0): 1}

    run(Bench(factory=TwoTopics()), steps)


def test_all_decisions_on_a_record_are_remembered_before_it_takes_effect() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        await bench.hand_over(0)
        assert [m.key for m in bench.cluster.read(TABLE)] == [b"0|a", b"0|more"]
        assert bench.producer.order == [TABLE, TABLE, ANSWERS]

    bench = Bench()
    bench.factory.make = Several
    run(bench, steps)


def test_a_topic_that_begins_at_its_end_goes_on_with_what_is_retained() -> None:
    async def steps(bench: Bench) -> None:
        for value in (b"0", b"1", b"2", b"3"):
            bench.cluster.append(OTHER, 0, value)
        bench.cluster.delete_records(OTHER, 0, 2)
        bench.ask("a", "b")
        await bench.hand_over(1)
        await bench.control.catch_up()
        assert [asked for asked, _ in bench.answers()] == [b"b", b"2", b"3"]
        assert bench.consumer.done[TP(OTHER, 0)] == 4

    run(Bench(committed=1, factory=TwoTopics()), steps)


def test_an_end_that_was_not_shown_of_late_says_nothing_of_how_far_it_lags() -> None:
    async def steps(bench: Bench) -> None:
        bench.ask("a")
        await bench.hand_over(0)
        bench.consumer.shown_at_s = NOW_MS / 1000 - CONFIRMED_S
        assert bench.control.lag() == {HERE: 0, TP(OTHER, 0): 0}
        bench.consumer.shown_at_s -= 0.1
        assert bench.control.lag() == {HERE: None, TP(OTHER, 0): None}

    run(Bench(factory=TwoTopics()), steps)

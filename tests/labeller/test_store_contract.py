"""The store of cases: the one in memory and the real Redis give equal answers to equal calls."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from labeller.stores import EQUAL, ONE, PARTITIONS, TTL_US, brief, held, kept, progress, recovered
from tidemill.contracts.pending import (
    MICROS,
    MOST_JOINED,
    MOST_WAITING,
    Buried,
    Done,
    Held,
    Kept,
    Source,
    Verdict,
    case_of,
)
from tidemill.kernel.errors import ServiceAwayError
from tidemill.runtime.pending_redis import RedisPending
from tidemill.testing.memory_pending import MemoryPending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.contracts.pending import PendingStore


def test_a_label_is_joined_to_what_was_predicted_in_another_partition(store: PendingStore) -> None:
    now = recovered(store)
    assert store.keep(now, 1, [kept(1, 7)], 8) == []
    (met,) = store.hold(now, 0, [held(1, 3)], 4)
    assert met == (0, Verdict.JOINED, "pump", 1, b"half\n\x007", "")
    assert store.standing(now, 0) == (True, 0, 4)
    assert store.standing(now, 1) == (True, 8, 0)


def test_the_first_writer_wins_and_its_position_says_it_again(store: PendingStore) -> None:
    now = recovered(store)
    store.keep(now, 1, [kept(1, 7)], 8)
    assert brief(store.hold(now, 0, [held(1, 3)], 4)) == [(0, "joined", "")]
    assert brief(store.hold(now, 0, [held(1, 3)], 4)) == [(0, "joined", "")]
    assert brief(store.hold(now, 1, [held(1, 3)], 4)) == [(0, "duplicate", "")]
    assert brief(store.hold(now, 0, [held(1, 4, text="2.0")], 5)) == [(0, "duplicate", "")]


def test_labels_that_wait_are_joined_by_the_prediction_the_newest_on_time(
    store: PendingStore,
) -> None:
    now = recovered(store)
    early = [
        held(1, 0, revision=0, text="1.0"),
        held(1, 1, revision=2, text="3.0", time=99),
        held(1, 2, revision=3, text="4.0", time=101),
        held(1, 3, revision=2, text="5.0", time=99),
    ]
    assert {each.verdict for each in store.hold(now, 0, early, 4)} == {Verdict.WAITING}
    for _ in range(2):
        met = store.keep(now, 1, [kept(1, 7)], 8)
        assert [(each.verdict, each.other) for each in met] == [
            (Verdict.LATE, b"letter\n\x002"),
            (Verdict.JOINED, b"letter\n\x001"),
        ]
    assert {each.verdict for each in store.hold(now, 0, early, 4)} <= {
        Verdict.WAITING,
        Verdict.DUPLICATE,
        Verdict.SUPERSEDED,
    }


@pytest.mark.parametrize(("late_by", "verdict"), [(0, "joined"), (1, "late")])
def test_a_label_is_late_by_one_microsecond(
    store: PendingStore, late_by: int, verdict: str
) -> None:
    now = recovered(store)
    far = 200_000_000_000  # seconds: beyond what a double holds to the microsecond
    name, event_us = case_of("a", "far"), far * MICROS + 1
    store.keep(now, 0, [Kept(name, "pump", 1, event_us, 0, b"half")], 2)
    at = event_us + TTL_US + late_by
    label = Held(name, 0, 1, at, {"pump": "1.0"}, b"letter")
    assert brief(store.hold(now, 0, [label], 2)) == [(0, verdict, "")]


def test_a_revision_replaces_and_older_or_equal_ones_do_nothing(store: PendingStore) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(1, 0)], 1)
    labels = [
        held(1, 0, revision=1, text="1.0"),
        held(1, 1, revision=2, text="1.0"),
        held(1, 2, revision=0, text="9.0"),
        held(1, 3, revision=3, text="2.0"),
        held(1, 4, revision=3, text="7.0"),
        held(1, 5, revision=2, text="1.0"),
        held(1, 6, revision=4, text="1.0"),
    ]
    assert brief(store.hold(now, 0, labels, 7)) == [
        (0, "joined", ""),
        (1, "same", ""),
        (2, "superseded", ""),
        (3, "joined", "1.0"),
        (4, "duplicate", ""),
        (5, "superseded", ""),
        (6, "joined", "2.0"),
    ]


def test_a_revision_that_says_the_same_again_stands_before_older_ones(store: PendingStore) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(1, 0)], 1)
    labels = [
        held(1, 0, revision=0, text="1.0"),
        held(1, 1, revision=2, text="1.0"),
        held(1, 2, revision=1, text="2.0"),
        held(1, 3, revision=2, text="2.0"),
        held(1, 4, revision=3, text="2.0"),
    ]
    assert [v for _, v, _ in brief(store.hold(now, 0, labels, 5))] == [
        "joined",
        "same",
        "superseded",
        "duplicate",
        "joined",
    ]


def test_the_second_prediction_of_an_event_is_not_kept(store: PendingStore) -> None:
    now = recovered(store)
    first, second = kept(1, 0), kept(1, 1)
    assert brief(store.keep(now, 0, [first, second], 2)) == [(1, "repeated", "")]
    assert store.hold(now, 0, [held(1, 0)], 1)[0].other == first.half


def test_what_was_joined_is_freed_when_it_is_committed_and_its_asset_has_passed(
    store: PendingStore,
) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(1, 0), kept(2, 1, time=201, made=101)], 2)
    store.hold(now, 1, [held(1, 5), held(2, 6, time=201)], 7)

    first = store.tidy(now, 0, progress(2, 0))
    assert (first.predictions, first.oldest) == (2, (0, None)), "labels may be written by now"
    assert store.tidy(now, 0, progress(2, 0, through=first.turn)).predictions == 2, "in 1 too"
    store.tidy(now, 1, progress(0, 5, through=first.turn))
    assert store.tidy(now, 0, progress(2, 0)).predictions == 2, "not committed"
    store.tidy(now, 1, progress(0, 7))
    left = store.tidy(now, 0, progress(2, 0))
    assert (left.given_up, left.oldest, left.predictions, left.labels) == ([], (1, None), 1, 0)
    assert left.dropped == 0
    assert brief(store.hold(now, 1, [held(1, 7)], 8)) == [(0, "waiting", "")]


@pytest.mark.parametrize("after", [kept(2, 1, time=200, made=101), kept(2, 1, time=201, made=100)])
def test_nothing_is_freed_before_two_ttls_of_events_and_one_since_it_was_made(
    store: PendingStore, after: Kept
) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(1, 0), after], 2)
    store.hold(now, 1, [held(1, 5), held(2, 6, time=201)], 7)
    for _ in range(2):
        store.tidy(now, 1, progress(0, 7, through=9))
        assert store.tidy(now, 0, progress(2, 0, through=9)).predictions == 2


def test_what_lies_too_far_back_is_freed_once_events_have_passed_it(store: PendingStore) -> None:
    now = recovered(store)
    first = [kept(1, 0), kept(2, 1), kept(3, 2, time=200, made=100)]
    store.keep(now, 0, first, 3)
    store.hold(now, 1, [held(9, 0), held(2, 1, time=50)], 2)
    assert store.tidy(now, 0, progress(3, 0, room=1)).predictions == 3, "neither clock has passed"
    store.keep(now, 0, [kept(4, 3, time=201, made=101)], 4)
    left = store.tidy(now, 0, progress(4, 0, room=3))
    assert (left.oldest, left.predictions, left.dropped) == ((1, None), 3, 1)
    left = store.tidy(now, 0, progress(4, 0, room=1))
    assert (left.predictions, left.dropped) == (3, 0), "its label is not committed"
    assert store.tidy(now, 1, progress(0, 2, room=2)).given_up == []
    left = store.tidy(now, 0, progress(4, 0, room=1))
    assert (left.predictions, left.dropped) == (2, 1), "labels have come to 50 s"
    assert store.tidy(now, 1, progress(0, 2, room=1)).given_up == [], "it has waited for 1 s"
    store.keep(now, 0, [kept(5, 4, time=201, made=201)], 5)
    assert store.tidy(now, 1, progress(0, 2, room=1)).given_up == [b"letter\n\x000"]


def test_a_label_without_its_event_is_given_up_once_and_what_was_not_committed_again(
    store: PendingStore,
) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(9, 0)], 1)
    store.hold(now, 0, [held(1, 0), held(2, 1)], 2)
    store.keep(now, 0, [kept(10, 1, time=101, made=100)], 2)
    assert store.tidy(now, 0, progress(2, 1)).given_up == [], "they wait for a ttl"
    store.keep(now, 0, [kept(11, 2, time=101, made=101)], 3)

    assert store.tidy(now, 0, progress(3, 1)).given_up == [b"letter\n\x000"], "1 may come again"
    both = [b"letter\n\x000", b"letter\n\x001"]
    assert sorted(store.tidy(now, 0, progress(3, 2)).given_up) == both
    assert store.keep(now, 1, [kept(1, 0)], 1) == [], "given up is given up"
    left = store.tidy(now, 0, progress(3, 2, given_up=1))
    assert (left.given_up, left.labels) == ([], 0)


def test_a_label_of_an_asset_without_events_waits_for_all_partitions(store: PendingStore) -> None:
    now = recovered(store)
    other = case_of("b", "e1")
    store.keep(now, 0, [Kept(other, "pump", 0, 0, 0, b"half")], 1)
    store.hold(now, 0, [held(1, 0)], 1)
    ahead = Kept(case_of("b", "e2"), "pump", 1, 900 * MICROS, 101 * MICROS, b"half")
    store.keep(now, 0, [ahead], 2)
    store.tidy(now, 1, progress(0, 0, is_caught_up=True))
    assert store.tidy(now, 0, progress(2, 1)).given_up == [b"letter\n\x000"]


def test_recovered_joins_are_not_made_again_and_waiting_labels_meet_later_predictions(
    store: PendingStore,
) -> None:
    generation = store.generation()
    assert store.unrecovered(generation) == [0, 1]
    done = Done(kept(1, 0).case, "pump", 0, Source("L", 0, 0), 0, "", "1.0")
    store.restore_done(generation, 0, [done], 0)
    store.restore_held(generation, 0, [held(1, 0), held(2, 1), held(3, 2)])
    store.restore_buried(generation, 0, [Buried(held(3, 2).case, 2, 0, False)], (0, 3))
    store.restore_kept(generation, 0, [kept(1, 0), kept(2, 1)])
    store.finish(generation, 0, 2, 3)
    with pytest.raises(ServiceAwayError):
        store.keep(generation, 0, [kept(9, 9)], 10)
    assert store.unrecovered(generation) == [1]
    store.finish(generation, 1, 0, 0)

    assert store.keep(generation, 0, [kept(1, 0), kept(2, 1), kept(3, 2)], 3) == []
    assert brief(store.hold(generation, 0, [held(1, 0), held(2, 1), held(3, 2)], 3)) == [
        (0, "duplicate", ""),
        (1, "joined", ""),
        (2, "joined", ""),
    ]


def test_a_label_set_aside_by_another_worker_stays_so_when_it_comes_again(
    store: PendingStore,
) -> None:
    generation = store.generation()
    store.restore_buried(generation, 0, [Buried(held(1, 5).case, 5, 0, False)], (0, 5))
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 0, 5)
    store.keep(generation, 0, [kept(1, 0)], 1)
    assert brief(store.hold(generation, 0, [held(1, 5)], 6)) == [(0, "duplicate", "")]


def test_a_label_that_was_replaced_before_it_was_committed_is_joined_after_all(
    store: PendingStore,
) -> None:
    generation = store.generation()
    done = Done(kept(1, 0).case, "pump", 1, Source("L", 1, 0), 0, "1.0", "2.0")
    store.restore_done(generation, 0, [done], 0)
    store.restore_kept(generation, 0, [kept(1, 0)])
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 1, 0)
    labels = [held(1, 0, text="5.0"), held(1, 1, text="1.0"), held(1, 2, text="1.0")]
    assert brief(store.hold(generation, 0, labels, 3)) == [
        (0, "superseded", ""),
        (1, "joined", ""),
        (2, "duplicate", ""),
    ]


def test_a_waiting_label_that_was_replaced_before_it_was_committed_is_joined_after_all(
    store: PendingStore,
) -> None:
    generation = store.generation()
    done = Done(kept(1, 0).case, "pump", 2, Source("L", 1, 0), 0, "1.0", "2.0")
    store.restore_done(generation, 0, [done], 0)
    store.restore_held(
        generation,
        0,
        [held(1, 0, text="1.0"), held(1, 1, revision=2, text="2.0"), held(1, 2, revision=1)],
    )
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 0, 3)
    for _ in range(2):
        (met,) = store.keep(generation, 0, [kept(1, 0)], 1)
        assert (met.verdict, met.other, met.replaced) == (Verdict.JOINED, b"letter\n\x002", "")


def test_two_streams_with_one_event_both_have_the_label(
    redis_store: Callable[[Mapping[str, int]], RedisPending],
) -> None:
    for store in (MemoryPending(PARTITIONS, EQUAL), redis_store(EQUAL)):
        now = recovered(store)
        store.keep(now, 0, [kept(1, 0)], 1)
        assert [m.stream for m in store.hold(now, 1, [held(1, 0)], 1)] == ["pump"]
        (met,) = store.keep(now, 0, [kept(1, 1, stream="fan")], 2)
        assert (met.stream, met.verdict, met.other) == ("fan", Verdict.JOINED, b"letter\n\x000")
        again = store.hold(now, 1, [held(1, 0)], 1)
        assert [(m.stream, m.verdict.value) for m in again] == [
            ("pump", "joined"),
            ("fan", "waiting"),
        ]
        store.keep(now, 0, [kept(2, 2, time=300, made=300)], 3)
        store.hold(now, 1, [held(2, 1, time=300)], 2)
        for _ in range(2):
            left = [
                store.tidy(now, 1, progress(0, 2, through=9)),
                store.tidy(now, 0, progress(3, 0, through=9)),
            ]
        assert (left[1].given_up, left[1].predictions) == ([], 1)
        assert (left[0].given_up, left[0].labels) == ([], 1)


def test_a_label_is_to_each_stream_what_that_reads_of_it(
    redis_store: Callable[[Mapping[str, int]], RedisPending],
) -> None:
    for store in (MemoryPending(PARTITIONS, EQUAL), redis_store(EQUAL)):
        now = recovered(store)
        store.keep(now, 0, [kept(1, 0), kept(1, 1, stream="fan")], 2)
        labels = [
            held(1, 0)._replace(texts={"pump": "1.0", "fan": "no"}),
            held(1, 1, revision=1)._replace(texts={"pump": "1.0", "fan": "yes"}),
            held(1, 2, revision=2)._replace(texts={"pump": "2.0"}),
        ]
        assert [each[1:] for each in brief(store.hold(now, 1, labels, 3))] == [
            ("joined", ""),
            ("joined", ""),
            ("same", ""),
            ("joined", "no"),
            ("joined", "1.0"),
            ("unfit", ""),
        ]
        store.hold(now, 1, [held(2, 4)._replace(texts={"pump": "1.0"})], 5)
        assert brief(store.keep(now, 0, [kept(2, 2, stream="fan")], 3)) == [(0, "unfit", "")]
        assert brief(store.keep(now, 0, [kept(2, 3)], 4)) == [(0, "joined", "")]


def test_labels_of_one_event_do_not_pile_up(store: PendingStore) -> None:
    now = recovered(store)
    waiting = [held(1, offset) for offset in range(MOST_WAITING + 2)]
    verdicts = [each.verdict for each in store.hold(now, 0, waiting, 0)]
    assert verdicts == [Verdict.WAITING] * MOST_WAITING + [Verdict.CROWDED] * 2
    again = [each.verdict for each in store.hold(now, 0, waiting, 0)]
    assert again == verdicts

    store.keep(now, 0, [kept(2, 0)], 1)
    revised = [
        held(2, number, revision=number, text=f"{number}.0") for number in range(MOST_JOINED + 1)
    ]
    verdicts = [each.verdict for each in store.hold(now, 0, revised, 0)]
    assert verdicts == [Verdict.JOINED] * MOST_JOINED + [Verdict.CROWDED]


def test_another_generation_is_refused(store: PendingStore) -> None:
    now = recovered(store)
    store.confirm(now)
    for call in (store.confirm, store.unrecovered):
        with pytest.raises(ServiceAwayError):
            call(f"{now}x")
    with pytest.raises(ServiceAwayError):
        store.hold(f"{now}x", 0, [held(1, 0)], 1)
    with pytest.raises(ServiceAwayError):
        store.restore_kept(f"{now}x", 0, [kept(1, 0)])


@pytest.mark.parametrize("is_told", [True, False])
def test_a_label_of_which_nobody_decided_before_all_was_forgotten_is_given_up(
    store: PendingStore, is_told: bool
) -> None:
    generation = store.generation()
    done = Done(kept(1, 0).case, "pump", 0, Source("L", 1, 0), 0, "", "1.0")
    store.restore_kept(generation, 0, [kept(1, 0)])
    store.restore_held(generation, 1, [held(1, 0)])
    store.restore_done(generation, 0, [done] if is_told else [], 0)
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 1, 1)
    store.keep(generation, 0, [kept(2, 1, time=150, made=150)], 2)
    store.hold(generation, 1, [held(2, 1, time=150)], 2)
    store.keep(generation, 0, [kept(3, 2, time=160, made=251)], 3)
    given_up = [store.tidy(generation, 1, progress(1, 2)).given_up for _ in range(2)]
    assert given_up == [[] if is_told else [b"letter\n\x000"]] * 2


def test_who_had_a_partition_before_decides_nothing_any_more(store: PendingStore) -> None:
    now = recovered(store)
    first = store.lease(now, 0)
    store.keep(first, 0, [kept(1, 0)], 1)
    second, other = store.lease(now, 0), store.lease(now, 1)
    for lease in (first, now, f"{now}@", other):
        with pytest.raises(ServiceAwayError):
            store.keep(lease, 0, [kept(2, 1)], 2)
        with pytest.raises(ServiceAwayError):
            store.hold(lease, 0, [held(1, 0)], 1)
        with pytest.raises(ServiceAwayError):
            store.tidy(lease, 0, progress(0, 0))
    assert brief(store.hold(second, 0, [held(1, 0)], 1)) == [(0, "joined", "")]
    store.confirm(now)


def test_two_clusters_of_one_plant_know_nothing_of_each_other(redis_url: str) -> None:
    plant, asked = f"test-{uuid.uuid4()}", []

    def made(cluster: str) -> RedisPending:
        def id_of() -> str:
            asked.append(cluster)
            return cluster

        return RedisPending(redis_url, (plant, id_of), PARTITIONS, ONE)

    with closing(made("one")) as one, closing(made("two")) as two:
        assert asked == [], "the broker may be away when we start"
        first, second = recovered(one), recovered(two)
        assert first != second
        one.keep(first, 0, [kept(1, 0)], 1)
        assert brief(two.hold(second, 0, [held(1, 0)], 1)) == [(0, "waiting", "")]
    assert asked == ["one", "two"]


def test_a_backlog_of_labels_is_given_up_many_at_a_time_each_once(
    redis_store: Callable[[Mapping[str, int]], RedisPending], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.runtime.pending_redis.MOST_FREED", 5)
    monkeypatch.setattr("tidemill.runtime.pending_redis.MOST_GIVEN_UP", 12)
    store = redis_store(ONE)
    now = recovered(store)
    store.keep(now, 0, [kept(900, 0)], 1)
    store.hold(now, 0, [held(number, number) for number in range(30)], 30)
    store.keep(now, 0, [kept(901, 1, time=150, made=150)], 2)
    given_up: list[bytes] = []
    for count in range(3):
        given_up += store.tidy(now, 0, progress(2, 30, given_up=count)).given_up
        assert len(given_up) == min(30, 12 * (count + 1))
    assert len(set(given_up)) == 30
    left = store.tidy(now, 0, progress(2, 30, given_up=3))
    assert (left.given_up, left.labels) == ([], 0)


def test_a_changed_ttl_counts_for_what_waits_already(redis_url: str) -> None:
    plant = f"test-{uuid.uuid4()}", str
    with closing(RedisPending(redis_url, plant, PARTITIONS, ONE)) as before:
        now = recovered(before)
        before.keep(now, 0, [kept(1, 0), kept(2, 1)], 2)
        before.hold(now, 0, [held(3, 0, time=150)], 1)
        assert brief(before.hold(now, 1, [held(1, 0, time=150)], 1)) == [(0, "late", "")]
    with closing(RedisPending(redis_url, plant, PARTITIONS, {"pump": 2 * TTL_US})) as after:
        assert brief(after.hold(now, 1, [held(2, 1, time=150)], 2)) == [(0, "joined", "")]
        assert brief(after.keep(now, 0, [kept(3, 2)], 3)) == [(0, "joined", "")]

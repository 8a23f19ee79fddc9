"""The store of cases: the one in memory and the real Redis give equal answers to equal calls."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.contracts.pending import (
    MICROS,
    MOST_JOINED,
    MOST_WAITING,
    Buried,
    Done,
    Held,
    Kept,
    Progress,
    Source,
    Verdict,
    case_of,
)
from tidemill.kernel.errors import ServiceAwayError
from tidemill.runtime.pending_redis import RedisPending
from tidemill.testing.memory_pending import MemoryPending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidemill.contracts.pending import Met, PendingStore, Tidied
    from tidemill.local.redis import EmbeddedRedis

PARTITIONS = 2
TTL_US = 100 * MICROS
Made = tuple[str, tuple[Any, ...]]  # Any: arguments of a call


def kept(case: int, offset: int, *, time: int = 0, stream: str = "pump") -> Kept:
    name = case_of("a", f"e{case}")
    return Kept(name, stream, offset, time * MICROS + TTL_US, b"half\n\x00%d" % offset)


def held(case: int, offset: int, *, time: int = 0, revision: int = 0, text: str = "1.0") -> Held:
    name, at = case_of("a", f"e{case}"), time * MICROS
    return Held(name, revision, offset, at, at + TTL_US, text, b"letter\n\x00%d" % offset)


def progress(predictions: int, labels: int, **other: Any) -> Progress:
    given = {
        "predicted_us": None,
        "labelled_us": None,
        "predictions_ended": False,
        "labels_ended": False,
        "ttl_us": TTL_US,
        "given_up": 0,
    }
    return Progress(predictions, labels, **{**given, **other})


def seconds(value: int) -> int:
    return value * MICROS


@pytest.fixture
def redis_store(redis_url: str) -> Iterator[Callable[[Sequence[str]], RedisPending]]:
    stores = []

    def make(streams: Sequence[str]) -> RedisPending:
        stores.append(RedisPending(redis_url, f"test-{uuid.uuid4()}", PARTITIONS, streams))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> PendingStore:
    if request.param == "memory":
        return MemoryPending(PARTITIONS, ["pump"])
    made: PendingStore = request.getfixturevalue("redis_store")(["pump"])
    return made


def recovered(store: PendingStore) -> str:
    """Recover a store of nothing; return its generation."""
    generation = store.generation()
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 0, 0)
    return generation


def brief(met: Sequence[Met]) -> list[tuple[int, str, str]]:
    return [(each.number, each.verdict.value, each.replaced) for each in met]


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
    store.keep(now, 0, [Kept(name, "pump", 1, event_us + TTL_US, b"half")], 2)
    at = event_us + TTL_US + late_by
    label = Held(name, 0, 1, at, at + TTL_US, "1.0", b"letter")
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


def test_what_was_joined_is_freed_when_it_is_committed_and_all_have_passed(
    store: PendingStore,
) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(1, 0)], 1)
    store.hold(now, 1, [held(1, 5)], 6)
    far = {"predicted_us": seconds(300), "labelled_us": seconds(300)}

    assert store.tidy(now, 0, progress(1, 0, **far)).predictions == 1, "labels of 1 may come"
    store.tidy(now, 1, progress(0, 5, **far))
    assert store.tidy(now, 0, progress(1, 0, **far)).predictions == 1, "not committed"
    store.tidy(now, 1, progress(0, 6, **far))
    assert store.tidy(now, 0, progress(1, 0, **far)) == ([], None, 0, 0)
    assert brief(store.hold(now, 1, [held(1, 6)], 7)) == [(0, "waiting", "")]


def test_inputs_read_to_their_end_count_as_passed_a_ttl_before_the_newest_event(
    store: PendingStore,
) -> None:
    now = recovered(store)
    store.keep(now, 0, [kept(1, 0)], 1)
    ended = {"labels_ended": True}
    store.tidy(now, 0, progress(1, 0, predicted_us=seconds(150), **ended))
    store.tidy(now, 1, progress(0, 0, **ended))
    left = store.tidy(now, 0, progress(1, 0, predicted_us=seconds(150), **ended))
    assert (left.predictions, left.oldest_us) == (1, seconds(100)), "100 s of event, 100 of grace"
    store.tidy(now, 0, progress(1, 0, predicted_us=seconds(202), **ended))
    store.tidy(now, 1, progress(0, 0, **ended))
    assert store.tidy(now, 0, progress(1, 0, **ended)).predictions == 0


def test_a_label_without_its_event_is_given_up_once_and_what_was_not_committed_again(
    store: PendingStore,
) -> None:
    now = recovered(store)
    store.hold(now, 0, [held(1, 0), held(2, 1)], 2)
    passed = {"predicted_us": seconds(102)}
    assert store.tidy(now, 0, progress(0, 2, **passed)).given_up == []
    store.tidy(now, 1, progress(0, 0, **passed))

    assert store.tidy(now, 0, progress(0, 1)).given_up == [b"letter\n\x000"], "1 may come again"
    both = [b"letter\n\x000", b"letter\n\x001"]
    assert sorted(store.tidy(now, 0, progress(0, 2)).given_up) == both
    assert store.keep(now, 1, [kept(1, 0)], 1) == [], "given up is given up"
    left = store.tidy(now, 0, progress(0, 2, given_up=1))
    assert (left.given_up, left.labels) == ([], 0)


def test_recovered_joins_are_not_made_again_and_waiting_labels_meet_later_predictions(
    store: PendingStore,
) -> None:
    generation = store.generation()
    assert store.unrecovered(generation) == [0, 1]
    done = Done(kept(1, 0).case, "pump", 0, Source("L", 0, 0), TTL_US, "", "1.0")
    store.restore_done(generation, 0, [done])
    store.restore_held(generation, 0, [held(1, 0), held(2, 1), held(3, 2)])
    store.restore_buried(generation, 0, [Buried(held(3, 2).case, 2, TTL_US)], 3)
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
    store.restore_buried(generation, 0, [Buried(held(1, 5).case, 5, seconds(100))], 5)
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 0, 5)
    store.keep(generation, 0, [kept(1, 0)], 1)
    assert brief(store.hold(generation, 0, [held(1, 5)], 6)) == [(0, "duplicate", "")]


def test_a_label_that_was_replaced_before_it_was_committed_is_joined_after_all(
    store: PendingStore,
) -> None:
    generation = store.generation()
    done = Done(kept(1, 0).case, "pump", 1, Source("L", 1, 0), TTL_US, "1.0", "2.0")
    store.restore_done(generation, 0, [done])
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
    done = Done(kept(1, 0).case, "pump", 2, Source("L", 1, 0), TTL_US, "1.0", "2.0")
    store.restore_done(generation, 0, [done])
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
    redis_store: Callable[[Sequence[str]], RedisPending],
) -> None:
    for store in (MemoryPending(PARTITIONS, ["fan", "pump"]), redis_store(["fan", "pump"])):
        now = recovered(store)
        store.keep(now, 0, [kept(1, 0)], 1)
        assert [m.stream for m in store.hold(now, 1, [held(1, 0)], 1)] == ["pump"]
        (met,) = store.keep(now, 0, [kept(1, 1, stream="fan")], 2)
        assert (met.stream, met.verdict, met.other) == ("fan", Verdict.JOINED, b"letter\n\x000")
        again = store.hold(now, 1, [held(1, 0)], 1)
        assert [(m.stream, m.verdict.value) for m in again] == [
            ("fan", "waiting"),
            ("pump", "joined"),
        ]
        passed = {"predicted_us": seconds(300), "labelled_us": seconds(300)}
        store.tidy(now, 1, progress(0, 1, **passed))
        left = store.tidy(now, 0, progress(2, 0, **passed))
        assert (left.given_up, left.predictions) == ([], 0)
        assert store.tidy(now, 1, progress(0, 1, **passed)) == ([], None, 0, 0)


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


# Few cases and short times, so that all of it meets.
_case, _offset, _time = (
    st.integers(0, 2),
    st.integers(0, 5),
    st.sampled_from([0, 50, 100, 101, 260]),
)
_partition = st.integers(0, PARTITIONS - 1)
_kept = st.builds(
    lambda case, offset, time, stream: kept(case, offset, time=time, stream=stream),
    _case, _offset, _time, st.sampled_from(["pump", "fan"]),
)  # fmt: skip
_held = st.builds(
    lambda case, offset, time, rest: held(case, offset, time=time, revision=rest[0], text=rest[1]),
    _case, _offset, _time, st.tuples(st.integers(0, 2), st.sampled_from(["1.0", "2.0"])),
)  # fmt: skip
_maybe = st.one_of(st.none(), st.sampled_from([0, 120, 240, 400]).map(seconds))
_progress = st.builds(
    Progress, _offset, _offset, _maybe, _maybe, st.booleans(), st.booleans(), st.just(TTL_US),
    st.integers(0, 2),
)  # fmt: skip
_done = st.builds(
    Done, _case.map(lambda n: case_of("a", f"e{n}")), st.sampled_from(["pump", "fan"]),
    st.integers(0, 2), st.builds(Source, st.sampled_from("LP"), _partition, _offset),
    st.just(TTL_US), st.sampled_from(["", "1.0", "2.0"]), st.sampled_from(["1.0", "2.0"]),
)  # fmt: skip
_buried = st.builds(
    Buried, _case.map(lambda n: case_of("a", f"e{n}")), _offset, _time.map(seconds)
)  # fmt: skip
_calls = st.one_of(
    st.tuples(st.just("keep"), st.tuples(_partition, st.lists(_kept, max_size=3), _offset)),
    st.tuples(st.just("hold"), st.tuples(_partition, st.lists(_held, max_size=3), _offset)),
    st.tuples(st.just("tidy"), st.tuples(_partition, _progress)),
    st.tuples(st.just("restore_done"), st.tuples(_partition, st.lists(_done, max_size=2))),
    st.tuples(
        st.just("restore_buried"), st.tuples(_partition, st.lists(_buried, max_size=2), _offset)
    ),
    st.tuples(st.just("restore_kept"), st.tuples(_partition, st.lists(_kept, max_size=2))),
    st.tuples(st.just("restore_held"), st.tuples(_partition, st.lists(_held, max_size=2))),
    st.tuples(st.just("standing"), st.tuples(_partition)),
)


def answered(store: PendingStore, generation: str, made: Made) -> object:
    """Return what a store answers, in an order of its own where it promises none."""
    name, arguments = made
    answer = getattr(store, name)(generation, *arguments)
    if name == "tidy":
        found: Tidied = answer
        return found._replace(given_up=sorted(found.given_up))
    return answer


@settings(max_examples=150)
@given(calls=st.lists(_calls, min_size=5, max_size=40), streams=st.sampled_from([1, 2]))
def test_any_calls_are_answered_alike(
    redis: EmbeddedRedis, calls: list[Made], streams: int
) -> None:
    names = ["pump", "fan"][:streams]
    assert redis.url is not None
    real = RedisPending(redis.url, f"test-{uuid.uuid4()}", PARTITIONS, names)
    with closing(real):
        memory = MemoryPending(PARTITIONS, names)
        generations = recovered(memory), recovered(real)
        for number, made in enumerate(calls):
            wanted = answered(memory, generations[0], made)
            found = answered(real, generations[1], made)
            assert found == wanted, f"call {number}: {made}"

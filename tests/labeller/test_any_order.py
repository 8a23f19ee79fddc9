"""Any interleaving over workers that crash and a store that forgets: each revision said once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeller.cases import PARTITIONS, TTL_S, Bench, check_joined, place_of
from tidemill.testing.faults import Operation, abortable, timed_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.testing.faults import Fault

EVENTS = 6
WORKERS = ("w0", "w1", "w2")
ENDING = (Operation.SEND_OFFSETS, Operation.COMMIT)
FAULTS: tuple[tuple[Operation, Callable[[], Fault]], ...] = (
    *((each, lambda: "crash") for each in Operation),
    *((each, abortable) for each in ENDING),
    *((each, timed_out) for each in (*ENDING, Operation.COMMITTED)),
)
WAYS = ("wipe", "restart", "lose 1", "lose 4", "lose 9")
LATEST = (0, TTL_S // 2, TTL_S, TTL_S + 1)

_event = st.integers(0, EVENTS - 1)
_partition = st.integers(0, PARTITIONS - 1)
_step = st.one_of(
    st.tuples(st.just("predict"), _event),
    st.tuples(
        st.just("label"),
        st.tuples(
            _event, _partition, st.integers(0, 2), st.integers(0, 1), st.sampled_from(LATEST)
        ),
    ),
    st.tuples(st.just("turn"), st.tuples(st.sampled_from(WORKERS), st.integers(1, 4))),
    st.tuples(st.just("turn"), st.tuples(st.sampled_from(WORKERS), st.integers(5, 30))),
    st.tuples(st.just("kill"), st.sampled_from(WORKERS)),
    st.tuples(
        st.just("fail"),
        st.tuples(
            st.sampled_from(WORKERS),
            st.integers(0, len(FAULTS) - 1),
            st.integers(0, 6),
        ),
    ),
    st.tuples(st.just("forget"), st.sampled_from(WAYS)),
    st.tuples(
        st.just("forget inside"),
        st.tuples(st.sampled_from(["confirm", "keep", "hold"]), st.sampled_from(WAYS)),
    ),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 12)),
)  # fmt: skip


class Play:
    """Carries steps out."""

    def __init__(self) -> None:
        self.bench = Bench(batch=4)

    def do(self, name: str, arguments: object) -> None:
        getattr(self, name.replace(" ", "_"))(arguments)

    def predict(self, event: int) -> None:
        self.bench.predict(event, event % PARTITIONS, at_s=event)

    def label(self, given: tuple[int, int, int, int, int]) -> None:
        event, partition, revision, value, after_s = given
        self.bench.label(event, float(value), partition, revision=revision, at_s=event + after_s)

    def turn(self, given: tuple[str, int]) -> None:
        worker, turns = given
        self.bench.driver.start(worker)
        self.bench.driver.step(worker, turns)

    def kill(self, worker: str) -> None:
        self.bench.driver.crash(worker)

    def fail(self, given: tuple[str, int, int]) -> None:
        worker, number, after = given
        operation, fault = FAULTS[number]
        self.bench.driver.start(worker)
        self.bench.driver.fail(worker, operation, fault(), after=after)

    def forget(self, how: str) -> None:
        if how == "wipe":
            self.bench.store.wipe()
        else:
            self.bench.store.restart(int(how.removeprefix("lose")) if "lose" in how else 0)

    def forget_inside(self, given: tuple[str, str]) -> None:
        """Forget the next time that a call is made, just before it."""
        call, how = given

        def broken(name: str) -> None:
            if name == call:
                self.bench.store.broken = lambda _: None
                self.forget(how)

        self.bench.store.broken = broken

    def away(self, is_away: bool) -> None:
        self.bench.store.is_away = is_away

    def wait(self, seconds: int) -> None:
        self.bench.cluster.advance(float(seconds))

    def end(self) -> None:
        """Predict what was not, heal all, and let everything be read."""
        for event in range(EVENTS):
            self.predict(event)
        self.bench.store.is_away = False
        self.bench.store.broken = lambda _: None
        self.bench.driver.drain()
        self.bench.rest(2)


@settings(max_examples=250)
@given(st.lists(_step, max_size=60))
def test_each_revision_of_a_label_is_said_once_in_what_is_committed(
    steps: list[tuple[str, object]],
) -> None:
    play = Play()
    for name, arguments in steps:
        play.do(name, arguments)
    play.end()
    check_joined(play.bench)


def drawn(seed: int) -> list[tuple[str, object]]:
    """Return many steps that lie close together: few events, much that fails."""
    draw = random.Random(seed)
    steps: list[tuple[str, object]] = []
    for _ in range(draw.randrange(20, 120)):
        worker = draw.choice(WORKERS[:2])
        event = draw.randrange(2)
        moment = (event, draw.randrange(PARTITIONS), draw.randrange(4), draw.randrange(3))
        steps.append(
            draw.choice(
                (
                    ("predict", event),
                    ("label", (*moment, draw.choice((0, 0, 0, TTL_S + 1)))),
                    ("label", (*moment, 0)),
                    ("turn", (worker, draw.randrange(1, 4))),
                    ("turn", (worker, draw.randrange(4, 30))),
                    ("turn", (worker, draw.randrange(4, 30))),
                    ("fail", (worker, draw.randrange(len(FAULTS)), draw.randrange(3))),
                    ("fail", (worker, draw.randrange(len(FAULTS)), draw.randrange(3))),
                    ("kill", worker),
                    ("forget", draw.choice(WAYS)),
                    (
                        "forget inside",
                        (draw.choice(("confirm", "keep", "hold")), draw.choice(WAYS)),
                    ),
                )
            )
        )
    return steps


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_each_revision_is_said_once_however_much_fails_at_once(first: int) -> None:
    for seed in range(first, first + 20):
        play = Play()
        for name, arguments in drawn(seed):
            play.do(name, arguments)
        play.end()
        check_joined(play.bench)


def troubled(trouble: Callable[[Bench], None]) -> Bench:
    """Let two workers join labels of all kinds through some trouble."""
    bench = Bench(batch=5)
    draw = random.Random(5)
    for round_ in range(4):
        for _ in range(10):
            event = draw.randrange(20)
            bench.predict(event, event % PARTITIONS, at_s=event)
            bench.label(
                event,
                float(draw.randrange(3)),
                draw.randrange(PARTITIONS),
                revision=draw.randrange(3),
                at_s=event + draw.choice(LATEST),
            )
        for instance in WORKERS[:2]:
            bench.driver.start(instance)
        if round_ == 1:
            trouble(bench)
        for instance in WORKERS[:2] * 3:
            bench.driver.step(instance, 3)
    for event in range(20):
        bench.predict(event, event % PARTITIONS, at_s=event)
    bench.driver.drain()
    bench.rest(2)
    check_joined(bench)
    return bench


def test_a_crash_at_any_call_of_any_client_changes_nothing() -> None:
    calls = troubled(lambda bench: None).cluster.faults.calls[Operation.ANY]
    for after in range(0, calls // 2, 3):
        troubled(lambda bench, n=after: bench.cluster.fail_next(Operation.ANY, "crash", after=n))  # type: ignore[misc]  # the default binds the number


@pytest.mark.parametrize("lost", [None, 0, 1, 3, 30])
@pytest.mark.parametrize("call", ["keep", "hold", "confirm", "tidy", "restore_kept", "finish"])
def test_a_store_that_forgets_before_any_call_changes_nothing(call: str, lost: int | None) -> None:
    for after in range(8):
        left = [after]

        def trouble(bench: Bench, left: list[int] = left) -> None:
            def broken(name: str) -> None:
                if name != call:
                    return
                left[0] -= 1
                if left[0] == -1:
                    bench.store.wipe() if lost is None else bench.store.restart(lost)

            bench.store.broken = broken
            if call in {"restore_kept", "finish"}:
                bench.store.restart()

        troubled(trouble)


def test_a_store_wiped_again_and_again_says_nothing_twice() -> None:
    bench = Bench(batch=3)
    for number in range(40):
        bench.predict(number, number % 2, at_s=number)
        bench.label(
            number, partition=(number // 2) % 2, at_s=number + (101 if number % 5 == 0 else 9)
        )
        bench.driver.start("w0")
        bench.driver.step("w0", 4)
        bench.store.wipe()
    bench.run()
    check_joined(bench)
    assert len({place_of(update) for update in bench.updates()}) == 32


def test_a_store_away_stops_nothing_for_good() -> None:
    bench = Bench()
    bench.predict(1)
    bench.driver.start("w0")
    bench.store.is_away = True
    for _ in range(50):
        bench.cluster.advance(10.0)
        bench.driver.step("w0", 3)
    assert bench.updates() == []
    bench.store.is_away = False
    bench.label(1)
    bench.run()
    check_joined(bench)
    assert len(bench.updates()) == 1

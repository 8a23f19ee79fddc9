"""What is read back when the store has forgotten, and what that waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from labeller.cases import Bench
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import LABELS, PREDICTIONS, UPDATES
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError, ServiceAwayError
from tidemill.processors.labeller.trail import Trail
from tidemill.testing.faults import Operation
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.partition_log import Fate

if TYPE_CHECKING:
    from tidemill.kernel.processor import Opened
    from tidemill.processors.labeller.processor import LabellerFactory


STEPS = 5_000


def opened(bench: Bench, factory: LabellerFactory, partition: int, mark: str = "") -> Opened:
    """Open one partition at the end of its inputs."""
    factory.recall(partition, mark)
    ends = {t: bench.cluster.log(t, partition).end for t in (PREDICTIONS, LABELS)}
    opening = factory.open(partition, ends, MemoryLog(bench.cluster))
    for _ in range(STEPS):
        try:
            next(opening)
        except StopIteration as stop:
            found: Opened = stop.value
            return found
    msg = f"a partition must be open after {STEPS} steps"
    raise AssertionError(msg)


def example_of(bench: Bench) -> bytes:
    """Return the example that a label of event 1 leads to, as another plant wrote it."""
    other = Bench()
    other.predict(1)
    other.label(1, partition=1)
    other.run()
    value = other.cluster.read(UPDATES)[0].value
    assert value is not None
    return value


def test_transactions_that_were_open_when_the_store_forgot_are_waited_for() -> None:
    bench, factory = Bench(), None
    bench.predict(1)
    bench.label(1, partition=1)
    log = bench.cluster.log(UPDATES, 0)
    span = log.open_span()
    log.append(b"press", example_of(bench), (), timestamp_ms=0, span=span)
    factory = bench.factory()
    with pytest.raises(DependencyUnavailableError, match="end of transactions") as waits:
        opened(bench, factory, 0)
    assert not isinstance(waits.value, ServiceAwayError), "that has a deadline"
    log.close_span(span, Fate.COMMITTED)
    later = log.open_span()
    log.append(b"press", b"of those who go on", (), timestamp_ms=0, span=later)
    with pytest.raises(ServiceAwayError, match=r"partitions \[1\]"):
        opened(bench, factory, 0)
    opened(bench, factory, 1)
    log.close_span(later, Fate.ABORTED)

    bench.label(1, 5.0, partition=0)
    bench.run()
    (update,) = bench.updates()
    assert update["label"] == 1.0


def test_what_is_no_example_of_a_label_is_passed_over() -> None:
    bench = Bench()
    bench.predict(1)
    value = example_of(bench)
    update = codec("Update").decode(value)
    others: list[dict[str, Any]] = [
        {"origin": "a-feedback"},
        {"stream": "gone"},
        {"kind": "VETO"},
        {"label": "no number"},
    ]
    for other in others:
        bench.cluster.append(UPDATES, 0, codec("Update").encode({**update, **other}))
    bench.cluster.append(UPDATES, 0, b"?")
    bench.label(1)
    bench.run()
    last = bench.cluster.read(UPDATES)[-1].value
    assert codec("Update").decode(last)["cause"]["topic"] == LABELS


def test_only_what_is_still_needed_is_read_again() -> None:
    bench = Bench(batch=500)
    bench.store.remembered = 0
    bench.driver.start("w0")
    for number in range(6_000):
        bench.predict(number, number % 2, at_s=number, made_s=number)
        bench.label(number, at_s=number + 5, partition=number % 2)
        if number % 500 == 499:
            bench.run("w0")
            bench.rest(2)
    bench.store.wipe()
    bench.driver.crash("w0")
    marks = bench.cluster.group("tidemill.driven").marks
    with pytest.raises(ServiceAwayError):
        opened(bench, bench.factory(), 0, marks[PREDICTIONS, 0])
    task: Any = opened(bench, bench.factory(), 1, marks[PREDICTIONS, 1]).task
    assert 0 < task.report().refolded < 4_500, "of 9,000 records of the partition"
    assert bench.store.size < 4_500
    assert len(bench.updates()) == 6_000


def test_a_worker_whose_partition_was_opened_by_another_frees_and_gives_up_nothing() -> None:
    bench = Bench(partitions=1)
    bench.predict(1)
    first: Any = opened(bench, bench.factory(), 0)
    second: Any = opened(bench, bench.factory(), 0)
    with pytest.raises(ServiceAwayError):
        first.task.rest(first.positions, ())
    second.task.rest(second.positions, ())


@pytest.mark.parametrize("is_wiped_twice", [False, True])
def test_what_others_decided_of_records_that_were_not_committed_is_read_again(
    monkeypatch: pytest.MonkeyPatch, is_wiped_twice: bool
) -> None:
    monkeypatch.setattr(Trail, "is_due", property(lambda trail: trail.count >= 100))
    bench = Bench(batch=500)
    bench.store.remembered = 0
    bench.run("w0", "w1")
    bench.rest(2)
    for number in range(500):
        at_s = 0 if number < 200 else 5000
        bench.predict(number, 0, at_s=at_s, made_s=at_s)
    bench.driver.fail("w0", Operation.SEND_OFFSETS, "crash")
    bench.driver.step("w0", 3)
    bench.label(450, 1.0, partition=1, at_s=5001)
    for _ in range(30):
        bench.driver.step("w1", 2)
        bench.cluster.advance(0.1)
    assert len(bench.updates()) == 1
    if is_wiped_twice:
        bench.store.wipe()
    bench.driver._batch = 100
    bench.driver.start("w0")
    for _ in range(20):
        bench.driver.step("w0", 1)
        bench.driver.step("w1", 1)
        bench.cluster.advance(1.0)
    bench.run("w0", "w1")
    bench.rest(10)
    bench.store.wipe()
    bench.rest()
    bench.run("w0", "w1")
    bench.label(450, 1.0, partition=0, at_s=5001)
    bench.run("w0", "w1")
    assert len(bench.updates()) == 1


@pytest.mark.parametrize("is_wiped", [False, True])
def test_a_revision_that_said_the_same_again_stands_before_older_ones_after_a_wipe(
    is_wiped: bool,
) -> None:
    bench = Bench()

    def settle() -> None:
        bench.run("w0", "w1")
        bench.rest(2)

    bench.predict(1, at_s=0, made_s=0)
    settle()
    for revision in (0, 2):
        bench.label(1, 1.0, partition=1, at_s=1, revision=revision)
        settle()
    bench.predict(2, at_s=150, made_s=150)
    settle()
    bench.label(2, partition=1, at_s=150)
    settle()
    bench.rest(5)
    if is_wiped:
        bench.store.wipe()
        bench.rest()
    bench.label(1, 9.0, partition=1, at_s=4, revision=1)
    settle()
    assert [update["label"] for update in bench.updates()] == [1.0, 1.0]


@pytest.mark.parametrize("topic", [PREDICTIONS, LABELS])
def test_a_topic_that_was_made_anew_under_a_store_that_was_kept_halts(topic: str) -> None:
    bench, anew = Bench(), Bench()
    bench.predict(1)
    bench.label(1)
    bench.run()
    anew.store = bench.store
    if topic == LABELS:
        anew.predict(1)
    with pytest.raises(InvariantError, match=rf"{topic}-0 must reach to 1, .* ended at 0: .* anew"):
        anew.run()

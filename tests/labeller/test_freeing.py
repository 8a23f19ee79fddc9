"""What is waited with no longer, and that no clock alone and no silence ends a wait."""

from __future__ import annotations

from typing import Any

import pytest

from labeller.cases import TTL_S, Bench, check_joined
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.kernel.deadletters import SUFFIX
from tidemill.testing.partition_log import Fate

YEAR_S = 365 * 86_400


def roomy(room: int) -> Bench:
    """Return a bench whose store loses nothing, so that it keeps no copies."""
    bench = Bench(room=room)
    bench.store.remembered = 0
    return bench


@pytest.fixture
def bench() -> Bench:
    return roomy(1_000_000)


def live(bench: Bench, number: int, *, after_s: int = 5, partition: int = 0) -> None:
    """Let an event be predicted when it is, and its label come a little later."""
    bench.predict(number, partition, at_s=number, made_s=number)
    bench.run("w0", "w1")
    bench.rest(1)
    bench.label(number, partition=number % 2, at_s=number + after_s)
    bench.run("w0", "w1")
    bench.rest(1)


def test_what_events_and_labels_have_passed_by_two_ttls_is_freed(bench: Bench) -> None:
    for number in range(0, 10 * TTL_S, 10):
        live(bench, number)
    bench.rest()
    assert len(bench.updates()) == TTL_S
    assert bench.store.size < 2 * (2 * TTL_S // 10 + 4)
    check_joined(bench)


def test_a_clock_a_year_ahead_ends_no_wait(bench: Bench) -> None:
    live(bench, 0)
    for number in range(2):
        at_s = YEAR_S + number
        bench.predict(1000 + number, asset="gateway", at_s=at_s, made_s=1)
        bench.predict(2000 + number, at_s=at_s, made_s=1)
        bench.label(2000 + number, asset="elsewhere", at_s=at_s, partition=number)
    bench.run("w0", "w1")
    bench.rest()
    for number in range(10, 40):
        live(bench, number, after_s=TTL_S)
    assert len(bench.updates()) == 31
    assert bench.dead() == []


def test_labels_with_a_clock_a_year_ahead_end_no_wait(bench: Bench) -> None:
    bench.predict(0, at_s=0, made_s=0)
    for number in range(4):
        bench.label(900 + number, partition=number % 2, at_s=YEAR_S + number)
    bench.run("w0", "w1")
    bench.predict(1, at_s=TTL_S // 2, made_s=9 * TTL_S)
    bench.run()
    bench.rest()
    bench.label(0, at_s=TTL_S)
    bench.run()
    assert [update["event_id"] for update in bench.updates()] == ["e0"]


def test_one_clock_of_events_and_labels_frees_nothing_that_was_predicted_just_now(
    bench: Bench,
) -> None:
    bench.predict(0, at_s=0, made_s=0)
    bench.run("w0", "w1")
    for number in range(1, 4):
        bench.predict(number, at_s=YEAR_S + number, made_s=number)
        bench.label(number, at_s=YEAR_S + number)
        bench.run("w0", "w1")
        bench.rest(3)
    for number in range(4, 7):
        bench.predict(number, at_s=number, made_s=number)
        bench.run("w0", "w1")
        bench.rest(3)
    bench.label(0, at_s=TTL_S)
    bench.run()
    assert "e0" in {update["event_id"] for update in bench.updates()}


def test_a_learner_that_is_behind_loses_no_label(bench: Bench) -> None:
    for number in range(10):
        bench.cluster.append(EVENTS, 1, b"of slow")
        bench.label(number, asset="slow", partition=number % 2, at_s=number + 10)
    for number in range(100, 400):
        bench.predict(number, at_s=number, made_s=number)
        bench.label(number, partition=number % 2, at_s=number + 10)
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == []
    for number in range(10):
        bench.predict(number, 1, asset="slow", at_s=number, made_s=400)
    for number in range(20, 400):
        bench.predict(1000 + number, 1, asset="slow", at_s=number, made_s=400)
    bench.run("w0", "w1")
    bench.rest()
    for number in range(20, 30):
        bench.label(1000 + number, asset="slow", partition=number % 2, at_s=number + 10)
    bench.run("w0", "w1")
    joined = {update["event_id"] for update in bench.updates() if update["asset"] == "slow"}
    assert len(joined) == 20
    assert bench.dead() == []


@pytest.mark.parametrize("asset", ["press", "other"])
def test_older_data_in_a_plant_that_runs_have_their_labels(bench: Bench, asset: str) -> None:
    for number in range(3000, 3010):
        live(bench, number)
    for number in range(0, 600, 20):
        bench.predict(number, asset=asset, at_s=number, made_s=3010)
        bench.run("w0", "w1")
        bench.rest(1)
    for number in range(0, 600, 20):
        bench.label(number, asset=asset, partition=number % 2, at_s=number + TTL_S)
    bench.run("w0", "w1")
    bench.rest()
    assert len(bench.updates()) == 40
    assert bench.dead() == []


def test_a_laboratory_that_was_cut_off_loses_no_label(bench: Bench) -> None:
    for number in range(0, 20 * TTL_S, TTL_S // 5):
        bench.predict(number, at_s=number, made_s=number)
    bench.run("w0", "w1")
    bench.rest()
    for number in range(0, 20 * TTL_S, TTL_S // 5):
        bench.label(number, partition=number % 2, at_s=number + TTL_S)
    bench.run("w0", "w1")
    assert len(bench.updates()) == TTL_S
    assert bench.dead() == []


def test_labels_that_are_written_and_not_read_keep_what_they_are_of(bench: Bench) -> None:
    bench.run("w0")
    log = bench.cluster.log(LABELS, 1)
    span = log.open_span()
    log.append(b"press", b"of a transaction", (), timestamp_ms=0, span=span)
    for number in range(0, 1000, 10):
        bench.predict(number, at_s=number, made_s=number)
        bench.label(number, 5.0, partition=0, at_s=number + 1)
    for _ in range(10):
        bench.cluster.advance(1.0)
        bench.driver.step("w0", 20)
    assert len(bench.updates()) == 100
    kept = bench.store.size
    assert kept == 200, "predictions, and what was joined to them"
    log.close_span(span, Fate.ABORTED)
    bench.rest()
    assert bench.store.size < kept / 2


def test_a_label_without_an_event_is_given_up_when_its_asset_has_passed_it(bench: Bench) -> None:
    where = bench.label(404, at_s=10, partition=1)
    bench.run("w0", "w1")
    bench.predict(1, at_s=110, made_s=110)
    bench.predict(9, 1, asset="other", at_s=900, made_s=900)
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == [], "events may come out of order by a ttl"
    bench.predict(2, at_s=111, made_s=111)
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == [("unknown-event", where)]
    bench.rest()
    assert bench.dead() == [("unknown-event", where)]


def test_a_label_of_an_asset_that_was_never_predicted_waits_while_there_is_room() -> None:
    bench = roomy(40)
    bench.cluster.append(EVENTS, 1, b"not predicted yet")
    where = bench.label(404, asset="new", at_s=10)
    bench.predict(1, at_s=9000, made_s=9000)
    for number in range(19):
        bench.label(500 + number, asset="new", at_s=10)
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == []
    bench.label(600, asset="new", at_s=10)
    bench.predict(2, at_s=9000, made_s=9000 + TTL_S + 1)
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == [("unknown-event", where)]
    for number in range(19):
        bench.predict(500 + number, asset="new", at_s=0, made_s=9000)
    bench.run("w0", "w1")
    assert len(bench.updates()) == 19


@pytest.mark.parametrize("is_behind", [True, False])
def test_a_label_of_no_asset_is_given_up_when_all_events_are_predicted_or_as_late(
    bench: Bench, is_behind: bool
) -> None:
    where = bench.label(404, asset="pres", at_s=10)
    bench.predict(0, at_s=0, made_s=0)
    bench.run("w0", "w1")
    bench.predict(1, at_s=150, made_s=150)
    if is_behind:
        bench.cluster.append(EVENTS, 1, b"not predicted yet")
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == [] if is_behind else [("unknown-event", where)]
    bench.predict(2, 1, asset="other", at_s=150, made_s=170)
    bench.run("w0", "w1")
    bench.rest()
    assert bench.dead() == [("unknown-event", where)]


def test_a_clock_ahead_lets_no_label_of_another_asset_be_given_up(bench: Bench) -> None:
    first = {"topic": EVENTS, "partition": 0, "offset": 0}
    for partition in (0, 0, 1, 1):
        bench.cluster.append(EVENTS, partition, b"of press, the second")
    bench.label(1, at_s=10)
    ahead: dict[str, Any] = {"asset": "ahead", "source": first}
    for number in range(2):
        bench.predict(10 + number, number, at_s=YEAR_S + number, made_s=number, **ahead)
    bench.run("w0", "w1")
    bench.predict(12, at_s=YEAR_S + 105, made_s=105, **ahead)
    bench.run("w0", "w1")
    bench.rest()
    bench.predict(1, at_s=0, made_s=106)
    bench.run("w0", "w1")
    assert [update["event_id"] for update in bench.updates()] == ["e1"]


def test_silent_laboratories_fill_no_more_than_the_room_and_are_told_of() -> None:
    bench = roomy(100)
    bench.label(0, at_s=1)
    bench.predict(0, at_s=0, made_s=0)
    bench.run()
    for number in range(10, 300):
        bench.predict(number, number % 2, at_s=number * 10, made_s=number * 10)
    bench.run()
    bench.rest()
    assert bench.store.size < 110
    workers = [running.worker for running in bench.driver._running.values()]
    tasks = [lane.task for worker in workers if worker for lane in worker._lanes]
    dropped = sum(task.report().kept["dropped"] for task in tasks)  # type: ignore[union-attr]  # ours
    assert dropped > 50, "asset press is labelled, and nobody told that its labels are over"


def test_an_asset_that_nobody_labels_is_dropped_without_a_word() -> None:
    bench = roomy(100)
    for number in range(300):
        bench.predict(number, at_s=number * 10, made_s=number * 10)
    bench.run()
    bench.rest()
    assert bench.store.size < 60
    (worker,) = [running.worker for running in bench.driver._running.values()]
    assert worker is not None
    reports = [lane.task.report() for lane in worker._lanes]  # type: ignore[union-attr]  # ours
    assert sum(report.kept["dropped"] for report in reports) == 0


def test_a_label_that_is_late_for_what_no_longer_waits_is_told_so(bench: Bench) -> None:
    for number in range(0, 5 * TTL_S, 10):
        live(bench, number)
    where = bench.label(0, at_s=5 * TTL_S)
    for number in range(5 * TTL_S, 12 * TTL_S, 10):
        live(bench, number)
    (letter,) = bench.cluster.read(LABELS + SUFFIX)
    assert bench.dead() == [("unknown-event", where)]
    assert b"was not, or is over" in dict(letter.headers)["__streams.errors.message"]

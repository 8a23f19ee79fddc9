"""Answers that come twice, late, or to another episode; clocks that were set back."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from drift.test_crashes_in_memory import POLICY, Plant, factory, story
from drift.test_questions import CHANGE_AT, asking, shifted, statuses
from drift.watched_plant import (
    KEY,
    REFERENCE,
    answer,
    event,
    events,
    prediction,
    task,
    terms,
    told,
)
from tidemill.contracts.codec import codec, schema_id_of
from tidemill.contracts.events import EventReader
from tidemill.contracts.topics import DRIFT, EVENTS, UPDATES
from tidemill.fold.audit.starting import drained
from tidemill.fold.snapshots import SigningKey
from tidemill.processors.drift.audit import Asked, replay, verify
from tidemill.processors.drift.processor import DriftFactory
from tidemill.processors.drift.task import DriftTask
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import LINEAR, START_US, STEP_US, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Opened
    from tidemill.kernel.records import Message

X: dict[str, float | None] = {"vibration": 6.0, "temperature": 40.0, "flow": 2.0}
DRIFTING = {"run_length": 100, "hold_at_most": 1.0}


def test_a_fault_that_was_none_after_all_is_learned_at_once() -> None:
    own, _, asked = asking()
    assert told(own.process_batch([answer(9, asked["drift_id"], "FAULT")]), "Update") == []
    emits = own.process_batch([answer(10, asked["drift_id"], "PROCESS_CHANGE")])
    (release,) = told(emits, "Update")
    assert statuses(emits) == ["PROCESS_CHANGE"]
    assert (release["label"], release["target_id"]) == ("process_change", asked["drift_id"])
    assert statuses(own.process_batch(shifted(200, CHANGE_AT + 30))) == []


def test_a_fault_that_was_let_go_of_is_learned_where_somebody_says_so_later() -> None:
    own, _, asked = asking(question_timeout="40s")
    own.process_batch([answer(9, asked["drift_id"], "FAULT")])
    (first,) = told(own.process_batch(shifted(60, CHANGE_AT + 30)), "Update")
    assert first["label"] == "fault"
    emits = own.process_batch([answer(10, asked["drift_id"], "PROCESS_CHANGE")])
    (second,) = told(emits, "Update")
    assert second["label"] == "process_change"
    assert second["update_id"] != first["update_id"]
    assert second["cause"] == {"topic": UPDATES, "partition": 0, "offset": 10, "index": 0}
    assert second["span"]["from"] == asked["started"]


def test_a_process_change_of_one_signal_answers_what_the_asset_was_asked() -> None:
    """All references begin anew by it: nothing would ever end the question but its time-out."""
    own, emits, asked = asking()
    emits = own.process_batch(shifted(1500, CHANGE_AT + 30))
    alone = [r for r in told(emits) if r["kind"] == "FEATURE" and r["status"] == "OPEN"]
    if not alone:
        emits = own.process_batch(
            [prediction(n, (n * 7919 % 13) / 13 + 9.0 * (n > 1500)) for n in range(1560)]
        )
        alone = [r for r in told(emits) if r["status"] == "OPEN"]
    emits = own.process_batch([answer(9, alone[0]["drift_id"], "PROCESS_CHANGE")])
    (release,) = told(emits, "Update")
    assert (release["target_id"], release["label"]) == (asked["drift_id"], "process_change")
    assert statuses(emits) == ["PROCESS_CHANGE"]
    assert own.process_batch([answer(10, asked["drift_id"], "FAULT")]) == []


def test_what_nothing_is_promised_of_is_watched_anew_where_somebody_says_so() -> None:
    own = task()
    emits = own.process_batch(events(34) + events(30, start=34, seed=8, shift=60.0))
    (wanders,) = [r for r in told(emits) if r["status"] == "NOT_STATIONARY"]
    assert own.process_batch([answer(8, wanders["drift_id"], "FAULT")]) == []
    emits = own.process_batch([answer(9, wanders["drift_id"], "PROCESS_CHANGE")])
    assert [r["status"] for r in told(emits)] == ["PROCESS_CHANGE"]
    (watched,) = own.watching.watched.values()
    assert (watched.unknown, watched.afresh) == (1, 0)
    assert watched.check is not None
    assert watched.check.status == "LEARNING"


def test_the_same_answer_twice_counts_once_and_is_counted_as_unknown() -> None:
    own, _, asked = asking()
    own.process_batch([answer(n, asked["drift_id"], "FAULT") for n in (9, 10, 11)])
    (watched,) = own.watching.watched.values()
    assert watched.unknown == 2
    assert watched.question is not None


@pytest.mark.parametrize("number", [-1_000_000, 40])
def test_a_clock_that_was_set_back_asks_of_no_more_than_the_others(number: int) -> None:
    """Not one event of the past comes into question by it, however it falls on the change."""
    calm = task()
    calm_emits = calm.process_batch(events(CHANGE_AT) + shifted(30))
    usual = told(calm_emits, "Update")[0]["span"]["from"]
    for at in range(CHANGE_AT - 3, CHANGE_AT + 8):
        own = task()
        records = events(CHANGE_AT) + shifted(30)
        records[at] = _at(records[at], number)
        emits = own.process_batch(records)
        (hold,) = [u for u in told(emits, "Update") if u["kind"] == "HOLD"]
        assert abs(hold["span"]["from"] - usual) <= 4 * STEP_US
        asked = next(r for r in told(emits) if r["kind"] == "MULTIVARIATE")
        assert asked["started"] == hold["span"]["from"]


def _at(message: Message, number: int) -> Message:
    """Return an event with the clock of another one."""
    given = terms()
    read = EventReader(given.definition, given.schemas).read(message.value)
    x = {name: read.values[name] for name in ("vibration", "temperature", "flow")}
    return event(number, x)._replace(offset=message.offset)


def test_a_definition_that_watches_otherwise_ends_what_stands_and_lets_go() -> None:
    records = events(CHANGE_AT) + shifted(30)
    (asking_now,) = told(task().process_batch(records), "Update")
    plant = Plant(terms())
    plant.write(records[: asking_now["cause"]["offset"] + 1], 0)
    plant.driver.drain()
    (asked,) = [r for r in plant.records() if r["held"]]
    plant.driver.leave("last-resort")
    again = restarted(plant, terms(run_length=500))

    closed = [codec("Drift").decode(m.value) for m in again.outputs(DRIFT)][-1]
    assert (closed["drift_id"], closed["status"]) == (asked["drift_id"], "CLOSED")
    hold, release = (codec("Update").decode(m.value) for m in again.outputs(UPDATES))
    assert (release["kind"], release["label"]) == ("RELEASE", "process_change")
    assert release["target_id"] == asked["drift_id"]
    source = [(u["cause"]["topic"], u["cause"]["partition"]) for u in (hold, release)]
    assert source[0] == source[1]
    places = [(u["cause"]["offset"], u["cause"]["index"]) for u in (hold, release)]
    assert places[0] < places[1]
    check(plant)


def test_a_definition_with_another_timeout_keeps_the_question() -> None:
    plant = Plant(terms())
    plant.write(events(150) + events(30, start=150, seed=2, shift=6.0), 0)
    plant.driver.drain()
    plant.driver.leave("last-resort")
    again = restarted(plant, terms(question_timeout="1h"))
    assert len(again.outputs(UPDATES)) == 1
    assert again.instances
    check(plant)


def test_other_models_begin_the_references_of_what_models_say_anew() -> None:
    plant = Plant(terms())
    said = [prediction(n, (n * 7919 % 13) / 13 + 9.0 * (n > 1500)) for n in range(1560)]
    plant.write([*events(3), *said], 0)
    plant.driver.drain()
    (opened,) = plant.records()
    for _ in range(100):  # the state is saved, and changes no more
        plant.driver.send(EVENTS, 0, b"nobody's")
    plant.driver.drain()
    plant.driver.leave("last-resort")
    champion: list[Any] = [*LINEAR[:-1], {"linear_model.LinearRegression": {"l2": 0.25}}]
    other = sample_terms(champion, stream={"drift": DRIFTING})
    again = restarted(plant, other)
    closed = codec("Drift").decode(again.outputs(DRIFT)[-1].value)
    assert (closed["drift_id"], closed["status"]) == (opened["drift_id"], "CLOSED")
    for each in said[:50]:
        again.send(each.topic, 0, each.value, key=each.key)
    again.drain()
    check(plant)
    states = []
    for key in (KEY, SigningKey(b"another".ljust(32))):  # from states, and from the beginning
        committed = {
            topic: again.cluster.committed_offset("tidemill.driven", topic, 0)
            for topic in DriftFactory.inputs
        }
        made = DriftFactory(other, key, POLICY, reference=REFERENCE)
        again_open: Opened = drained(made.open(0, committed, MemoryLog(plant.cluster)))
        assert isinstance(again_open.task, DriftTask)
        states.append(again_open.task.snapshot())
    assert states[0] == states[1]


def told_through_a_change(rng: random.Random | None) -> list[tuple[int, bytes | None]]:
    """Return what is told where the definition changes while a question is open."""
    plant = Plant(terms(question_timeout="1h"))
    pieces = [(p, [m for m in part if p == 0]) for p, part in story()]
    half, driver = len(pieces) // 2, plant.driver
    for given, some in ((None, pieces[:half]), (terms(run_length=700), pieces[half:])):
        if given is not None:
            for worker in driver.instances:
                driver.leave(worker)
            driver = Driver(plant.cluster, partial(factory, given), batch=23)
        for partition, part in some:
            for each in part:
                driver.send(each.topic, partition, each.value, key=each.key)
            if rng is not None:
                driver.start("w0")
                driver.step("w0", rng.randint(1, 9))
                getattr(driver, rng.choice(("crash", "abort")))("w0")
        driver.drain()
    check(plant)
    return [(m.partition, m.value) for m in driver.outputs(DRIFT, UPDATES)]


def test_crashes_around_a_changed_definition_change_nothing_that_is_told() -> None:
    calm = told_through_a_change(None)
    labels = [codec("Update").decode(value)["kind"] for _, value in calm if _is_update(value)]
    assert labels.count("RELEASE") >= 1
    for seed in range(3):
        assert told_through_a_change(random.Random(seed)) == calm


def _is_update(value: bytes | None) -> bool:
    return schema_id_of(value) == codec("Update").schema_id


def restarted(plant: Plant, given: Terms) -> Driver:
    """Return a driver of workers under other terms, once they have read all there is."""
    again = Driver(plant.cluster, partial(factory, given), batch=23)
    again.send(EVENTS, 0, b"nobody's")
    again.drain()
    return again


def check(plant: Plant) -> None:
    """Hold the whole past against the ledger, and fold it again."""
    log = MemoryLog(plant.cluster)
    for partition in range(2):
        assert verify(log, partition, KEY).findings == []
        assert replay(log, partition, KEY, asked=Asked(reference=REFERENCE)).findings == []


def test_an_asset_that_returns_after_months_has_timed_out_and_holds_one_event_more() -> None:
    own, _, asked = asking(question_timeout="1h")
    months = 90 * 86_400
    emits = own.process_batch(
        [event(months + n, X)._replace(offset=CHANGE_AT + 30 + n) for n in range(3)]
    )
    (release,) = told(emits, "Update")
    assert release["cause"]["offset"] == CHANGE_AT + 31
    detected = START_US + (asked["detected"] - START_US)
    assert release["span"]["to"] == detected - STEP_US + 3_600_000_000
    assert statuses(emits)[0] == "TIMED_OUT"

"""Crashes, aborts, rebalances and pending offsets at any point change no output."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from runtime.refolding import INPUTS, recorded, refold
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, TOPICS, UPDATES
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.deadletters import SUFFIX
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.faults import Fault, Operation, abortable, timed_out
from tidemill.testing.histories import check_history, read_input, read_output
from tidemill.testing.plants import event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.kernel.processor import TaskFactory

PARTITIONS = 2
ASSETS = ("north/press", "north/saw", "south/press", "south/saw")
WORKERS = ("w0", "w1")
EXAMPLES = ("good", "repeated", "one model", "poison")
TERMS = sample_terms(
    partitions=PARTITIONS,
    challengers={"plain": [{"linear_model.LinearRegression": {"l2": 0.01}}]},
)


def learner() -> TaskFactory:
    """Return a factory that saves often, so that restores begin at many different entries."""
    return LearnerFactory(TERMS, SigningKey(bytes(32)), Policy(snapshot_every=7, anchor_every=9))


class Plant:
    """Writes numbered events and updates of four assets on two partitions."""

    def __init__(self, *, fetch_records: int = 500, batch: int = 20) -> None:
        topics = {topic.name: PARTITIONS for topic in TOPICS}
        self.cluster = MemoryCluster(topics, fetch_records=fetch_records)
        self.driver = Driver(self.cluster, learner, batch=batch)
        self.random = random.Random(4)
        self.number = 0
        self.causes: dict[str, int] = {}
        self.calls = 0

    def event(self, asset: int, flavour: str = "labelled") -> None:
        """Send one event: labelled, unlabelled, with a gap, with NaN, or not decodable."""
        self.number += 1
        x: dict[str, float | None] = {
            "vibration": self.random.gauss(0, 1),
            "temperature": self.random.gauss(20, 5),
            "flow": self.random.random(),
        }
        if flavour == "gap":
            x["flow"] = None
        if flavour == "nan":
            x["vibration"] = float("nan")
        y = None if flavour == "unlabelled" else self.random.gauss(0, 1)
        name = ASSETS[asset]
        value = event_value(name, self.number, x, y)
        if flavour == "poison":
            value = value[:-3]
        self.driver.send(EVENTS, asset % PARTITIONS, value, key=name.encode())

    def update(self, asset: int, flavour: str = "good") -> None:
        """Send one example: good, for one model, of a cause sent before, or not to be applied."""
        self.number += 1
        name = ASSETS[asset]
        cause = self.causes.get(name, 0) if flavour == "repeated" else self.number
        self.causes[name] = cause
        label = float("inf") if flavour == "poison" else self.random.gauss(0, 1)
        model = "pump/plain" if flavour == "one model" else None
        x = {"vibration": self.random.random(), "temperature": 20.0, "flow": 1.0}
        value = update_value(name, cause, x, label, model=model)
        self.driver.send(UPDATES, asset % PARTITIONS, value, key=name.encode())

    def some_records(self, count: int) -> None:
        """Send events of all assets with an update now and then and poison among them."""
        for n in range(count):
            if n % 5 == 4:
                self.update(n % 4, EXAMPLES[n // 5 % 3])
            elif n % 11 == 10:
                self.cluster.append_aborted(EVENTS, n % 2, b"never seen")
            else:
                self.event(n % 4, "poison" if n % 7 == 3 else "labelled")


def check_promise(plant: Plant) -> None:
    """Hold what stands in the topics against the inputs and against a plain fold of them."""
    cluster = plant.cluster
    found = check_history(
        map(read_input, cluster.read(EVENTS)),
        map(read_output, plant.driver.outputs(PREDICTIONS, EVENTS + SUFFIX)),
    )
    assert found.is_clean, str(found)
    for partition in range(PARTITIONS):
        assert recorded(cluster, partition) == refold(cluster, TERMS, partition)


def test_a_calm_run_of_one_worker_keeps_the_promise() -> None:
    plant = Plant()
    plant.driver.start("w0")
    plant.some_records(60)
    plant.driver.drain()

    check_promise(plant)
    assert len(plant.cluster.read(PREDICTIONS)) > 30
    assert len(plant.cluster.read(EVENTS + SUFFIX)) > 3


def troubled(count: int, trouble: Callable[[Driver], None]) -> Plant:
    """Let two workers live through some trouble, planned when they have started."""
    plant = Plant(batch=8)
    plant.some_records(count // 2)
    for instance in WORKERS:
        plant.driver.start(instance)
    before = plant.cluster.faults.calls[Operation.ANY]
    trouble(plant.driver)
    for _ in range(6):
        for instance in WORKERS:
            plant.driver.step(instance, 3)
    plant.some_records(count - count // 2)
    for _ in range(6):
        for instance in WORKERS:
            plant.driver.start(instance)
            plant.driver.step(instance, 3)
    plant.calls = plant.cluster.faults.calls[Operation.ANY] - before
    plant.driver.drain()
    return plant


def crash_after(calls: int, driver: Driver) -> None:
    driver.cluster.fail_next(Operation.ANY, "crash", after=calls)


def test_a_crash_at_any_call_of_any_client_changes_nothing() -> None:
    calls = troubled(40, lambda driver: None).calls
    assert calls > 150
    for after in range(calls):
        plant = troubled(40, partial(crash_after, after))

        assert plant.driver.crashes == 1, f"after {after} calls"
        check_promise(plant)


FAULTS: dict[str, Fault] = {"crash": "crash", "abort": abortable(), "time-out": timed_out()}
PLACES = [
    *((operation, "crash") for operation in Operation if operation is not Operation.ANY),
    (Operation.INIT, "time-out"),
    (Operation.BEGIN, "abort"),
    (Operation.PRODUCE, "abort"),
    (Operation.FLUSH, "abort"),
    (Operation.FLUSH, "time-out"),
    (Operation.SEND_OFFSETS, "abort"),
    (Operation.SEND_OFFSETS, "time-out"),
    (Operation.SEND_OFFSETS_DONE, "abort"),
    (Operation.SEND_OFFSETS_DONE, "time-out"),
    (Operation.COMMIT, "abort"),
    (Operation.COMMIT, "time-out"),
    (Operation.COMMIT_DONE, "time-out"),
    (Operation.CONSUME, "time-out"),
    (Operation.COMMITTED, "time-out"),
]


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize(("operation", "fault"), PLACES)
def test_a_fault_at_each_step_of_a_transaction_changes_nothing(
    operation: Operation, fault: str, after: int
) -> None:
    def trouble(driver: Driver) -> None:
        driver.cluster.fail_next(operation, FAULTS[fault], after=after)
        if operation in {Operation.ABORT, Operation.ABORT_DONE}:
            driver.cluster.fail_next(Operation.COMMIT, abortable(), times=4)

    plant = troubled(40, trouble)

    check_promise(plant)


@pytest.mark.parametrize("late", [SNAPSHOTS, LEDGER])
def test_a_successor_waits_for_what_was_committed_and_cannot_be_seen_yet(late: str) -> None:
    plant = Plant(batch=8)
    driver, coordinator = plant.driver, plant.cluster.coordinator
    driver.start("w0")
    driver.drain()
    coordinator.holds_markers = True
    for _ in range(8):
        plant.event(0)
    driver.step("w0")
    driver.leave("w0")
    while (held := coordinator.held_markers) != [f"{late}-0"]:
        coordinator.write_marker(int(held[0] == f"{late}-0"))
    plant.cluster.advance(11.0)
    driver.start("w1")
    plant.event(0)
    driver.step("w1", 40)
    assert driver.left() == {f"{EVENTS}-0": (8, 9)}

    driver.drain()

    check_promise(plant)


@dataclass(frozen=True)
class Story:
    """What may happen, by name."""

    plant: Plant

    def event(self, asset: int, flavour: str) -> None:
        self.plant.event(asset, flavour)

    def update(self, asset: int, flavour: str) -> None:
        self.plant.update(asset, flavour)

    def aborted(self, partition: int, topic: str) -> None:
        self.plant.cluster.append_aborted(topic, partition, b"never seen")

    def work(self, instance: str, turns: int) -> None:
        self.plant.driver.step(instance, turns)

    def happen(self, instance: str, what: str) -> None:
        """Start, crash, leave, abort, freeze or thaw a worker."""
        getattr(self.plant.driver, what)(instance)

    def fail(self, place: tuple[Operation, str], after: int) -> None:
        operation, fault = place
        self.plant.cluster.fail_next(operation, FAULTS[fault], after=after)

    def advance(self, seconds: float, _: None) -> None:
        self.plant.cluster.advance(seconds)

    def hold_markers(self, hold: bool, _: None) -> None:
        self.plant.cluster.coordinator.holds_markers = hold
        if not hold:
            self.plant.cluster.coordinator.write_markers()

    def write_marker(self, number: int, _: None) -> None:
        self.plant.cluster.coordinator.write_marker(number)


FLAVOURS = ["labelled", "labelled", "unlabelled", "gap", "nan", "poison"]
HAPPENINGS = ["start", "start", "crash", "leave", "abort", "freeze", "thaw"]


def chapter(
    name: str, what: st.SearchStrategy[object], how: st.SearchStrategy[object]
) -> st.SearchStrategy[tuple[str, object, object]]:
    return st.tuples(st.just(name), what, how)


assets = st.integers(0, len(ASSETS) - 1)
workers = st.sampled_from(WORKERS)
stories = st.lists(
    st.one_of(
        chapter("event", assets, st.sampled_from(FLAVOURS)),
        chapter("update", assets, st.sampled_from(EXAMPLES)),
        chapter("aborted", st.integers(0, PARTITIONS - 1), st.sampled_from(INPUTS)),
        chapter("work", workers, st.integers(1, 9)),
        chapter("work", workers, st.integers(1, 9)),
        chapter("happen", workers, st.sampled_from(HAPPENINGS)),
        chapter("fail", st.sampled_from(PLACES), st.integers(0, 12)),
        chapter("advance", st.sampled_from([0.5, 4.0, 11.0]), st.none()),
        chapter("hold_markers", st.booleans(), st.none()),
        chapter("write_marker", st.integers(0, 9), st.none()),
        chapter("write_marker", st.integers(0, 9), st.none()),
    ),
    min_size=10,
    max_size=80,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stories,
    st.sampled_from([1, 3, 500]),
    st.sampled_from([1, 5, 30]),
)
def test_whatever_happens_each_record_counts_once_and_in_order(
    chapters: list[tuple[str, object, object]], fetch_records: int, batch: int
) -> None:
    plant = Plant(fetch_records=fetch_records, batch=batch)
    plant.driver.start("w0")
    story = Story(plant)
    for name, what, how in chapters:
        getattr(story, name)(what, how)
    plant.driver.drain()

    note(f"crashes: {plant.driver.crashes}")
    check_promise(plant)

"""Corrections under crashes, aborts and rebalances: each in force once, nothing else changed."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fold.corrected import TREE, Ticking
from fold.plain_order import Plain
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    EVENTS,
    FEEDBACK,
    LEDGER,
    PREDICTIONS,
    RECEIPTS,
    TOPICS,
    UPDATES,
)
from tidemill.fold.audit import replay
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.deadletters import SUFFIX
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import MOST_TURNS, Driver
from tidemill.testing.faults import Operation, abortable, timed_out
from tidemill.testing.histories import check_history, read_input, read_output
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidemill.kernel.processor import TaskFactory
    from tidemill.kernel.records import Message
    from tidemill.testing.faults import Fault

PARTITIONS = 2
ASSETS = ("north/press", "north/saw")
WORKERS = ("w0", "w1")
KEY = SigningKey(bytes(32))
TERMS = sample_terms(TREE, partitions=PARTITIONS)
INPUTS = (UPDATES, EVENTS)


def learner(step_s: float = 0.001) -> TaskFactory:
    """Return a factory whose re-folds take many slices."""
    policy = Policy(snapshot_every=7, anchor_every=9)
    return LearnerFactory(TERMS, KEY, policy, clock=Ticking(step_s))


class Plant:
    """Writes events and feedback of two assets, one on each partition."""

    def __init__(self, *, batch: int = 8, step_s: float = 0.001) -> None:
        self.cluster = MemoryCluster({topic.name: PARTITIONS for topic in TOPICS})
        self.driver = Driver(self.cluster, partial(learner, step_s), batch=batch)
        self.random = random.Random(4)
        self.number = 0
        self.left_out: list[dict[int, bytes | None]] = [{}, {}]
        self.said: dict[str, tuple[int, int]] = {}
        self.retracted: list[str] = []
        self.calls = 0

    def event(self, asset: int) -> None:
        self.number += 1
        rng = self.random
        x = {"vibration": rng.gauss(0, 1), "temperature": rng.gauss(20, 5), "flow": rng.random()}
        name = ASSETS[asset]
        value = event_value(name, self.number, x, rng.gauss(0, 1))
        self.driver.send(EVENTS, asset, value, key=name.encode())

    def correct(self, asset: int, feedback: str) -> None:
        """Send a wrong example by feedback."""
        place = self._send(asset, feedback, self.random.gauss(50, 9), event_id=f"l-{feedback}")
        self.said[feedback] = (asset, place)

    def retract(self, feedback: str) -> None:
        """Take an example back."""
        asset, place = self.said[feedback]
        self.left_out[asset][place] = None
        self.retracted.append(f"r-{feedback}")
        self._send(asset, f"r-{feedback}", None, kind="RETRACT", target_id=feedback)

    def _send(self, asset: int, feedback: str, label: float | None, **fields: object) -> int:
        self.number += 1
        x = {"vibration": self.random.random(), "temperature": 20.0, "flow": 1.0}
        value = update_value(ASSETS[asset], self.number, x, label, origin=feedback, **fields)
        update = codec("Update").decode(value)
        update["cause"] |= {"topic": FEEDBACK, "partition": asset}
        value = codec("Update").encode(update)
        return self.driver.send(UPDATES, asset, value, key=b"any").offset

    def flow(self, count: int) -> None:
        for n in range(count):
            self.event(n % 2)

    def settle(self) -> None:
        """Heal everything, and turn all workers until nothing waits for its re-fold."""
        self.driver.drain()
        for _ in range(MOST_TURNS):
            done = [r["feedback_id"] for r in self.receipts() if r["status"] != "ACCEPTED"]
            if set(self.retracted) <= set(done) and not self.driver.left():
                return
            for instance in self.driver.instances:
                self.driver.step(instance)
        msg = f"every retraction must have its receipt, there are {self.receipts()}"
        raise AssertionError(msg)

    def receipts(self) -> list[dict[str, object]]:
        return [codec("Receipt").decode(m.value) for m in self.cluster.read(RECEIPTS)]


class PartitionView:
    """What the plain loop reads: the topics of one partition."""

    def __init__(self, cluster: MemoryCluster, partition: int) -> None:
        self.topics: dict[str, list[Message]] = {
            topic: cluster.read(topic, [partition]) for topic in (*INPUTS, LEDGER)
        }


def check_promise(plant: Plant) -> None:
    """Hold every topic against inputs, audit and a plain loop without what was retracted."""
    cluster = plant.cluster
    found = check_history(
        map(read_input, cluster.read(EVENTS)),
        map(read_output, plant.driver.outputs(PREDICTIONS, EVENTS + SUFFIX)),
    )
    assert found.is_clean, str(found)
    told = [str(r["feedback_id"]) for r in plant.receipts()]
    assert sorted(told) == sorted([*plant.said, *plant.retracted]), "one receipt for each"
    for partition in range(PARTITIONS):
        report = replay(MemoryLog(cluster), partition, KEY)
        assert report.findings == []
        edits = plant.left_out[partition]
        plain = Plain(TERMS, edits=edits, asset=ASSETS[partition])
        plain.follow(PartitionView(cluster, partition))  # type: ignore[arg-type]  # it has what is read
        assert last_lineage(cluster, partition) == plain.lineage


def last_lineage(cluster: MemoryCluster, partition: int) -> bytes:
    entries = [Entry.decode(m.value) for m in cluster.read(LEDGER, [partition])]
    return [model.lineage for entry in entries for model in entry.models][-1]


def swaps(cluster: MemoryCluster) -> Iterator[str]:
    """Yield the models of all swaps."""
    for message in cluster.read(LEDGER):
        for action in Entry.decode(message.value).actions:
            if action.kind == "swap":
                yield action.detail["model"]


def troubled(trouble: Callable[[Driver], None]) -> Plant:
    """Let two workers correct models while some trouble, planned when they have started, comes."""
    plant = Plant()
    plant.flow(30)
    for number in range(4):
        plant.correct(number % 2, f"f{number}")
    plant.flow(20)
    for instance in WORKERS:
        plant.driver.start(instance)
    for _ in range(8):
        for instance in WORKERS:
            plant.driver.step(instance, 3)
    before = plant.cluster.faults.calls[Operation.ANY]
    trouble(plant.driver)
    plant.retract("f0")
    plant.retract("f1")
    plant.flow(10)
    for _ in range(6):
        for instance in WORKERS:
            plant.driver.start(instance)
            plant.driver.step(instance, 3)
    plant.retract("f2")
    plant.flow(10)
    for _ in range(6):
        for instance in WORKERS:
            plant.driver.start(instance)
            plant.driver.step(instance, 3)
    plant.calls = plant.cluster.faults.calls[Operation.ANY] - before
    plant.settle()
    return plant


def crash_after(calls: int, driver: Driver) -> None:
    driver.cluster.fail_next(Operation.ANY, "crash", after=calls)


def test_a_calm_run_swaps_each_model_and_keeps_the_promise() -> None:
    plant = troubled(lambda _: None)
    check_promise(plant)
    assert set(swaps(plant.cluster)) == {f"pump|{asset}|pump/champion" for asset in ASSETS}


def test_a_crash_at_any_call_of_any_client_leaves_each_correction_in_force_once() -> None:
    calls = troubled(lambda _: None).calls
    assert calls > 150
    for after in range(0, calls, 9):
        plant = troubled(partial(crash_after, after))

        assert plant.driver.crashes == 1, f"after {after} calls"
        check_promise(plant)


FAULTS: dict[str, Fault] = {"crash": "crash", "abort": abortable(), "time-out": timed_out()}
PLACES = [
    *((operation, "crash") for operation in Operation if operation is not Operation.ANY),
    (Operation.PRODUCE, "abort"),
    (Operation.FLUSH, "abort"),
    (Operation.SEND_OFFSETS, "abort"),
    (Operation.COMMIT, "abort"),
    (Operation.COMMIT, "time-out"),
    (Operation.COMMIT_DONE, "time-out"),
    (Operation.CONSUME, "time-out"),
]


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(("operation", "fault"), PLACES)
def test_a_fault_at_each_step_of_a_swap_changes_nothing(
    operation: Operation, fault: str, after: int
) -> None:
    def trouble(driver: Driver) -> None:
        driver.cluster.fail_next(operation, FAULTS[fault], after=after)

    check_promise(troubled(trouble))


def test_predictions_go_on_while_a_model_is_folded_again() -> None:
    plant = Plant(batch=4, step_s=0.004)
    plant.correct(0, "f0")
    plant.flow(160)
    plant.driver.start("w0")
    plant.driver.drain()
    plant.retract("f0")
    while not list(swaps(plant.cluster)):
        plant.flow(4)
        plant.driver.step("w0")

    records = [Entry.decode(m.value) for m in plant.cluster.read(LEDGER, [0])]
    asked = max(n for n, e in enumerate(records) for r in e.runs if r.topic == UPDATES)
    swapped = next(n for n, e in enumerate(records) if any(a.kind == "swap" for a in e.actions))
    between = [run for e in records[asked + 1 : swapped] for run in e.runs if run.topic == EVENTS]
    assert len(between) >= 3
    plant.settle()
    check_promise(plant)


def test_another_worker_takes_over_in_the_middle_of_a_re_fold() -> None:
    plant = Plant(step_s=0.05)
    plant.correct(0, "f0")
    plant.correct(1, "f1")
    plant.flow(200)
    plant.driver.start("w0")
    plant.driver.drain()
    plant.retract("f0")
    plant.retract("f1")
    plant.driver.step("w0", 2)
    assert list(swaps(plant.cluster)) == []
    plant.driver.start("w1")
    for _ in range(20):
        plant.driver.step("w0")
        plant.driver.step("w1")
    plant.driver.leave("w0")
    plant.cluster.advance(11.0)
    plant.settle()
    check_promise(plant)


def test_a_worker_is_not_idle_while_a_correction_waits() -> None:
    plant = Plant(step_s=0.05)
    plant.correct(0, "f0")
    plant.flow(300)
    plant.driver.start("w0")
    plant.driver.drain()
    plant.retract("f0")
    worker = plant.driver._running["w0"].worker
    assert worker is not None
    while not list(swaps(plant.cluster)):
        plant.cluster.advance(1.0)
        plant.driver.step("w0")
        assert worker.idle_s() == 0.0 or list(swaps(plant.cluster))
    for _ in range(9):
        plant.cluster.advance(1.0)
        plant.driver.step("w0")
    assert worker.idle_s() > 3.0

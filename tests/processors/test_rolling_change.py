"""A definition that is rolled out worker by worker never goes back by itself."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, TOPICS
from tidemill.fold.audit import replay, verify
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.errors import InvariantError
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import TaskFactory

PARTITIONS = 2
KEY = SigningKey(bytes(32))
OLD = sample_terms(challengers={"plain": ["linear_model.LinearRegression"]})
NEW = sample_terms(["linear_model.LinearRegression"])
X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
TURNS = 400


class Rollout:
    """Workers that start with whatever definition lies there then."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster({topic.name: PARTITIONS for topic in TOPICS})
        self.terms, self.redefines = OLD, False
        self.driver = Driver(self.cluster, self._make)
        self.number = 0

    def _make(self) -> TaskFactory:
        policy = Policy(snapshot_every=7, anchor_every=9, define_every=5)
        return LearnerFactory(self.terms, KEY, policy, redefines=self.redefines)

    def start(self, instance: str, terms: Terms, *, redefines: bool = False) -> None:
        self.terms, self.redefines = terms, redefines
        self.driver.start(instance)
        self.driver.step(instance, TURNS)

    def events(self) -> None:
        for n in range(20):
            self.number += 1
            value = event_value(f"asset/{n % 4}", self.number, X, float(n % 5))
            self.driver.send(EVENTS, n % PARTITIONS, value, key=f"asset/{n % 4}".encode())

    def work(self) -> None:
        self.events()
        self.driver.drain()

    def definitions(self, partition: int) -> list[bytes]:
        """Return the definitions that came into force, one after another."""
        entries = [Entry.decode(m.value) for m in self.cluster.read(LEDGER, [partition])]
        return [digest for digest, _ in groupby(entry.definition for entry in entries)]

    def halts(self, instance: str) -> str:
        """Let a worker turn until it halts; return why."""
        for _ in range(TURNS):
            self.cluster.advance(1.0)
            try:
                self.driver.step(instance)
            except InvariantError as error:
                return str(error)
        pytest.fail(f"{instance} must halt")

    def check(self) -> None:
        """Hold all that was written against itself: once each, versions that only grow."""
        predictions = [codec("Prediction").decode(m.value) for m in self.cluster.read(PREDICTIONS)]
        assert len(predictions) == self.number
        for asset in {p["asset"] for p in predictions}:
            versions = [p["version"] for p in predictions if p["asset"] == asset]
            assert versions == sorted(set(versions))
        for partition in range(PARTITIONS):
            log = MemoryLog(self.cluster)
            assert verify(log, partition, KEY).findings == []
            assert replay(log, partition, KEY).findings == []


def rolled_half() -> Rollout:
    """Return a plant of which one worker runs the new definition and one still the old one."""
    rollout = Rollout()
    for instance in ("w0", "w1"):
        rollout.start(instance, OLD)
    rollout.work()
    rollout.driver.crash("w0")
    rollout.start("w0", NEW)
    rollout.work()
    return rollout


def test_a_worker_with_the_old_definition_halts_before_it_writes_anything() -> None:
    rollout = rolled_half()
    (changed,) = [n for n in range(PARTITIONS) if len(rollout.definitions(n)) == 2]
    rollout.driver.leave("w0")
    rollout.events()
    before = rollout.cluster.read(LEDGER, [changed])
    said = rollout.halts("w1")
    assert "must not come back unasked: it was replaced at ledger entry" in said
    assert "--redefine" in said
    assert rollout.cluster.read(LEDGER, [changed]) == before

    rollout.driver.crash("w1")
    rollout.start("w1", NEW)
    rollout.work()
    for partition in range(PARTITIONS):
        assert rollout.definitions(partition) == [OLD.digest, NEW.digest]
    rollout.check()


def test_partitions_that_only_the_old_worker_has_go_on_under_the_old_definition() -> None:
    rollout = rolled_half()
    for _ in range(3):
        rollout.work()
    assert sorted(len(rollout.definitions(n)) for n in range(PARTITIONS)) == [1, 2]
    rollout.check()


def test_an_operator_who_goes_back_on_purpose_is_obeyed_and_the_other_worker_halts() -> None:
    rollout = rolled_half()
    rollout.driver.crash("w1")
    rollout.start("w1", NEW)
    rollout.work()
    rollout.driver.crash("w0")
    rollout.start("w0", OLD, redefines=True)
    rollout.work()
    rollout.driver.leave("w0")
    rollout.events()
    assert "must not come back unasked" in rollout.halts("w1")
    rollout.driver.crash("w1")
    rollout.start("w1", OLD, redefines=True)
    rollout.work()
    for partition in range(PARTITIONS):
        assert rollout.definitions(partition) == [OLD.digest, NEW.digest, OLD.digest]
    rollout.check()

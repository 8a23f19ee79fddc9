"""A ledger entry that moves no offset is waited for too: its mark stands with the offsets."""

from __future__ import annotations

import pytest

from runtime.refolding import ledger_of
from tidemill.contracts.topics import EVENTS, LEDGER, TOPICS
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.errors import InvariantError
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.plants import event_value, sample_terms

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
CHALLENGERS = {"plain": ["linear_model.LinearRegression"]}
BEFORE = sample_terms(partitions=1)
AFTER = sample_terms(partitions=1, challengers=CHALLENGERS)
LATE = f"{LEDGER}-0"


class Plant:
    """One partition whose workers start under `terms`."""

    def __init__(self) -> None:
        self.terms = BEFORE
        self.cluster = MemoryCluster({topic.name: 1 for topic in TOPICS})
        self.driver = Driver(self.cluster, self.learner)

    def learner(self) -> LearnerFactory:
        # All is saved at once: no snapshot that a change of terms leaves shows its entry early.
        return LearnerFactory(self.terms, SigningKey(bytes(32)), Policy(snapshot_every=1))

    def event(self, number: int) -> None:
        self.driver.send(EVENTS, 0, event_value("press", number, X, 1.0), key=b"press")

    def wait(self, instance: str) -> None:
        for _ in range(400):
            self.driver.step(instance)
            self.cluster.advance(1.0)

    def entries(self) -> int:
        """Return how many entries stand in the ledger, seen or not."""
        slots = self.cluster.log(LEDGER, 0).slots
        return sum(
            (slot.message.key or b"").startswith(b"learner|") for slot in slots if slot.message
        )

    def commit_with_a_late_ledger(self, instance: str) -> None:
        """Let a worker commit its first entry and go; of the markers only the ledger's is late."""
        coordinator = self.cluster.coordinator
        before = self.entries()
        coordinator.holds_markers = True
        self.driver.start(instance)
        for _ in range(40):
            self.driver.step(instance)
            if self.entries() > before:
                break
            coordinator.write_markers()
        self.driver.leave(instance)
        while (held := coordinator.held_markers) != [LATE]:
            coordinator.write_marker(int(held[0] == LATE))
        coordinator.holds_markers = False
        self.cluster.advance(11.0)


def test_a_successor_waits_for_the_genesis() -> None:
    plant = Plant()
    plant.commit_with_a_late_ledger("w0")
    plant.event(0)
    plant.driver.start("w1")
    plant.driver.step("w1", 400)
    assert plant.driver.left()

    plant.driver.drain()
    assert [entry.kind for entry in ledger_of(plant.cluster, 0)] == ["GENESIS", "APPLIED"]


def test_a_successor_waits_for_a_change_of_terms() -> None:
    plant = Plant()
    plant.driver.start("w0")
    plant.event(0)
    plant.driver.drain()
    plant.driver.leave("w0")
    plant.cluster.advance(11.0)
    plant.terms = AFTER
    plant.commit_with_a_late_ledger("w1")
    plant.event(1)
    plant.driver.start("w2")
    plant.driver.step("w2", 400)
    assert plant.driver.left()

    plant.driver.drain()
    kinds = [entry.kind for entry in ledger_of(plant.cluster, 0)]
    assert kinds == ["GENESIS", "APPLIED", "ACTION", "APPLIED"]


def test_a_ledger_that_lost_its_end_halts_the_worker_in_the_end() -> None:
    plant = Plant()
    plant.driver.start("w0")
    plant.event(0)
    plant.driver.drain()
    plant.driver.leave("w0")
    log = plant.cluster.log(LEDGER, 0)
    log.slots.clear()
    plant.cluster.advance(11.0)
    plant.driver.start("w1")
    with pytest.raises(InvariantError, match="restore the ledger topic"):
        plant.wait("w1")

"""Crashes, aborts and rebalances at any point change nothing of what is told of drifts."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from drift.watched_plant import KEY, REFERENCE, answer, events, prediction, terms
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, EVENTS, TOPICS, UPDATES
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.processors.drift.processor import DriftFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message

ASSETS = ("north/1", "south/1", "south/2")
WORKERS = ("w0", "w1")
POLICY = Policy(snapshot_every=70, define_every=5)


def factory(given: Terms) -> DriftFactory:
    """Return a factory that saves often, so that restores begin at many different entries."""
    return DriftFactory(given, KEY, POLICY, reference=REFERENCE)


class Plant:
    """Writes events of three assets on two partitions, shifted from some event on."""

    def __init__(self, given: Terms) -> None:
        self.cluster = MemoryCluster({topic.name: 2 for topic in TOPICS})
        self.driver = Driver(self.cluster, partial(factory, given), batch=23)
        self._terms = given

    def write(self, messages: list[Message], partition: int) -> None:
        """Write records to the partition of an asset."""
        for each in messages:
            self.driver.send(each.topic, partition, each.value, key=each.key)

    def told(self) -> list[tuple[int, bytes | None]]:
        """Return what was said of drifts and to models, in order within each partition."""
        return [(m.partition, m.value) for m in self.driver.outputs(DRIFT, UPDATES)]

    def records(self) -> list[dict[str, object]]:
        """Return the records of drifts."""
        return [codec("Drift").decode(m.value) for m in self.driver.outputs(DRIFT)]


def story() -> list[tuple[int, list[Message]]]:
    """Return what is written, piece by piece: each asset is shifted in turn."""
    pieces = []
    for turn in range(6):
        for place, asset in enumerate(ASSETS):
            shift = 6.0 * (turn == place + 2)
            part = events(45, start=45 * turn, seed=turn, shift=shift, asset=asset)
            pieces.append((place % 2, part))
    return pieces


def disturbed(plant: Plant, rng: random.Random) -> None:
    """Let workers crash, abort, leave, hang and come back while the story is told."""
    for partition, part in story():
        plant.write(part, partition)
        for _ in range(rng.randint(1, 4)):
            worker = rng.choice(WORKERS)
            plant.driver.start(worker)
            plant.driver.step(worker, rng.randint(1, 12))
            act = rng.choice(("crash", "abort", "leave", "freeze", "step", "step"))
            if act == "step":
                plant.driver.step(worker, 5)
            else:
                getattr(plant.driver, act)(worker)
    plant.driver.drain()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("short", [{}, {"question_timeout": "20s"}, {"hold_at_most": 0.1}])
def test_crashes_anywhere_change_nothing_that_is_told(seed: int, short: dict[str, object]) -> None:
    calm, plant = Plant(terms(**short)), Plant(terms(**short))
    for partition, part in story():
        calm.write(part, partition)
    calm.driver.drain()
    disturbed(plant, random.Random(seed))

    assert {r["asset"] for r in calm.records() if r["held"]} == set(ASSETS)
    assert plant.told() == calm.told()
    entries = [Entry.decode(m.value) for m in plant.driver.outputs(DRIFT_LEDGER)]
    for partition in range(2):
        own = [entry for entry in entries if entry.partition == partition]
        for before, after in zip([None, *own], own, strict=False):
            after.check_follows(before, where=str(after.sequence))


def test_an_answer_is_taken_after_a_crash_and_the_state_is_that_before() -> None:
    plant = Plant(terms())
    plant.write(events(150) + events(30, start=150, seed=2, shift=6.0), 0)
    plant.driver.drain()
    asked = next(r for r in plant.records() if r["held"])
    plant.driver.crash("last-resort")
    plant.write([answer(0, str(asked["drift_id"]), "PROCESS_CHANGE")], 0)
    plant.write([prediction(0, 1.0)], 0)
    plant.driver.drain()

    statuses = [r["status"] for r in plant.records() if r["kind"] == "MULTIVARIATE"]
    assert statuses == ["OPEN", "PROCESS_CHANGE"]
    sent = [codec("Update").decode(m.value) for m in plant.driver.outputs(UPDATES)]
    assert [u["kind"] for u in sent] == ["HOLD", "PROCESS_CHANGE", "RELEASE"]
    assert sent[2]["label"] == "process_change"
    assert sent[2]["cause"]["topic"] == UPDATES


def test_a_definition_that_changes_watches_anew_only_what_it_must() -> None:
    plant = Plant(terms())
    plant.write(events(100), 0)
    plant.driver.drain()
    plant.driver.leave("last-resort")
    for given, kept in ((terms(question_timeout="1h"), 1), (terms(run_length=5000), 0)):
        again = Driver(plant.cluster, partial(factory, given), batch=23)
        again.send(EVENTS, 0, b"nobody's")
        again.drain()
        entries = [Entry.decode(m.value) for m in again.outputs(DRIFT_LEDGER)]
        last = [e for e in entries if e.partition == 0 and e.kind == "ACTION"][-1]
        assert last.actions[0].detail["digest"] == given.digest.hex()
        assert last.learned == kept
        again.leave("last-resort")

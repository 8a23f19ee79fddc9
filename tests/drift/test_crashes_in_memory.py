"""Crashes, aborts and rebalances at any point change nothing of what is told of drifts."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from drift.watched_plant import (
    KEY,
    REFERENCE,
    TERMS,
    answer,
    event,
    events,
    prediction,
    task,
    terms,
)
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, DRIFT_SNAPSHOTS, EVENTS, TOPICS, UPDATES
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.fold.terms import Terms
from tidemill.processors.drift import plans
from tidemill.processors.drift.processor import DriftFactory
from tidemill.processors.drift.task import DriftTask
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import RECORD, RECORD_ID

if TYPE_CHECKING:
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
@pytest.mark.parametrize("short", [{}, {"question_timeout": "20s"}, {"hold_at_most": 0.2}])
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


def test_states_that_are_refused_are_folded_from_the_beginning_through_changed_terms() -> None:
    plant = Plant(terms())
    plant.write(events(150) + events(30, start=150, seed=2, shift=6.0), 0)
    plant.driver.drain()
    plant.driver.leave("last-resort")
    given = terms(run_length=500)
    again = Driver(plant.cluster, partial(factory, given), batch=23)
    for each in events(190, start=180, seed=3):
        again.send(each.topic, 0, each.value, key=each.key)
    again.drain()
    committed = {
        topic: again.cluster.committed_offset("tidemill.driven", topic, 0)
        for topic in DriftFactory.inputs
    }

    found = []
    for key in (KEY, SigningKey(b"another".ljust(32))):
        other = DriftFactory(given, key, POLICY, reference=REFERENCE)
        opened = drained(other.open(0, committed, MemoryLog(plant.cluster)))
        assert isinstance(opened.task, DriftTask)
        assert not opened.first_emits
        found.append((opened.task.snapshot(), opened.task.refolded))
        assert bool(opened.task.refused) == (key is not KEY)
    assert found[0][0] == found[1][0]
    assert found[0][1] < found[1][1]


def test_states_of_another_release_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Plant(terms())
    plant.write(events(150) + events(30, start=150, seed=2, shift=6.0), 0)
    plant.driver.drain()
    committed = {
        topic: plant.cluster.committed_offset("tidemill.driven", topic, 0)
        for topic in DriftFactory.inputs
    }

    found = []
    for form in (plans.FORM, (0, 0, 0)):
        monkeypatch.setattr(plans, "FORM", form)
        opened = drained(factory(terms()).open(0, committed, MemoryLog(plant.cluster)))
        assert isinstance(opened.task, DriftTask)
        assert not opened.first_emits
        found.append((opened.task.snapshot(), opened.task.refolded))
    assert found[0][0] == found[1][0]
    assert found[0][1] < 180 <= found[1][1]


def test_schemas_met_while_running_are_read_from_there_on() -> None:
    without = Terms(TERMS.definition, {})
    own = task(without)
    message = event(0, {"vibration": 1.0, "temperature": 20.0, "flow": 1.0})
    assert own.unread([message]) == {RECORD_ID}
    assert own.process_batch([message]) == []
    own.seal({EVENTS: 1})
    assert not own.watching.watched

    (entry, *saved) = own.grow({RECORD_ID: RECORD}, {EVENTS: 1})
    assert saved == []
    assert Entry.decode(entry.value).definition == TERMS.digest
    assert own.unread([message]) == set()
    own.process_batch([message._replace(offset=1)])
    assert len(own.watching.watched) == 1


def test_states_are_written_in_smaller_parts_where_a_broker_refuses_them() -> None:
    given = factory(terms())
    given.write_smaller()
    own = task(policy=Policy(snapshot_every=1).smaller().smaller())
    own.process_batch(events(20))
    states = [emit for emit in own.seal({EVENTS: 20}) if emit.topic == DRIFT_SNAPSHOTS]
    assert states
    assert max(len(emit.value or b"") for emit in states) < 900_000 / 4 + 2_000

"""An asset that is let go of: its state goes, its episodes are over, and it can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drift.test_crashes_in_memory import Plant
from drift.test_questions import CHANGE_AT, shifted
from drift.test_second_thoughts import restarted
from drift.watched_plant import ASSET, KEY, REFERENCE, TERMS, events, terms
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, DRIFT_SNAPSHOTS, EVENTS, UPDATES
from tidemill.fold.audit import Span
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.models.state import ModelKey
from tidemill.processors.drift.audit import Asked, replay, verify
from tidemill.processors.drift.processor import DriftFactory, DriftTask
from tidemill.processors.drift.retiring import Unwatched, prepare, retire
from tidemill.runtime.sole_member import SoleMember
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from tidemill.kernel.records import Message
    from tidemill.testing.driver import Driver

OTHER = "south/2"
GONE = ModelKey("pump", ASSET, "drift")
STAYS = ModelKey("pump", OTHER, "drift")


def found(plant: Plant, asset: str = ASSET, stream: str | None = None) -> Unwatched | None:
    """Return what letting go of an asset would do."""
    cluster = plant.cluster
    committed = {
        topic: cluster.committed_offset("tidemill.driven", topic, 0)
        for topic in DriftFactory.inputs
    }
    work = prepare(
        MemoryLog(cluster),
        0,
        committed,
        asset=asset,
        stream=stream,
        terms=TERMS,
        signing=KEY,
        reference=REFERENCE,
    )
    return drained(work)


def let_go(plant: Plant) -> Entry:
    """Let go of the asset; return the entry that says so."""
    leaving = found(plant)
    assert leaving is not None
    assert leaving.keys == (GONE,)
    emits, positions = retire(leaving, "ann", KEY)
    cluster, group = plant.cluster, "tidemill.driven"
    member = SoleMember(
        cluster, DriftFactory.inputs, group=group, name="retire", partitions=2, clock=cluster.now
    )
    member.join()
    member.commit(emits, {(topic, 0): at for topic, at in positions.items()})
    member.close()
    cluster.advance(60.0)
    (entry,) = [Entry.decode(e.value) for e in emits if e.topic == "drift.ledger" and e.value]
    assert entry.sequence == leaving.entry
    return entry


@pytest.fixture
def plant() -> Plant:
    """Return a plant that holds an asset, beside another one."""
    plant = Plant(terms())
    both = [*events(CHANGE_AT), *events(CHANGE_AT, asset=OTHER), *shifted(30)]
    plant.write([each._replace(offset=n) for n, each in enumerate(both)], 0)
    plant.driver.drain()
    plant.driver.leave("last-resort")
    return plant


def check(plant: Plant) -> None:
    """Hold the past against the ledger, and fold it again, from the beginning and from states."""
    log = MemoryLog(plant.cluster)
    assert verify(log, 0, KEY).findings == []
    for signing in (None, KEY):
        assert replay(log, 0, signing, asked=Asked(reference=REFERENCE)).findings == []


def test_an_asset_let_go_of_has_no_state_and_what_stood_is_over(plant: Plant) -> None:
    updates = len(plant.driver.outputs(UPDATES))
    entry = let_go(plant)
    assert (entry.kind, entry.actions[0].kind) == ("ACTION", "retire")
    assert entry.actions[0].detail == {"stream": "pump", "asset": ASSET, "actor": "ann"}
    assert entry.learned == 1
    closed = codec("Drift").decode(plant.driver.outputs(DRIFT)[-1].value)
    assert (closed["asset"], closed["status"], closed["held"]) == (ASSET, "CLOSED", True)
    assert len(plant.driver.outputs(UPDATES)) == updates
    assert found(plant) is None
    check(plant)


def test_it_comes_back_as_one_that_was_never_seen(plant: Plant) -> None:
    let_go(plant)
    again = restarted(plant, terms())
    task = task_of(again)
    assert set(task.watching.watched) == {STAYS}
    for each in events(40, start=400):
        again.send(each.topic, 0, each.value, key=each.key)
    again.drain()
    assert task_of(again).watching.watched[GONE].allowance.events == 40
    check(plant)
    restored, anew = (task_of(again, each) for each in (KEY, SigningKey(b"another".ljust(32))))
    assert restored.snapshot() == anew.snapshot()


def test_what_came_after_is_folded_again_from_any_entry_on(plant: Plant) -> None:
    """States from before it was let go of, which may still be there, are of no use for that."""
    entry = let_go(plant)
    again = restarted(plant, terms())
    for each in events(40, start=400):
        again.send(each.topic, 0, each.value, key=each.key)
        again.drain()
    entries = [Entry.decode(m.value) for m in again.outputs(DRIFT_LEDGER) if m.partition == 0]
    last = entries[-1].sequence
    assert last >= entry.sequence + 40
    log = MemoryLog(plant.cluster)
    for sequence in range(entry.sequence - 2, last + 1, 3):
        asked = Asked(Span(AtSequence(sequence)), REFERENCE)
        assert replay(log, 0, KEY, asked=asked).findings == [], sequence


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_past_whose_beginning_is_gone_is_folded_though_states_of_then_were_deleted(
    *, is_let_go: bool, returns: bool
) -> None:
    """By somebody's word, or as it was watched otherwise from some entry on."""
    plant = Plant(terms())
    calm = [each for n in range(CHANGE_AT) for a in (ASSET, OTHER) for each in [one(n, a)]]
    plant.write([e._replace(offset=n) for n, e in enumerate([*calm, *shifted(30)])], 0)
    plant.driver.drain()
    plant.driver.leave("last-resort")
    if is_let_go:
        let_go(plant)
    again = restarted(plant, terms() if is_let_go else terms(run_length=200))
    assets = [ASSET, OTHER] if returns else [OTHER]
    for each in [one(n, asset) for n in range(400, 520) for asset in assets]:
        again.send(each.topic, 0, each.value, key=each.key)
    again.drain()
    plant.cluster.log(DRIFT_SNAPSHOTS, 0).compact()
    ledger = [m for m in again.outputs(DRIFT_LEDGER) if m.partition == 0]
    entry = next(e for m in ledger[3:] if (e := Entry.decode(m.value)).runs)
    plant.cluster.log(DRIFT_LEDGER, 0).begin = ledger[entry.sequence].offset
    plant.cluster.log(EVENTS, 0).begin = entry.runs[0].first
    asked = Asked(reference=REFERENCE, known=(terms(),))
    report = replay(MemoryLog(plant.cluster), 0, KEY, asked=asked)
    assert report.findings == []
    assert report.first == entry.sequence + 1


def one(number: int, asset: str) -> Message:
    (found,) = events(1, start=number, seed=number, asset=asset)
    return found


def task_of(driver: Driver, signing: SigningKey = KEY) -> DriftTask:
    """Return the task of the first partition as it is rebuilt from states so signed."""
    committed = {
        topic: driver.cluster.committed_offset("tidemill.driven", topic, 0)
        for topic in DriftFactory.inputs
    }
    made = DriftFactory(TERMS, signing, Policy(), reference=REFERENCE)
    opened = drained(made.open(0, committed, MemoryLog(driver.cluster)))
    assert isinstance(opened.task, DriftTask)
    return opened.task


def test_only_what_is_watched_of_the_stream_named_is_found(plant: Plant) -> None:
    assert found(plant, stream="press") is None
    assert found(plant, asset="west/9") is None
    named = found(plant, stream="pump")
    assert named is not None
    assert named.keys == (GONE,)


def test_its_saved_states_are_deleted(plant: Plant) -> None:
    let_go(plant)
    newest = {m.key: m.value for m in plant.driver.outputs(DRIFT_SNAPSHOTS)}
    left = {key for key, value in newest.items() if value is not None}
    assert left
    assert not any(ASSET.encode() in (key or b"") for key in left)

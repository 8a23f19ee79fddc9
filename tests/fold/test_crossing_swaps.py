"""Recovery, replicas and the order of crashes around a swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fold.corrected import OTHER, POLICY, TREE, Corrected, terms_of
from fold.history import KEY, ListLog
from fold.plain_order import Plain
from fold.test_refolding import busy, check_later
from tidemill.contracts.topics import ANCHORS, LEDGER, SNAPSHOTS
from tidemill.fold.audit import Span, replay
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.crossing import Anchored
from tidemill.fold.ledger_log import entries_after, last_entry
from tidemill.fold.recovery import recover
from tidemill.fold.replica import Replica
from tidemill.fold.swapping import Swap
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.processors.learner.correcting import Allowance
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey

CHALLENGED = {"plain": ["linear_model.LinearRegression"]}
KEEPS = Policy(snapshot_every=10_000, anchor_every=1_000_000, define_every=50)

ONCE = Policy(snapshot_every=3, anchor_every=1_000_000, define_every=50)


def corrected(policy: Policy = POLICY) -> tuple[Corrected, Plain]:
    """Return a partition after two corrections of one asset, and what its champion must be."""
    plant = Corrected(terms_of(LINEAR, challengers=CHALLENGED), policy=policy)
    said = busy(plant, 12)
    plant.apply([plant.say("RETRACT", "r1", target_id="f2")], plant.events(3))
    plant.correct()
    busy(plant, 2, feedback=False)
    plant.apply([plant.say("RETRACT", "r2", target_id="f8", model="pump/champion")])
    plant.correct()
    edits: dict[int, bytes | None] = {said["f2"].offset: None, said["f8"].offset: None}
    return plant, Plain(plant.terms, edits=edits)


@pytest.mark.parametrize("policy", [POLICY, KEEPS], ids=["saves often", "saves only swaps"])
def test_a_worker_that_starts_after_a_swap_goes_on_from_it(policy: Policy) -> None:
    plant, plain = corrected(policy)
    before = states(plant)
    plant.open(plant.terms)
    assert states(plant) == before
    assert not plant.learner.is_busy
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(9))

    check_later(plant, plain, since)


def states(plant: Corrected) -> dict[ModelKey, tuple[int, int, bytes, object]]:
    """Return where all models stand."""
    fleet = plant.learner.fold.fleet
    return {
        t.key: (t.state.version, t.structure, t.state.lineage, t.state.controls)
        for t in fleet
        if t.mark
    }


def test_a_worker_that_starts_before_the_swap_finds_what_waits() -> None:
    for events in (0, 30):
        plant = Corrected(terms_of(TREE))
        said = busy(plant, 8)
        plant.apply([plant.say("RETRACT", "r", target_id="f4")], plant.events(events))
        assert plant.learner.work(0.001) is False
        plant.open(plant.terms)
        assert plant.learner.is_busy
        plant.correct()
        since = plant.log.ends["sensor.events"]
        plant.apply(plant.events(9))

        check_later(plant, Plain(plant.terms, edits={said["f4"].offset: None}), since)


@pytest.mark.parametrize("policy", [POLICY, ONCE, KEEPS], ids=["often", "once", "only swaps"])
def test_a_replica_from_genesis_crosses_swaps_by_their_anchors(policy: Policy) -> None:
    plant, _ = corrected(policy)
    replica = replayed(plant.log, Anchored(plant.log, 0, KEY))
    assert replica.fold is not None
    for tracked in plant.learner.fold.fleet:
        again = replica.fold.fleet.get(tracked.key)
        assert again is not None
        assert again.state.controls == tracked.state.controls
        assert again.structure == tracked.structure


def replayed(log: ListLog, swaps: Anchored) -> Replica:
    """Return a replica that folded the whole ledger; it found nothing that differs."""
    replica = Replica(log, 0, {}, swaps=swaps)
    tail = drained(last_entry(log, 0))
    assert tail is not None
    for placed in entries_after(log, 0, -1, tail):
        if placed is not None:
            step = drained(replica.step(placed, {}))
            assert step.differences == ()
    return replica


def test_a_replica_says_what_it_lacks_to_cross_a_swap() -> None:
    plant, _ = corrected()
    with pytest.raises(InvariantError, match=r"was swapped for its re-fold there.*signing key"):
        replayed(plant.log, Anchored(plant.log, 0, None))
    bare = plant.log.copy()
    bare.topics[ANCHORS] = []
    with pytest.raises(DependencyUnavailableError, match=r"in model.anchors-0: restore the record"):
        replayed(bare, Anchored(bare, 0, KEY))


def test_a_swap_whose_snapshot_is_refused_is_taken_from_its_anchor() -> None:
    plant, plain = corrected()
    spoiled = plant.entries()[-1].snapshots
    assert spoiled
    key = spoiled[0].encode()
    newest = [m for m in plant.log.topics[SNAPSHOTS] if m.key == key][-1]
    assert newest.value is not None
    plant.log.put(newest._replace(value=newest.value[:-1] + bytes([newest.value[-1] ^ 1])))
    before = states(plant)
    recovered = drained(recover(plant.log, 0, plant.positions, signing=KEY))
    assert recovered is not None
    assert len(recovered.refused) == 1
    plant.open(plant.terms)
    assert states(plant) == before
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(9))

    check_later(plant, plain, since)


def test_one_entry_holds_the_swap_and_all_that_belongs_to_it() -> None:
    plant, _ = corrected()
    for entry in plant.entries():
        if any(action.kind == "swap" for action in entry.actions):
            names = [action.detail["model"] for action in entry.actions]
            assert entry.kind == "ACTION"
            assert not entry.runs
            assert list(entry.snapshots) == names
            lineages = {f"{m.stream}|{m.asset}|{m.model}": m.lineage.hex() for m in entry.models}
            assert lineages == {a.detail["model"]: a.detail["lineage"] for a in entry.actions}
    assert plant.log.topics[LEDGER][-1].offset


class Counted(ListLog):
    """Topics that count how often one is read."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        self.reads += 1
        for messages in super().read(topic, partition, start, stop):
            self.records += len(messages)
            yield messages

    reads = records = 0


def much_later(anchors: int, **more: str) -> Corrected:
    """Return a partition whose one swap has so many newer anchors of its model, at least."""
    every = Policy(snapshot_every=1, anchor_every=1, define_every=2)
    plant = Corrected(terms_of(LINEAR), policy=every)
    for _ in range(4):
        plant.apply(plant.events(3))
    plant.apply([plant.example("wrong", **more)], plant.events(4))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    plant.correct()
    for _ in range(anchors):
        plant.apply(plant.events(1))
    return plant


def test_of_the_anchors_of_others_few_are_read_to_cross_a_swap() -> None:
    plant = much_later(10)
    for _ in range(300):
        plant.apply(plant.events(1, asset=OTHER))
    (entry,) = [e for e in plant.entries() if any(a.kind == "swap" for a in e.actions)]
    log = Counted(plant.log.topics, plant.log.ends)
    drained(Anchored(log, 0, KEY)(plant.learner.fold, Swap.of(entry.actions[0]), entry))
    assert log.records < 80
    assert len(log.topics[ANCHORS]) > 300


@pytest.mark.parametrize("later", [64, 1_000])
def test_a_swap_is_crossed_however_many_anchors_are_newer(later: int) -> None:
    plant = much_later(later)
    assert len(plant.log.topics[ANCHORS]) > later
    (at,) = [n for n, e in enumerate(plant.entries()) if any(a.kind == "swap" for a in e.actions)]
    entry = plant.entries()[at]
    log = Counted(plant.log.topics, plant.log.ends)
    state = drained(Anchored(log, 0, KEY)(plant.learner.fold, Swap.of(entry.actions[0]), entry))
    assert state.lineage == Swap.of(entry.actions[0]).lineage
    assert log.reads < 20

    plant.log.forget_before(LEDGER, plant.log.topics[LEDGER][at - 3].offset)
    report = replay(plant.log, 0, KEY, span=Span(AtSequence(entry.sequence - 1)))
    assert report.findings == []


def test_an_anchor_that_cannot_be_read_hides_no_other() -> None:
    plant = much_later(20)
    (entry,) = [e for e in plant.entries() if any(a.kind == "swap" for a in e.actions)]
    swap = Swap.of(entry.actions[0])
    for number, message in enumerate(list(plant.log.topics[ANCHORS])):
        if number % 2 == 0 and message.key == swap.key.encode():
            before = plant.log.copy()
            plant.log.put(message._replace(value=b"\0"))
            try:
                drained(Anchored(plant.log, 0, KEY)(plant.learner.fold, swap, entry))
            except DependencyUnavailableError:
                plant.log = before
    state = drained(Anchored(plant.log, 0, KEY)(plant.learner.fold, swap, entry))
    assert state.lineage == swap.lineage


def test_a_base_is_found_however_many_anchors_are_newer() -> None:
    plant = much_later(100, event_id="late")
    allowed = Allowance(events=130)
    plant.allowance = allowed
    plant.log.forget_before(LEDGER, plant.log.topics[LEDGER][1].offset)
    plant.open(plant.terms)
    plant.apply([plant.example("other", event_id="other")], plant.events(1))
    for _ in range(70):
        plant.apply(plant.events(1, labelled=False))
    plant.apply([plant.revision("other", 1.0, feedback="c")])
    plant.correct()
    assert [each["status"] for each in plant.receipts()][-1] == "APPLIED"
    assert len(plant.actions("swap")) == 2

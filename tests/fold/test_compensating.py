"""What becomes of corrections that no re-fold can make, and of those whose model goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fold.corrected import ASSET, OTHER, TREE, Corrected, Ticking, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_refolding import busy, check_later
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER
from tidemill.fold.audit import replay, verify
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.retiring import Leaving, prepare, retire
from tidemill.processors.learner.correcting import Allowance
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from tidemill.fold.plans import StreamPlan
    from tidemill.kernel.records import Message
    from tidemill.models.refining import Stored
    from tidemill.models.state import ModelState

RARE = Policy(snapshot_every=5, anchor_every=1_000_000, define_every=1_000)


def told(plant: Corrected, feedback: str) -> tuple[str, str | None]:
    """Return status and reason of the last receipt of a feedback."""
    found = [r for r in plant.receipts() if r["feedback_id"] == feedback]
    return found[-1]["status"], found[-1]["reason"]


def asked(
    allowance: Allowance, target: str = "f2", **more: object
) -> tuple[Corrected, dict[str, Message]]:
    """Return a partition with a retraction that waits."""
    plant = Corrected(terms_of(LINEAR), allowance=allowance, **more)  # type: ignore[arg-type]  # tests pass what fits
    said = busy(plant, 20)
    plant.apply([plant.say("RETRACT", "r", target_id=target)], plant.events(2))
    return plant, said


@pytest.mark.parametrize(
    ("unlabelled", "reason"),
    [
        (0, "no state within 30 events before what it concerns is retained"),
        (200, "more than 130 events would have to be folded again"),
    ],
)
def test_a_re_fold_of_too_many_events_is_compensated(unlabelled: int, reason: str) -> None:
    plant, _ = asked(Allowance(events=130 if unlabelled else 30))
    plant.apply(plant.events(unlabelled, labelled=False))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))

    assert told(plant, "r") == ("COMPENSATED", reason)
    assert [action["reason"] for action in plant.actions("compensate")] == [reason]
    assert plant.learner.is_busy is False
    assert replay(plant.log, 0, KEY).findings == []
    check_later(plant, Plain(plant.terms), since)


def test_a_re_fold_that_takes_too_long_is_compensated() -> None:
    plant, _ = asked(Allowance(seconds=0.02), clock=Ticking())
    plant.correct(budget_s=0.003)
    assert told(plant, "r") == ("COMPENSATED", "it would take more than 0.02 s of work")
    assert replay(plant.log, 0, KEY).findings == []


def test_without_a_base_a_correction_is_compensated() -> None:
    plant, _ = asked(Allowance(), "f0", policy=RARE)
    plant.log.forget_before(LEDGER, plant.log.topics[LEDGER][1].offset)
    plant.correct()
    status, reason = told(plant, "r")
    assert status == "COMPENSATED"
    assert reason == "no older state of it is retained, nor all records from its beginning"


def test_from_the_beginning_or_from_an_anchor_it_is_the_same_model() -> None:
    lineages = set()
    for policy in (RARE, replace(RARE, anchor_every=3), replace(RARE, anchor_every=17)):
        plant, said = asked(Allowance(), policy=policy)
        plant.correct()
        since = plant.log.ends[EVENTS]
        plant.apply(plant.events(9))
        check_later(plant, Plain(plant.terms, edits={said["f2"].offset: None}), since)
        lineages.add(plant.predictions()[-1]["lineage"])
    assert len(lineages) == 1


def test_a_spoiled_anchor_makes_an_older_one_the_base() -> None:
    plant, said = asked(Allowance())
    for message in plant.log.topics[ANCHORS]:
        if (message.key or b"").split(b"|")[1] == ASSET.encode() and message.offset > 6:
            assert message.value is not None
            plant.log.put(message._replace(value=message.value[:-1] + b"\0"))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={said["f2"].offset: None}), since)


def test_a_revision_beyond_the_allowance_is_learned_once_where_it_came() -> None:
    plant = Corrected(terms_of(LINEAR), allowance=Allowance(events=1))
    plant.apply([plant.example(event_id="late")], plant.events(20))
    revision = plant.revision("late", 40.0)
    plant.apply([revision])
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms), since)
    assert [a["updates"] for a in plant.actions("compensate")] == [str(revision.offset)]


def test_a_compensated_revision_is_taken_back_like_any_other() -> None:
    plant = Corrected(terms_of(LINEAR), allowance=Allowance(events=1))
    plant.apply([plant.example(event_id="late")], plant.events(20))
    revision = plant.revision("late", 40.0, feedback="c")
    plant.apply([revision], plant.events(3))
    plant.correct()
    plant.allowance = Allowance()
    plant.open(plant.terms)
    plant.apply([plant.say("RETRACT", "r", target_id="c")])
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    assert (told(plant, "c")[0], told(plant, "r")[0]) == ("COMPENSATED", "RETRACTED")
    check_later(plant, Plain(plant.terms, edits={revision.offset: None}), since)


def test_what_waits_for_a_model_that_begins_anew_is_compensated_first() -> None:
    plant, _ = asked(Allowance())
    plant.open(terms_of(TREE))
    assert told(plant, "r") == ("COMPENSATED", "its model began anew with another definition")
    assert not plant.learner.is_busy
    plant.apply(plant.events(4))
    assert replay(plant.log, 0, KEY).findings == []


def test_a_changed_definition_that_leaves_the_model_leaves_what_waits() -> None:
    plant, said = asked(Allowance())
    plant.open(terms_of(LINEAR, challengers={"tree": list(TREE)}))
    assert plant.learner.is_busy
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={said["f2"].offset: None}), since)
    assert replay(plant.log, 0, KEY).findings == []


def test_what_waits_for_a_retired_asset_is_compensated_first() -> None:
    plant, _ = asked(Allowance())
    leaving = Leaving(ASSET, "somebody")
    farewell = drained(prepare(plant.log, 0, plant.positions, leaving=leaving, signing=KEY))
    announced = farewell.entry
    emits, _ = retire(farewell, KEY)
    plant._write(emits)
    assert plant.entries()[-1].sequence == announced
    assert told(plant, "r") == ("COMPENSATED", "the asset was retired")
    plant.open(plant.terms)
    plant.apply(plant.events(4), [plant.example()])
    assert not plant.learner.is_busy
    assert replay(plant.log, 0, KEY).findings == []


def test_what_was_learned_before_the_model_began_anew_cannot_be_taken_back() -> None:
    plant = Corrected(terms_of(LINEAR))
    busy(plant, 6)
    plant.open(terms_of(TREE))
    busy(plant, 6, feedback=False)
    plant.apply([plant.say("RETRACT", "r", target_id="f2")])
    plant.correct()
    status, reason = told(plant, "r")
    assert status == "COMPENSATED"
    assert reason is not None
    assert "began anew" in reason


def test_models_of_a_type_are_left_as_they_are() -> None:
    plant = Corrected(
        terms_of(LINEAR, stream={"model": {"champion": LINEAR, "start_from": "stream"}})
    )
    busy(plant, 4)
    before = plant.learner.fold.fleet.get
    key = next(t.key for t in plant.learner.fold.fleet if t.key.asset == ASSET)
    busy(plant, 6, feedback=False)
    late = plant.example("late")
    plant.apply([late], [*plant.events(4), *plant.events(4, asset=OTHER)])
    of_type = before(key._replace(asset=""))
    assert of_type is not None
    lineage = of_type.state.lineage
    own = before(key)
    assert own is not None
    lineage_of_asset = own.state.lineage
    plant.apply([plant.say("RETRACT", "r", target_id="late")])
    plant.correct()
    again = before(key)
    assert again is not None
    assert told(plant, "r")[0] == "RETRACTED"
    assert again.state.lineage != lineage_of_asset
    kept = before(key._replace(asset=""))
    assert kept is not None
    assert kept.state.lineage == lineage
    assert replay(plant.log, 0, KEY).findings == []


@pytest.mark.parametrize("target", ["nobody", "f2"])
def test_taking_back_what_is_not_there_changes_nothing(target: str) -> None:
    plant, said = asked(Allowance())
    plant.correct()
    plant.apply([plant.say("RETRACT", "again", target_id=target)], plant.events(3))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    assert told(plant, "again")[0] == "RETRACTED"
    check_later(plant, Plain(plant.terms, edits={said["f2"].offset: None}), since)


@pytest.mark.parametrize("anchor_every", [3, 1_000_000])
@pytest.mark.parametrize("opens", [False, True])
def test_a_retraction_of_nothing_says_so_and_takes_no_place_for_ever(
    anchor_every: int, *, opens: bool
) -> None:
    plant, said = asked(Allowance(), policy=replace(RARE, anchor_every=anchor_every))
    plant.correct()
    for number, target in enumerate(("nobody", "somebody")):
        plant.apply([plant.say("RETRACT", f"again-{number}", target_id=target)], plant.events(3))
    plant.correct()
    if opens:
        plant.open(plant.terms)
    decided = plant.learner.fold.fleet.of("pump", ASSET).models[0].state.decided
    assert [len(decided.edits), len(decided.pending)] == [1, 0]
    assert told(plant, "again-1") == ("RETRACTED", "the model had nothing of it to take back")
    swaps = len(plant.actions("swap"))
    plant.apply([plant.say("RETRACT", "other", target_id="f0")], plant.events(3))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))

    assert told(plant, "other") == ("RETRACTED", None)
    assert len(plant.actions("swap")) == swaps + 1
    edits: dict[int, bytes | None] = dict.fromkeys((said["f2"].offset, said["f0"].offset))
    check_later(plant, Plain(plant.terms, edits=edits), since)
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []


@pytest.mark.parametrize("restarts", [False, True])
def test_a_model_that_rests_is_found_and_corrected(restarts: bool) -> None:
    plant, said = asked(Allowance(), live_models=0, policy=Policy(1, 5, define_every=50))
    for _ in range(4):
        plant.apply(plant.events(3, asset=OTHER))
    if restarts:
        plant.open(plant.terms)
    fleet = plant.learner.fold.fleet
    assert [idle.key.asset for idle in fleet.idle if idle.has_pending] == [ASSET]
    assert fleet.live <= 1
    plant.correct(slices=2, budget_s=0.002)
    plant.apply(plant.events(3, asset=OTHER))
    plant.correct()
    assert not [idle for idle in fleet.idle if idle.has_pending]
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={said["f2"].offset: None}), since)


def test_what_was_compensated_is_repeated_by_later_re_folds() -> None:
    plant = Corrected(terms_of(LINEAR), allowance=Allowance(events=1))
    late, wrong = plant.example(event_id="late"), plant.example("wrong")
    plant.apply([late, wrong], plant.events(20))
    plant.apply([plant.revision("late", 40.0)])
    plant.correct()
    assert len(plant.actions("compensate")) == 1
    plant.apply(plant.events(5))
    plant.allowance = Allowance()
    plant.open(plant.terms)
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")])
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={wrong.offset: None}), since)


def test_what_an_asset_learned_before_it_was_retired_cannot_be_taken_back() -> None:
    plant = Corrected(terms_of(LINEAR))
    busy(plant, 6)
    leaving = Leaving(ASSET, "somebody")
    farewell = drained(prepare(plant.log, 0, plant.positions, leaving=leaving, signing=KEY))
    plant._write(retire(farewell, KEY)[0])
    plant.open(plant.terms)
    plant.apply(plant.events(9))
    plant.apply([plant.say("RETRACT", "r", target_id="f2")])
    plant.correct()
    status, reason = told(plant, "r")
    assert status == "COMPENSATED"
    assert reason is not None
    assert "it began anew after ledger entry" in reason


def test_a_correction_in_force_needs_no_base_from_before_it() -> None:
    plant, _ = asked(Allowance())
    plant.correct()
    in_force = plant.entries()[-1].sequence
    plant.apply(plant.events(15), [plant.example("wrong")])
    plant.apply([plant.say("RETRACT", "again", target_id="wrong")])
    plant.correct()
    first, second = plant.actions("swap")
    assert int(first["base"]) < in_force <= int(second["base"])


@pytest.mark.parametrize("other", ["north/10", "west/1"])
def test_records_of_others_count_for_nothing(other: str) -> None:
    plant = Corrected(terms_of(LINEAR), allowance=Allowance(events=60))
    plant.apply([plant.example("wrong")], plant.events(20))
    for _ in range(10):
        plant.apply([*plant.events(1), *plant.events(10, asset=other)])
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    plant.correct()
    assert told(plant, "r") == ("RETRACTED", None)
    assert [action["events"] for action in plant.actions("swap")] == ["34"]


def test_audits_count_compensations_by_reason() -> None:
    plant, _ = asked(Allowance(events=30))
    plant.correct()
    plant.apply([plant.say("RETRACT", "again", target_id="f3")], plant.events(2))
    plant.open(terms_of(TREE))
    for report in (replay(plant.log, 0, KEY), verify(plant.log, 0, KEY)):
        counts = {name: n for name, n in report.counts.items() if name.startswith("compensated")}
        assert counts == {
            "compensated": 2,
            "compensated_allowance": 1,
            "compensated_changed": 1,
        }
        assert any("1 allowance, 1 changed" in note for note in report.notes)


def test_the_last_cases_are_asked_twice_a_swap_however_many_it_puts_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Corrected(terms_of(LINEAR))
    busy(plant, 12)
    for number in range(0, 12, 2):
        plant.apply([plant.say("RETRACT", f"r{number}", target_id=f"f{number}")])
    while not plant.learner.work(0.02):
        pass
    asked: list[object] = []
    plan = plant.learner.fold.plans["pump"]
    ask = type(plan).ask

    def counted(self: StreamPlan, state: ModelState, x: dict[str, float]) -> Stored:
        asked.append(x)
        return ask(self, state, x)

    monkeypatch.setattr(type(plan), "ask", counted)
    plant._write(plant.learner.take_over(plant.positions))
    cases = len(plant.learner.fold.fleet.of("pump", ASSET).models[0].state.recent.cases)
    assert len(asked) == 2 * (cases + 6)
    told_of = [r for r in plant.receipts() if r["status"] == "RETRACTED"]
    assert [r["effect"]["compared"] for r in told_of] == [cases] * 6

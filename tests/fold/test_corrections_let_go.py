"""Corrections in force are kept no longer than a re-fold may need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fold.corrected import ASSET, OTHER, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_refolding import check_later
from tidemill.contracts.topics import ANCHORS, EVENTS, UPDATES
from tidemill.fold.audit import replay, verify
from tidemill.models.controls import Controls, Edit
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

REACH = 40


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.models.controls.REACH", REACH)


def controls(plant: Corrected) -> Controls:
    return plant.learner.fold.fleet.of("pump", ASSET).models[0].state.decided


def taken_back(plant: Corrected, name: str, *, later: int = 2) -> Message:
    """Let the model learn an example, take it back after some events; return the example."""
    wrong = plant.example(name)
    plant.apply([wrong], plant.events(later))
    plant.apply([plant.say("RETRACT", f"r{name}", target_id=name)], plant.events(1))
    plant.correct()
    return wrong


def check_audits(plant: Corrected) -> None:
    for signing in (KEY, None):
        assert replay(plant.log, 0, signing).findings == []
    assert verify(plant.log, 0, KEY).findings == []


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("restarts", [False, True])
def test_what_no_re_fold_may_begin_before_is_let_go(restarts: bool) -> None:
    plant = Corrected(terms_of(LINEAR))
    first = taken_back(plant, "f1")
    swapped = plant.entries()[-1].sequence
    assert len(controls(plant).edits) == 1
    plant.apply(plant.events(REACH))
    second = taken_back(plant, "f2")
    assert [edit.seen > REACH for edit in controls(plant).edits] == [True]
    assert controls(plant).floor == swapped
    if restarts:
        plant.open(plant.terms)
    third = taken_back(plant, "f3")
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    edits: dict[int, bytes | None] = {each.offset: None for each in (first, second, third)}
    check_later(plant, Plain(plant.terms, edits=edits), since)
    check_audits(plant)


@pytest.mark.usefixtures("short")
def test_nothing_is_folded_again_from_before_the_floor() -> None:
    plant = Corrected(terms_of(LINEAR))
    for _ in range(3):
        plant.apply(plant.events(12))
    assert plant.log.topics[ANCHORS]
    plant.apply([plant.example("old")], plant.events(2))
    taken_back(plant, "f1")
    plant.apply(plant.events(REACH))
    taken_back(plant, "f2")
    plant.apply([plant.say("RETRACT", "r", target_id="old")], plant.events(1))
    plant.correct()
    said = plant.receipts()[-1]
    assert said["status"] == "COMPENSATED"
    assert said["reason"] == "it lies before ledger entry 7, whose corrections are no longer kept"
    check_audits(plant)


@pytest.mark.usefixtures("short")
def test_a_full_model_has_room_again_once_its_corrections_are_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in ("models.controls", "fold.exchanging"):
        monkeypatch.setattr(f"tidemill.{place}.MOST_CORRECTIONS", 2)
    plant = Corrected(terms_of(LINEAR))
    for name in ("f1", "f2", "f3"):
        taken_back(plant, name)
    plant.apply(plant.events(REACH + 5))
    taken_back(plant, "f4")
    told = {each["feedback_id"]: each["status"] for each in plant.receipts()}
    assert [told[f"rf{n}"] for n in (1, 2, 3, 4)] == [
        "RETRACTED",
        "RETRACTED",
        "COMPENSATED",
        "RETRACTED",
    ]
    assert len(controls(plant).edits) == 1
    check_audits(plant)


def test_of_one_label_only_the_newest_revision_is_kept() -> None:
    plant = Corrected(terms_of(LINEAR))
    late = plant.example(event_id="late", origin="label")
    plant.apply([late], plant.events(3))
    for revision in (1, 2, 3):
        newest = plant.revision("late", 10.0 * revision, revision, origin="label")
        plant.apply([newest], plant.events(3))
        plant.correct()
        assert [edit.offset for edit in controls(plant).edits] == [newest.offset]
    taken_back(plant, "f1")
    assert len(controls(plant).edits) == 2
    check_audits(plant)


def test_revisions_are_taken_back_together_whichever_of_them_was_kept() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = plant.example("lab", event_id="late")
    plant.apply([first], plant.events(3))
    for revision in (1, 2):
        plant.apply([plant.revision("late", 9.0, revision, feedback="lab")], plant.events(3))
        plant.correct()
    assert len(controls(plant).edits) == 1
    plant.apply([plant.say("RETRACT", "r", target_id="lab")], plant.events(1))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    lessons = [m.offset for m in plant.log.topics[UPDATES] if m.offset < 3]
    check_later(plant, Plain(plant.terms, edits=dict.fromkeys(lessons)), since)
    check_audits(plant)


def test_controls_come_back_as_they_were_with_their_floor() -> None:
    kept = Controls(edits=(Edit(1, 2, 3, b"x", 4),), floor=7)
    assert Controls.load(kept.dump()) == kept


def test_the_fullest_model_is_reported_and_named_from_four_fifths_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidemill.processors.learner.room.MOST_CORRECTIONS", 5)
    plant = Corrected(terms_of(LINEAR))
    found = []
    for number in range(4):
        taken_back(plant, f"f{number}")
        plant.apply(plant.events(1), plant.events(1, asset=OTHER))
        corrections = plant.learner.report().corrections
        found.append((corrections.held, corrections.crowded))
    assert found == [(1, ""), (2, ""), (3, ""), (4, f"pump|{ASSET}|pump/champion")]

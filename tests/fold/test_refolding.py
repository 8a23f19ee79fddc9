"""Corrections by re-fold: the model is as if the recorded order had always been the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import FOREST, OTHER, TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from tidemill.fold.audit import replay
from tidemill.testing.plants import LINEAR, RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.kernel.records import Message

FAMILIES = {"linear": LINEAR, "tree": TREE, "forest": FOREST}


def check_later(plant: Corrected, plain: Plain, since: int) -> None:
    """Hold lineage and every prediction from an event on against the plain loop."""
    plain.follow(plant.log)
    later = [p for p in plant.predictions() if p["source"]["offset"] >= since]
    mine = [p for p in later if p["asset"] == plain.key.asset]
    assert mine
    for said in mine:
        value, lineage = plain.said[said["source"]["offset"]]
        assert said["lineage"] == lineage
        assert said["value"] == value


def busy(plant: Corrected, rounds: int, *, feedback: bool = True) -> dict[str, Message]:
    """Apply events, labels and corrections by feedback; return those by feedback, by its id."""
    said = {}
    for number in range(rounds):
        name = f"f{number}"
        examples = [plant.example()]
        if feedback and number % 2 == 0:
            said[name] = plant.example(name)
            examples.append(said[name])
        plant.apply(examples, [*plant.events(4), *plant.events(2, asset=OTHER)])
    return said


@pytest.mark.parametrize("family", FAMILIES)
def test_retracting_some_of_many_leaves_no_trace_of_them(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    said = busy(plant, 14)
    edits: dict[int, bytes | None] = {}
    for name in ("f2", "f6", "f10"):
        plant.apply([plant.say("RETRACT", f"r-{name}", target_id=name)], plant.events(3))
        edits[said[name].offset] = None
    assert plant.learner.is_busy
    plant.correct()
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(12), [plant.example()])
    plant.apply(plant.events(12))

    check_later(plant, Plain(plant.terms, edits=edits), since)
    told = {r["feedback_id"]: r["status"] for r in plant.receipts()}
    assert [told[f"r-{n}"] for n in ("f2", "f6", "f10")] == ["RETRACTED"] * 3
    assert len(plant.actions("swap")) == 1


def test_what_is_applied_meanwhile_is_in_the_model_too() -> None:
    plant = Corrected(terms_of(LINEAR))
    said = busy(plant, 20)
    plant.apply([plant.say("RETRACT", "r", target_id="f4")])
    turns = 0
    while not plant.correct(slices=1, budget_s=0.003):
        plant.apply(plant.events(2), [plant.example()])
        turns += 1
    assert turns > 3
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(20))

    check_later(plant, Plain(plant.terms, edits={said["f4"].offset: None}), since)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_revised_label_stands_where_the_first_one_stood(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    first = plant.example(event_id="late", label=3.0)
    plant.apply([first], plant.events(12))
    busy(plant, 4)
    one = plant.revision("late", 30.0, 1)
    plant.apply([one], plant.events(5))
    plant.correct()
    two = plant.revision("late", 60.0, 2)
    plant.apply([two], plant.events(5))
    plant.correct()
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(20))

    assert two.value is not None
    edits: Mapping[int, Any] = {first.offset: two.value, one.offset: None, two.offset: None}
    check_later(plant, Plain(plant.terms, edits=edits), since)
    assert len(plant.actions("swap")) == 2


@pytest.mark.parametrize("swaps_between", [False, True])
def test_a_revision_that_overtakes_lower_ones_stays_in_force(swaps_between: bool) -> None:
    plant = Corrected(terms_of(LINEAR))
    busy(plant, 4)
    newest = plant.revision("late", 60.0, 2)
    lower = [plant.revision("late", 30.0, 1), plant.example(event_id="late", label=3.0)]
    plant.apply([newest], plant.events(5))
    if swaps_between:
        plant.correct()
    plant.apply(lower, plant.events(5))
    plant.correct()
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(20))

    edits: dict[int, Any] = dict.fromkeys([each.offset for each in lower])
    edits[newest.offset] = newest.value
    check_later(plant, Plain(plant.terms, edits=edits), since)
    assert len(plant.actions("swap")) == 1


def test_a_veto_of_a_tree_learns_its_window_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.fold.editing.WINDOW", 60)
    plant = Corrected(terms_of(TREE))
    busy(plant, 30)
    veto = plant.say("VETO", "v", feature="vibration")
    plant.apply([veto], plant.events(7))
    seen = 30 * 4
    plant.correct()
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(20))

    def restart(plain: Plain) -> None:
        if plain.events == seen - 60:
            assert veto.value is not None
            plain.start_anew(("vibration", veto.value))

    plain = Plain(plant.terms)
    plain.follow(plant.log, restart)
    later = [p for p in plant.predictions() if p["source"]["offset"] >= since]
    for said in later:
        assert (said["value"], said["lineage"]) == plain.said[said["source"]["offset"]]
    assert plant.receipts()[-1]["status"] == "APPLIED"


def test_retracting_a_veto_is_as_if_it_had_never_been(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.fold.editing.WINDOW", 30)
    for family in FAMILIES.values():
        plant = Corrected(terms_of(family))
        busy(plant, 10)
        plant.apply([plant.say("VETO", "v", feature="vibration")], plant.events(7))
        plant.correct()
        busy(plant, 3, feedback=False)
        plant.apply([plant.say("RETRACT", "r", target_id="v")], plant.events(2))
        plant.correct()
        since = plant.log.ends["sensor.events"]
        plant.apply(plant.events(20))

        check_later(plant, Plain(plant.terms), since)


def test_a_model_that_met_its_budget_learns_no_more_in_its_re_fold_either() -> None:
    plant = Corrected(terms_of(TREE, memory="20KiB"))
    wrong = plant.example("wrong")
    plant.apply([wrong], plant.events(3))
    while not plant.actions("budget"):
        plant.apply(plant.events(20))
    plant.apply(plant.events(5))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")])
    plant.correct()
    plant.apply(plant.events(5))
    at = plant.entries()[-1]
    stopped = next(e for e in plant.entries() if any(a.kind == "budget" for a in e.actions))

    plain = Plain(plant.terms, edits={wrong.offset: None})
    last = max(run.last for run in stopped.runs if run.topic == "sensor.events")
    plain.follow(plant.log)
    value, lineage = plain.said[last + 1]
    assert plant.predictions()[-1]["lineage"] == lineage
    assert plant.predictions()[-1]["quality"] == ["FROZEN"]
    assert value is not None
    assert at.models
    assert replay(plant.log, 0, KEY).findings == []


def test_schemas_that_come_while_a_model_is_folded_again_are_read() -> None:
    plant = Corrected(terms_of(LINEAR))
    said = busy(plant, 12)
    plant.apply([plant.say("RETRACT", "r", target_id="f4")])
    assert not plant.correct(slices=1, budget_s=0.003)
    plant._write(plant.learner.grow({1_600_000_000: RECORD}, plant.positions))
    plant.apply(plant.events(3))
    plant.correct()
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(9))

    check_later(plant, Plain(plant.terms, edits={said["f4"].offset: None}), since)


def test_a_backlog_that_grows_faster_than_the_re_fold_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidemill.fold.meanwhile.MOST_KEPT", 8)
    plant = Corrected(terms_of(LINEAR))
    said = busy(plant, 12)
    plant.apply([plant.say("RETRACT", "r", target_id="f4")])
    turns = 0
    while not plant.correct(slices=1, budget_s=0.004):
        plant.apply(plant.events(5))
        turns += 1
    assert turns > 8
    since = plant.log.ends["sensor.events"]
    plant.apply(plant.events(9))

    check_later(plant, Plain(plant.terms, edits={said["f4"].offset: None}), since)


def test_each_model_is_corrected_by_what_was_said_of_it() -> None:
    plant = Corrected(terms_of(LINEAR, challengers={"tree": list(TREE)}))
    plant.apply(plant.events(9))
    both, one = plant.example("both"), plant.example("one", model="pump/tree")
    plant.apply([both, one], plant.events(5))
    for target, model in (("both", "pump/champion"), ("one", None), ("both", "pump/tree")):
        plant.apply([plant.say("RETRACT", f"r{model}", target_id=target, model=model)])
    plant.correct()
    plant.apply(plant.events(9))
    last = plant.predictions()[-1]

    for said, model in ((last, "pump/champion"), (last["shadows"][0], "pump/tree")):
        edits = dict.fromkeys((both.offset, one.offset))
        plain = Plain(plant.terms, edits=edits, model=model).follow(plant.log)
        assert plain.said[last["source"]["offset"]] == (said["value"], said["lineage"])
    assert replay(plant.log, 0, KEY).findings == []


def test_an_update_sent_again_after_it_was_taken_back_stays_dropped() -> None:
    plant = Corrected(terms_of(LINEAR))
    wrong = plant.example("wrong")
    plant.apply([wrong], plant.events(9))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(3))
    again = plant.update(wrong.value)
    plant.apply([again], plant.events(3))
    plant.correct()
    since = plant.log.ends["sensor.events"]
    plant.apply([plant.update(wrong.value)], plant.events(9))

    check_later(plant, Plain(plant.terms, edits={wrong.offset: None}), since)

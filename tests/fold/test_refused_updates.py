"""What was refused stays refused: a re-fold judges nothing anew, wherever transactions were cut."""

from __future__ import annotations

import pytest

from fold.corrected import ASSET, TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_compensating import told
from fold.test_refolding import check_later
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay, verify
from tidemill.testing.plants import LINEAR


def vetoes(plant: Corrected) -> list[str]:
    """Return the sensors that the champion leaves out."""
    state = plant.learner.fold.fleet.of("pump", ASSET).models[0].state
    return [veto.feature for veto in state.decided.vetoes]


def refusing(plant: Corrected, *, alone: bool) -> None:
    """Veto one sensor after the other, the last one in an entry of its own perhaps."""
    plant.apply(plant.events(20))
    for by, feature in (("f1", "vibration"), ("f2", "temperature")):
        plant.apply([plant.say("VETO", by, feature=feature)], plant.events(1))
    third = plant.say("VETO", "f3", feature="flow")
    if alone:
        plant.apply([third])
        plant.apply(plant.events(1))
    else:
        plant.apply([third], plant.events(1))


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_a_veto_that_was_refused_stays_so_when_another_one_is_taken_back(
    *, alone: bool, opens: bool
) -> None:
    plant = Corrected(terms_of(LINEAR))
    refusing(plant, alone=alone)
    plant.apply([plant.say("RETRACT", "r", target_id="f1")], plant.events(1))
    if opens:
        plant.open(plant.terms)
    plant.correct()
    plant.apply(plant.events(4))

    assert (told(plant, "f3")[0], told(plant, "r")[0]) == ("REFUSED", "RETRACTED")
    assert vetoes(plant) == ["temperature"]
    assert [action["updates"] for action in plant.actions("refused")] == ["2"]
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []


def test_what_is_refused_while_a_re_fold_is_under_way_stays_so() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(30), [plant.example("wrong")])
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")])
    plant.correct(slices=1, budget_s=0.002)
    refusing(plant, alone=False)
    plant.apply([plant.say("RETRACT", "s", target_id="f1")], plant.events(1))
    plant.correct()
    assert vetoes(plant) == ["temperature"]
    assert replay(plant.log, 0, KEY).findings == []


def test_a_model_that_began_as_another_one_notes_nothing_of_its_own() -> None:
    plant = Corrected(terms_of(LINEAR))
    refusing(plant, alone=True)
    plant.open(plant.terms)
    plant.open(terms_of(LINEAR, challengers={"tree": list(TREE)}))
    plant.apply(plant.events(3))
    assert len(plant.actions("refused")) == 1


@pytest.mark.parametrize("alone", [True, False])
def test_no_label_stands_in_the_place_of_a_dead_letter(*, alone: bool) -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(12))
    dead = plant.example(event_id="late", weight=-1.0)
    plant.apply([dead], [] if alone else plant.events(1))
    plant.apply(plant.events(6))
    revision = plant.revision("late", 40.0)
    plant.apply([revision], plant.events(3))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))

    assert len(plant.log.topics["model.updates.dlq"]) == 1
    edits = {dead.offset: None, revision.offset: revision.value}
    check_later(plant, Plain(plant.terms, edits=edits), since)
    assert replay(plant.log, 0, KEY).findings == []

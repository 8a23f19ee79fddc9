"""Holds: what they keep from models, whose a release ends, and that no open one is forgotten."""

from __future__ import annotations

import pytest

from fold.corrected import ASSET, TREE, Corrected, terms_of
from fold.history import KEY
from fold.instructed import Instructed, of, reasons
from fold.test_compensating import told
from tidemill.contracts.topics import RECEIPTS
from tidemill.fold.audit import replay, verify
from tidemill.models.controls import MOST_HOLDS
from tidemill.testing.plants import LINEAR, START_US, STEP_US, sample_terms

X = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}


def us(number: int) -> int:
    return START_US + number * STEP_US


def shared(**more: object) -> Corrected:
    """Return a partition whose assets start as their type."""
    model = {"champion": LINEAR, "start_from": "stream", **more}
    return Corrected(terms_of(LINEAR, stream={"model": model}))


def versions(plant: Corrected, model: str = "pump/champion") -> tuple[int, int]:
    """Return the steps that a model of the asset, and of its type, have learned."""
    fleet = plant.learner.fold.fleet
    key = next(t.key for t in fleet if (t.key.asset, t.key.model) == (ASSET, model))
    own, of_type = fleet.get(key), fleet.get(key._replace(asset=""))
    assert own is not None
    assert of_type is not None
    return own.state.version, of_type.state.version


def test_what_is_held_reaches_the_asset_type_neither() -> None:
    plant = shared()
    plant.apply(plant.events(5))
    plant.apply([plant.say("HOLD", "h")])
    own, of_type = versions(plant)
    plant.apply([plant.example()], plant.events(10))
    assert versions(plant)[1] == of_type
    plant.apply([plant.say("RELEASE", "r")])
    plant.apply(plant.events(4))
    assert versions(plant) == (own + 6, of_type + 4)
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []


def test_a_hold_of_one_model_keeps_the_types_model_of_that_name_from_learning() -> None:
    plant = shared(challengers={"tree": list(TREE)})
    plant.apply(plant.events(5))
    plant.apply([plant.say("HOLD", "h", model="pump/tree")])
    before = versions(plant), versions(plant, "pump/tree")
    plant.apply(plant.events(10))
    after = versions(plant), versions(plant, "pump/tree")
    assert (after[0][1] - before[0][1], after[1][1] - before[1][1]) == (10, 0)


def test_the_type_of_a_frozen_model_learns_on() -> None:
    plant = shared()
    plant.apply(plant.events(5))
    plant.apply([plant.say("FREEZE", "z")])
    of_type = versions(plant)[1]
    plant.apply(plant.events(10))
    assert versions(plant)[1] == of_type + 10


@pytest.mark.parametrize(
    ("target", "left"), [("drift", ["HELD"]), ("ann", []), ("nobody", ["HELD"]), (None, [])]
)
def test_a_release_ends_the_hold_that_it_names_or_all(target: str | None, left: list[str]) -> None:
    run = Instructed(sample_terms())
    run.event(0, X, 1.0)
    run.say("HOLD", by="ann")
    if target != "ann":
        run.say("HOLD", by="drift")
    assert run.event(1, X, 1.0)["quality"] == ["HELD"]
    run.say("RELEASE", by="r", target_id=target)
    assert run.event(2, X, 1.0)["quality"] == left


def test_an_open_hold_is_never_forgotten_for_others_that_are_over() -> None:
    run = Instructed(sample_terms())
    run.event(0, X, 1.0)
    run.say("HOLD", by="ann")
    for number in range(1, 3 * MOST_HOLDS):
        run.say("HOLD", by=f"d{number}", until=us(number))
        assert run.event(number, X, 1.0)["quality"] == ["HELD"]
        assert len(run.champion.state.decided.holds) <= MOST_HOLDS
    run = run.restored()
    assert run.champion.state.decided.holds[0].origin == "ann"
    assert run.event(99, X, 1.0)["quality"] == ["HELD"]


def test_a_hold_beyond_16_that_are_open_is_refused_and_leaves_no_trace() -> None:
    run = Instructed(sample_terms())
    run.event(0, X, 1.0)
    for number in range(MOST_HOLDS):
        run.say("HOLD", by=f"h{number}")
    state = run.champion.state
    before = state.lineage, state.decided, dict(state.applied)
    emits = run.say("HOLD", by="one more")
    (receipt,) = of(emits, RECEIPTS)
    assert (reasons(emits), receipt["status"]) == (["domain"], "REFUSED")
    assert "at most 16 holds" in receipt["reason"]
    assert (state.lineage, state.decided, state.applied) == before
    run.say("RELEASE", target_id="h3")
    run.event(1, X, 1.0)
    (receipt,) = of(run.say("HOLD", by="one more"), RECEIPTS)
    assert receipt["status"] == "APPLIED"


def test_a_hold_that_was_refused_stays_so_in_a_re_fold_that_has_room() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(5))
    plant.apply([plant.say("HOLD", f"h{n}") for n in range(MOST_HOLDS)], plant.events(1))
    plant.apply([plant.say("HOLD", "one more")], plant.events(1))
    plant.apply([plant.say("RETRACT", "r", target_id="h3")], plant.events(1))
    plant.correct()
    holds = plant.learner.fold.fleet.of("pump", ASSET).models[0].state.decided.holds
    assert told(plant, "one more")[0] == "REFUSED"
    assert {hold.origin for hold in holds} == {f"h{n}" for n in range(MOST_HOLDS) if n != 3}
    assert replay(plant.log, 0, KEY).findings == []

"""A model that was changed but has learned nothing counts among those of its partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fold.corrected import ASSET, OTHER, POLICY, TREE, Corrected, terms_of
from fold.history import KEY
from fold.instructed import late_terms
from tidemill.fold.audit import replay, verify
from tidemill.testing.plants import event_value

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

OUT_OF_RANGE = {"vibration": 1.0, "temperature": 5000.0, "flow": 0.5}
FIELDS = ("model", "version", "lineage", "value", "probabilities", "outcome", "interval")


def event_at_fault(plant: Corrected) -> Message:
    plant.number += 1
    return plant.event(event_value(ASSET, plant.number, OUT_OF_RANGE), key=ASSET.encode())


def check_audits(plant: Corrected) -> None:
    assert verify(plant.log, 0, KEY).findings == []
    assert replay(plant.log, 0, KEY).findings == []


def test_the_label_of_an_assets_first_event_may_be_of_one_at_fault() -> None:
    plant = Corrected(late_terms())
    plant.apply([event_at_fault(plant)])
    said = plant.predictions()[-1]
    stored = {name: said[name] for name in (*FIELDS, "class_set", "naive", "quality")}
    about = {"event_id": said["event_id"], "stored": stored, "x": said["features"]}
    plant.apply([plant.example(label=3.0, **about)])
    (model,) = plant.entries()[-1].models
    assert (model.version, model.seen) == (0, 0)
    plant.apply(plant.events(3))
    check_audits(plant)


def test_the_first_record_of_an_asset_may_be_a_veto_that_waits() -> None:
    plant = Corrected(terms_of(TREE))
    plant.apply([plant.say("VETO", "v", feature="flow")], plant.events(2, asset=OTHER))
    plant.apply(plant.events(3))
    check_audits(plant)


def test_a_model_that_has_learned_nothing_rests_with_what_waits_for_it() -> None:
    plant = Corrected(terms_of(TREE), policy=POLICY, live_models=1)
    plant.apply([plant.say("VETO", "v", feature="flow")])
    for _ in range(10):
        plant.apply(plant.events(3, asset=OTHER))
    assert plant.learner.fold.fleet.live == 1
    assert plant.correct()
    assert [each["status"] for each in plant.receipts()] == ["APPLIED"]
    plant.apply(plant.events(3))
    check_audits(plant)

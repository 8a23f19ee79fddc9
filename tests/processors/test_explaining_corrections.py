"""Explanations across corrections: the replica is swapped where the model was."""

from __future__ import annotations

import pytest

from fold.corrected import FOREST, TREE, Corrected, terms_of
from fold.history import KEY
from fold.test_refolding import busy
from processors.ledger_reader import Reader
from tidemill.contracts.topics import EXPLANATIONS
from tidemill.fold.audit import replay
from tidemill.testing.plants import LINEAR

FAMILIES = {"linear": LINEAR, "tree": TREE, "forest": FOREST}


@pytest.mark.parametrize("restarts", [False, True], ids=["one explainer", "many"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_explained_after_a_swap_is_what_was_said(family: str, restarts: bool) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    reader = Reader(plant.log)
    busy(plant, 6)
    reader.read()
    for target in ("f0", "f4"):
        plant.apply([plant.say("RETRACT", f"r-{target}", target_id=target)], plant.events(3))
        plant.correct()
        plant.apply(plant.events(5))
        if restarts:
            reader.read(1)
            reader.open()
    reader.read()
    plant.apply(plant.events(5))
    if restarts:
        reader.open()
    reader.read()

    report = replay(plant.log, 0, KEY)
    assert report.findings == []
    assert len(plant.log.topics[EXPLANATIONS]) == len(plant.predictions())
    assert report.counts["explanations"] == len(plant.predictions())

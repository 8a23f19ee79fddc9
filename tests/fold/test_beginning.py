"""A model that began after the ledger that is retained is folded from its own beginning."""

from __future__ import annotations

import pytest

from fold.corrected import ASSET, OTHER, TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_refolding import check_later
from tidemill.contracts.topics import EVENTS, LEDGER
from tidemill.fold.audit import replay
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.replay import Span
from tidemill.fold.audit.starting import drained
from tidemill.fold.beginning import Beginnings
from tidemill.fold.books import Policy
from tidemill.models.state import ModelKey
from tidemill.testing.plants import LINEAR

RARE = Policy(snapshot_every=5, anchor_every=1_000_000, define_every=2)
CHAMPION = ModelKey("pump", ASSET, "pump/champion")


def older(champion: object = LINEAR, *, asset: str = OTHER) -> Corrected:
    """Return a partition where another asset has a past."""
    plant = Corrected(terms_of(champion), policy=RARE)  # type: ignore[arg-type]  # pipelines as tests have them
    for _ in range(6):
        plant.apply(plant.events(3, asset=asset))
    return plant


def forget(plant: Corrected, entry: int) -> None:
    """Lose the ledger before an entry, and the events before it."""
    first = plant.entries()[entry - 1]
    plant.log.forget_before(LEDGER, plant.log.topics[LEDGER][entry].offset)
    plant.log.forget_before(EVENTS, (first.positions or {})[EVENTS])


@pytest.mark.parametrize("asset", [OTHER, "north/10"])
@pytest.mark.parametrize("entries", [1, 3, 60])
def test_an_asset_that_came_later_is_corrected_from_its_own_beginning(
    entries: int, asset: str
) -> None:
    plant = older(asset=asset)
    wrong = plant.example("wrong")
    plant.apply([*plant.events(2), *plant.events(2, asset=asset)], [wrong])
    for _ in range(entries):
        plant.apply(plant.events(2))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(1))
    forget(plant, 3)
    plant.correct()
    (swap,) = plant.actions("swap")
    assert swap["base"] == "6"
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={wrong.offset: None}), since)
    last = plant.learner.books.sequence - 1
    assert replay(plant.log, 0, KEY, span=Span(AtSequence(last - 3))).findings == []


def test_a_veto_in_the_first_events_of_a_later_asset_needs_no_genesis() -> None:
    plant = older(TREE)
    plant.apply(plant.events(30))
    plant.apply([plant.say("VETO", "v", feature="flow")], plant.events(1))
    forget(plant, 3)
    plant.correct()
    assert [each["status"] for each in plant.receipts()] == ["APPLIED"]


@pytest.mark.parametrize("lost", [1, 2, 8])
def test_what_began_before_the_ledger_that_is_retained_did_not_begin_there(lost: int) -> None:
    plant = Corrected(terms_of(LINEAR), policy=RARE)
    plant.apply(plant.events(1, labelled=False))
    for number in range(10):
        plant.apply(plant.events(2, labelled=number > 4), plant.events(9, asset=f"{ASSET}{number}"))
    forget(plant, lost + 1)
    assert drained(Beginnings(plant.log, 0).find(CHAMPION)) is None

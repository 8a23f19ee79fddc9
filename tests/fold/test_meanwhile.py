"""What is kept in memory while a re-fold runs."""

from __future__ import annotations

from dataclasses import replace

from fold.corrected import ASSET, OTHER, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_refolding import check_later
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Action, Changed
from tidemill.fold.meanwhile import MOST_KEPT, Live
from tidemill.testing.plants import LINEAR


def test_entries_that_are_the_business_of_others_take_no_room() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(3))
    entry = plant.entries()[-1]
    live = Live(ASSET.encode(), entry.sequence)
    for number in range(1, 3 * MOST_KEPT):
        live.close(replace(entry, sequence=entry.sequence + number))
    assert len(live) == 0
    assert live.next() is None
    assert live.start == entry.sequence


def test_of_an_entry_its_models_are_not_kept() -> None:
    plant = Corrected(terms_of(LINEAR), policy=Policy(define_every=1))
    messages = plant.events(3)
    plant.apply(messages)
    entry = replace(plant.entries()[-1], models=(Changed("pump", ASSET, "m", 1, b"", 1),) * 500)
    assert entry.actions
    live = Live(ASSET.encode(), entry.sequence - 1)
    live.note(messages)
    live.close(entry)
    found = live.next()
    assert found is not None
    assert found[1] == [messages]
    assert (found[0].sequence, found[0].models, found[0].actions) == (entry.sequence, (), ())


def test_entries_with_actions_are_kept_up_to_a_bound() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(3))
    acting = replace(plant.entries()[-1], actions=(Action("budget", {"model": "x"}),))
    live = Live(ASSET.encode(), acting.sequence)
    for number in range(1, MOST_KEPT + 1):
        live.close(replace(acting, sequence=acting.sequence + number))
    assert len(live) == MOST_KEPT
    live.close(replace(acting, sequence=acting.sequence + MOST_KEPT + 1))
    assert len(live) == 0
    assert live.start == acting.sequence + MOST_KEPT + 1


def test_a_re_fold_goes_on_across_entries_that_were_left_out() -> None:
    plant = Corrected(terms_of(LINEAR))
    wrong = plant.example("wrong")
    plant.apply([wrong], plant.events(20))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    for asset in (OTHER, OTHER, ASSET, OTHER, ASSET, OTHER):
        assert not plant.correct(slices=1, budget_s=0.002)
        plant.apply(plant.events(3, asset=asset))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={wrong.offset: None}), since)
    assert replay(plant.log, 0, KEY).findings == []

"""Corrections that wait while the terms change what a sensor may say."""

from __future__ import annotations

from fold.corrected import ASSET, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_compensating import told
from fold.test_refolding import check_later
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay, verify
from tidemill.fold.terms import Terms
from tidemill.models.compiled import slow
from tidemill.processors.learner.correcting import Allowance
from tidemill.testing.plants import LINEAR, RECORD, RECORD_ID, sample_definition

HOT = {"vibration": 5.0, "temperature": 120.0, "flow": 0.5}


def narrowed() -> Terms:
    """Return the same terms, but for what temperatures there may be."""
    text = sample_definition(LINEAR, partitions=2)
    narrow = text.replace("[-1000, 1000]", "[-30, 60]")
    assert narrow != text
    return Terms(parse_definition(narrow), {RECORD_ID: RECORD})


def waiting(allowance: Allowance) -> tuple[Corrected, dict[int, bytes | None]]:
    """Return a partition on which a revised label of a hot case waits, and what that asks for."""
    plant = Corrected(terms_of(LINEAR), allowance=allowance)
    first = plant.example(event_id="late", x=HOT, label=3.0)
    plant.apply([first], plant.events(20))
    revision = plant.revision("late", 40.0, x=HOT, feedback="c")
    plant.apply([revision], plant.events(3))
    return plant, {first.offset: revision.value, revision.offset: None}


def weights(plant: Corrected) -> dict[str, float]:
    """Return what the asset's champion has learned."""
    state = plant.learner.fold.fleet.of("pump", ASSET).models[0].state
    return dict(slow(state.pipeline)["LinearRegression"].weights)


def test_a_revision_is_put_in_force_though_its_case_would_be_out_of_range_by_now() -> None:
    plant, edits = waiting(Allowance())
    plant.open(narrowed())
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))

    assert told(plant, "c") == ("APPLIED", None)
    assert not plant.learner.is_busy
    check_later(plant, Plain(plant.terms, edits=edits), since)
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []


def test_what_is_out_of_range_by_now_is_not_learned_in_place_of_a_re_fold() -> None:
    plant, _ = waiting(Allowance(events=1))
    plant.open(narrowed())
    before = weights(plant)
    plant.correct()

    assert told(plant, "c")[0] == "COMPENSATED"
    assert weights(plant) == before
    plant.apply(plant.events(9))
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []

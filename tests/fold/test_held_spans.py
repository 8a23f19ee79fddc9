"""Spans in question: held from before they were noticed, then out for ever or learned in order."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import ASSET, FOREST, OTHER, TREE, Corrected, terms_of
from fold.history import KEY, with_flipped_bit
from fold.plain_order import Plain, recorded_order
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, SNAPSHOTS, UPDATES
from tidemill.fold.audit import replay, verify
from tidemill.fold.audit.findings import Kind
from tidemill.fold.books import Policy
from tidemill.models.controls import FOR_EVER_US, MOST_CORRECTIONS, MOST_HOLDS
from tidemill.testing.plants import LINEAR, START_US, STEP_US

if TYPE_CHECKING:
    from fold.history import ListLog
    from tidemill.models.controls import Controls

FAMILIES = {"linear": LINEAR, "tree": TREE, "forest": FOREST}
DRIFT = "drift-1"


def us(number: int) -> int:
    """Return the event time of the event or update of a number."""
    return START_US + number * STEP_US


def hold(plant: Corrected, first: int, drift: str = DRIFT, **more: Any) -> Any:
    """Write that the span from an event on is in question."""
    return plant.say("HOLD", drift, span={"from": us(first), "to": None}, **more)


def release(
    plant: Corrected, verdict: str, drift: str = DRIFT, by: str = "answer", **more: Any
) -> Any:
    """Write what the span was."""
    return plant.say("RELEASE", by, target_id=drift, label=verdict, **more)


def mixed(plant: Corrected, count: int) -> None:
    """Apply events of an asset, and some of another one."""
    plant.apply([*plant.events(count), *plant.events(2, asset=OTHER)])


def controls(plant: Corrected, model: str = "pump/champion") -> Controls:
    found = plant.learner.fold.fleet.of("pump", ASSET).models
    return next(each.state.decided for each in found if each.key.model == model)


def check_said(plant: Corrected, plain: Plain, since: int, until: int | None = None) -> int:
    """Hold predictions from an offset on against the plain loop's; return how many there were."""
    plain.follow(plant.log)
    checked = 0
    for said in plant.predictions():
        offset = said["source"]["offset"]
        if said["asset"] == ASSET and since <= offset < (until or plant.log.ends[EVENTS]):
            value, lineage = plain.said[offset]
            assert (said["value"], said["lineage"]) == (value, lineage), offset
            checked += 1
    return checked


def suspicious(plant: Corrected) -> int:
    """Let a span go by that was learned before anybody asked; return its first number."""
    mixed(plant, 14)
    first = plant.number + 1
    mixed(plant, 9)
    said = plant.example("said of the span", time=us(first + 2))
    plant.apply([said], plant.events(3))
    return first


@pytest.mark.parametrize("family", FAMILIES)
def test_after_a_fault_the_model_is_what_the_order_without_the_span_makes(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 6)
    last = plant.number - 2
    plant.apply([release(plant, "fault")])
    mixed(plant, 10)

    assert plant.correct() is False
    plain = Plain(plant.terms, held=[(us(first), us(last))])
    assert check_said(plant, plain, swapped) == 16
    assert len(plant.actions("swap")) == 1
    assert [replay(plant.log, 0, KEY).findings, verify(plant.log, 0, KEY).findings] == [[], []]


@pytest.mark.parametrize("family", FAMILIES)
def test_after_a_process_change_the_model_is_one_that_learned_through(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    mixed(plant, 6)
    late = plant.example("late word", time=us(first + 4))
    plant.apply([late, release(plant, "process_change")], plant.events(2))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 10)

    assert check_said(plant, Plain(plant.terms), swapped) == 10
    assert controls(plant).holds == ()
    report = replay(plant.log, 0, KEY)
    assert (report.findings, report.counts["swaps"]) == ([], 2)
    assert replay(plant.log, 0).findings == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_span_that_was_let_go_of_can_be_held_again_and_let_go_of_again(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    plant.apply([release(plant, "process_change")], plant.events(6))
    plant.correct()
    last = plant.number - 2
    plant.apply([hold(plant, first, until=us(last))])
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 8)

    without = Plain(plant.terms, held=[(us(first), us(last))])
    assert check_said(plant, without, swapped) == 8
    plant.apply([release(plant, "process_change", by="second thought")], plant.events(2))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 8)
    assert check_said(plant, Plain(plant.terms), swapped) == 8
    assert [replay(plant.log, 0, KEY).findings, verify(plant.log, 0, KEY).findings] == [[], []]


def test_what_comes_is_held_at_once_and_learned_at_once_after_the_verdict() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    plant.apply([hold(plant, first)])
    version = plant.learner.fold.fleet.of("pump", ASSET).models[0].state.version
    plant.apply(plant.events(5))
    assert {tuple(said["quality"]) for said in plant.predictions()[-5:]} == {("HELD",)}
    state = plant.learner.fold.fleet.of("pump", ASSET).models[0].state
    assert state.version == version
    plant.apply([release(plant, "process_change")], plant.events(3))
    assert {tuple(said["quality"]) for said in plant.predictions()[-3:]} == {()}
    assert state.version == version + 3
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(3))
    assert check_said(plant, Plain(plant.terms), swapped) == 3
    assert len(plant.actions("swap")) == 1


def test_a_hold_whose_span_is_over_is_a_correction_all_the_same() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    last = plant.number - 4
    plant.apply([hold(plant, first, until=us(last))], plant.events(2))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(4))
    plain = Plain(plant.terms, held=[(us(first), us(last))])
    assert check_said(plant, plain, swapped) == 4
    assert not any(said["quality"] for said in plant.predictions()[-6:])


def test_a_hold_ends_by_event_time_and_its_span_may_be_learned_after_that() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    until = plant.number + 6
    plant.apply([hold(plant, first, until=us(until))])
    plant.apply(plant.events(12))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(4))
    held = [(us(first), us(until))]
    assert check_said(plant, Plain(plant.terms, held=held), swapped) == 4
    plant.apply([release(plant, "process_change")])
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(4))
    assert check_said(plant, Plain(plant.terms), swapped) == 4


def test_a_hold_of_what_is_still_to_come_needs_no_re_fold() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(8))
    first = plant.number + 4
    plant.apply([hold(plant, first)], plant.events(9))
    assert plant.correct() is False
    assert check_said(plant, Plain(plant.terms, held=[(us(first), FOR_EVER_US)]), 0) == 17
    plant.apply([release(plant, "process_change")])
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(5))
    assert check_said(plant, Plain(plant.terms), swapped) == 5
    assert replay(plant.log, 0, KEY).findings == []


def test_a_release_of_everything_before_a_hold_does_not_open_its_span() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    plant.apply([plant.say("RELEASE", "all")], plant.events(3))
    plant.apply([hold(plant, first)], plant.events(3))
    (before,) = [m for m, u in updates_of(plant.log) if u["kind"] == "RELEASE"]
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(4))
    plain = Plain(plant.terms, held=[(us(first), FOR_EVER_US)], marks=[before.offset])
    assert check_said(plant, plain, swapped) == 4


def test_the_span_stays_out_of_later_corrections_too() -> None:
    plant = Corrected(terms_of(TREE))
    plant.apply([plant.example("wrong", time=us(0))], plant.events(2))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    last = plant.number
    plant.apply([release(plant, "fault")], plant.events(5))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 8)
    (wrong,) = [m.offset for m, u in updates_of(plant.log) if u["origin"] == "wrong"]
    plain = Plain(plant.terms, edits={wrong: None}, held=[(us(first), us(last))])
    assert check_said(plant, plain, swapped) == 8
    report = replay(plant.log, 0, KEY)
    assert (report.findings, report.counts["swaps"]) == ([], 2)


def test_a_verdict_that_is_taken_back_holds_the_span_again() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    plant.apply([release(plant, "process_change")], plant.events(4))
    plant.correct()
    plant.apply([plant.say("RETRACT", "r", target_id="answer")], plant.events(2))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(4))
    plain = Plain(plant.terms, held=[(us(first), FOR_EVER_US)])
    assert check_said(plant, plain, swapped) == 4
    assert replay(plant.log, 0, KEY).findings == []


def test_beyond_the_allowance_a_hold_counts_from_now_on_and_so_does_its_end() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    plant.allowance = replace(plant.allowance, events=1)
    plant.open(plant.terms)
    since = plant.log.ends[EVENTS]
    plant.apply([hold(plant, first)], plant.events(4))
    now = plant.number - 4
    plant.correct()
    last = plant.number
    plant.apply([release(plant, "process_change")], plant.events(4))
    plant.correct()
    assert [done["kind"] for done in plant.actions("compensate")] == ["allowance"] * 2
    assert plant.actions("swap") == []
    plain = Plain(plant.terms, held=[(us(now), us(last))])
    assert check_said(plant, plain, since) == 8
    told = [(r["feedback_id"], r["status"]) for r in plant.receipts()]
    assert told[-2:] == [(DRIFT, "COMPENSATED"), ("answer", "COMPENSATED")]
    report = replay(plant.log, 0, KEY)
    assert report.findings == []


def test_without_room_for_a_correction_a_hold_counts_from_now_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidemill.models.controls.MOST_CORRECTIONS", 0)
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    since = plant.log.ends[EVENTS]
    plant.apply([hold(plant, first)], plant.events(4))
    last = plant.number
    plant.apply([release(plant, "process_change")], plant.events(4))
    assert plant.correct() is False
    assert [done["kind"] for done in plant.actions("compensate")] == ["full"] * 2
    plain = Plain(plant.terms, held=[(us(last - 4), us(last))])
    assert check_said(plant, plain, since) == 8
    assert MOST_CORRECTIONS == 256


def test_each_model_of_an_asset_is_folded_again() -> None:
    model = {"champion": LINEAR, "challengers": {"tree": list(TREE)}}
    plant = Corrected(terms_of(LINEAR, stream={"model": model}))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(3))
    last = plant.number
    plant.apply([release(plant, "fault")], plant.events(6))
    held = [(us(first), us(last))]
    plain = Plain(plant.terms, held=held, model="pump/tree").follow(plant.log)
    told = [(said["source"]["offset"], said["shadows"]) for said in plant.predictions()]
    for offset, (shadow,) in told:
        if offset >= swapped:
            assert (shadow["value"], shadow["lineage"]) == plain.said[offset]
    assert check_said(plant, Plain(plant.terms, held=held), swapped) == 9
    assert len(plant.actions("swap")) == 2
    assert replay(plant.log, 0, KEY).findings == []


@pytest.mark.parametrize("verdict", ["fault", "process_change"])
def test_an_asset_that_began_as_its_type_is_folded_from_an_anchor(verdict: str) -> None:
    """The type learns nothing of a span from the hold on; what it learned before stays."""
    model = {"champion": LINEAR, "start_from": "stream"}
    plant = Corrected(terms_of(LINEAR, stream={"model": model}))
    plant.apply(plant.events(6, asset=OTHER))
    first = suspicious(plant)
    of_type = plant.learner.fold.fleet.get(controls_key(plant, ""))
    assert of_type is not None
    before = of_type.state.version
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    assert of_type.state.version == before
    learned = state_of(plant).version
    plant.apply([release(plant, verdict)], plant.events(5))
    plant.correct()
    assert of_type.state.version == before + 5
    assert state_of(plant).version >= learned + 5
    assert plant.actions("compensate") == []
    assert len(plant.actions("swap")) == (1 if verdict == "fault" else 2)
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []


def controls_key(plant: Corrected, asset: str) -> Any:
    return plant.learner.fold.fleet.of("pump", ASSET).models[0].key._replace(asset=asset)


def state_of(plant: Corrected) -> Any:
    return plant.learner.fold.fleet.of("pump", ASSET).models[0].state


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "ends before it begins": ("HOLD", {"span": {"from": us(5), "to": us(4)}}),
    "until rules": ("HOLD", {"span": {"from": us(5), "to": us(9)}, "until": us(4)}),
    "another word": ("RELEASE", {"target_id": DRIFT, "label": "noise"}),
    "a number": ("RELEASE", {"target_id": DRIFT, "label": 1.0}),
    "of nothing": ("RELEASE", {"label": "fault"}),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_span_and_no_verdict_is_a_dead_letter(what: str) -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(3))
    before = state_of(plant).lineage, controls(plant)
    kind, fields = BAD[what]
    plant.apply([plant.say(kind, "f", **fields)])
    assert len(plant.log.topics["model.updates.dlq"]) == 1
    assert (state_of(plant).lineage, controls(plant)) == before


def updates_of(log: ListLog) -> list[tuple[Any, Any]]:
    return [
        (message, codec("Update").decode(message.value))
        for message in recorded_order(log)
        if message.topic != EVENTS
    ]


@pytest.mark.parametrize("family", ["linear", "tree"])
def test_cuts_crashes_and_slices_change_nothing(family: str) -> None:
    """One input order, cut and worked at otherwise: after the swaps the same is said."""
    said = [_said_in_the_end(family, seed) for seed in range(4)]
    assert all(each == said[0] for each in said)
    assert len(said[0]) == 6


def _said_in_the_end(family: str, seed: int) -> list[tuple[float, bytes]]:
    rng = random.Random(seed)
    plant = Corrected(terms_of(FAMILIES[family]), policy=Policy(rng.randint(2, 9), 7, 50), seed=7)

    def disturb() -> None:
        if seed and rng.random() < 0.4:
            plant.correct(slices=rng.randint(1, 3), budget_s=0.004)
        if seed and rng.random() < 0.4:
            plant.open(plant.terms)

    def flow(count: int) -> None:
        left = count
        while left:
            some = min(left, rng.randint(1, 4) if seed else count)
            plant.apply(plant.events(some))
            left -= some
            disturb()

    flow(20)
    first = plant.number - 8
    plant.apply([hold(plant, first)])
    disturb()
    flow(7)
    plant.apply([release(plant, "fault")])
    disturb()
    flow(6)
    second = plant.number - 3
    plant.apply([hold(plant, second, "drift-2")])
    flow(5)
    plant.apply([release(plant, "process_change", "drift-2", "by")])
    flow(4)
    plant.correct()
    plant.apply(plant.events(6))
    assert replay(plant.log, 0, KEY).findings == []
    return [(each["value"], each["lineage"]) for each in plant.predictions()[-6:]]


def test_an_open_hold_is_not_forgotten_for_a_span_that_began_before_others_were_over() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(3))
    plant.apply([plant.say("HOLD", "ann")])
    for number in range(1, MOST_HOLDS + 4):
        now = plant.number + 1
        span = hold(plant, 1, f"d{number}", until=us(now))
        plant.apply([span], plant.events(2))
    origins = [each.origin for each in controls(plant).holds]
    assert (origins[0], len(origins)) == ("ann", MOST_HOLDS)


def test_nothing_of_a_re_fold_stays_in_what_is_saved() -> None:
    plant = Corrected(terms_of(LINEAR), policy=Policy(1, 1, define_every=50))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    assert plant.log.topics[SNAPSHOTS]
    assert controls(plant).ahead == ()
    assert [each.origin for each in controls(plant).holds] == [DRIFT]
    plant.open(plant.terms)
    assert [each.origin for each in controls(plant).holds] == [DRIFT]


def test_a_span_is_taken_out_where_old_updates_are_not_retained_any_more() -> None:
    plant = Corrected(terms_of(LINEAR), policy=Policy(12, 5, define_every=50))
    plant.apply([plant.example(time=us(0))], plant.events(2))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.log.forget_before(UPDATES, 1)
    plant.correct()
    assert (len(plant.actions("swap")), plant.actions("compensate")) == (1, [])


def test_a_flipped_bit_in_a_hold_or_its_release_is_named() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    plant.apply([release(plant, "fault")], plant.events(3))
    for message, update in updates_of(plant.log):
        if update["kind"] in {"HOLD", "RELEASE"}:
            for bit in range(41, 8 * len(message.value), 67):
                found = replay(with_flipped_bit(plant.log, message, bit), 0, KEY).findings
                assert found[0].kind is Kind.INPUT_ALTERED, bit

"""A span that was a fault ends where its release says, wherever the learner had come to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import Corrected, terms_of
from fold.history import KEY, with_flipped_bit
from fold.plain_order import Plain
from fold.test_held_spans import (
    FAMILIES,
    check_said,
    controls,
    hold,
    mixed,
    release,
    suspicious,
    updates_of,
    us,
)
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay, verify
from tidemill.fold.audit.findings import Kind
from tidemill.fold.books import Policy
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from tidemill.kernel.records import Message


def over(plant: Corrected, first: int, last: int, verdict: str = "fault", **more: Any) -> Message:
    """Write that a span is over, and where it ended."""
    found: Message = release(plant, verdict, span={"from": us(first), "to": us(last)}, **more)
    return found


def is_clean(plant: Corrected) -> bool:
    """Return whether both audits find nothing, and no correction was given up."""
    found = [replay(plant.log, 0, KEY).findings, verify(plant.log, 0, KEY).findings]
    return found == [[], []] and plant.actions("compensate") == []


@pytest.mark.parametrize("family", FAMILIES)
def test_what_came_after_the_end_is_learned_though_it_was_held_when_it_came(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(4))
    plant.correct()
    mixed(plant, 9)
    last = plant.number - 8
    plant.apply([over(plant, first, last)], plant.events(5))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 10)

    assert check_said(plant, Plain(plant.terms, held=[(us(first), us(last))]), swapped) == 10
    assert len(plant.actions("swap")) == 2
    assert is_clean(plant)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_learner_that_lags_holds_on_until_the_end(family: str) -> None:
    plant = Corrected(terms_of(FAMILIES[family]))
    first = suspicious(plant)
    last = plant.number + 9
    plant.apply([hold(plant, first)], [over(plant, first, last)], plant.events(14))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    mixed(plant, 6)

    assert check_said(plant, Plain(plant.terms, held=[(us(first), us(last))]), swapped) == 6
    assert len(plant.actions("swap")) == 1
    assert is_clean(plant)


def test_an_end_before_any_hold_was_asked_for_is_taken_up_with_it() -> None:
    """Both are read after the whole span: one re-fold for what was learned and for what was not."""
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    last = plant.number - 4
    plant.apply([hold(plant, first)], plant.events(3), [over(plant, first, last)])
    plant.apply(plant.events(3))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(6))

    assert check_said(plant, Plain(plant.terms, held=[(us(first), us(last))]), swapped) == 6
    assert len(plant.actions("swap")) == 1
    assert is_clean(plant)


@pytest.mark.parametrize("anchor_every", [3, 1000])
def test_a_hold_of_what_was_still_to_come_ends_where_it_should_have(anchor_every: int) -> None:
    plant = Corrected(terms_of(LINEAR), policy=Policy(12, anchor_every, 50))
    plant.apply(plant.events(8))
    first = plant.number + 4
    plant.apply([hold(plant, first)], plant.events(6))
    mixed(plant, 6)
    last = first + 5
    plant.apply([over(plant, first, last)])
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(5))

    assert check_said(plant, Plain(plant.terms, held=[(us(first), us(last))]), swapped) == 5
    assert is_clean(plant)


@pytest.mark.parametrize("family", ["linear", "tree"])
def test_the_outcome_is_a_function_of_the_topics_alone(family: str) -> None:
    """Two topics, read in whatever order, with crashes and re-folds at any time in between."""
    plants = [_interleaved(family, seed) for seed in range(6)]
    said = [
        [(each["value"], each["lineage"]) for each in plant.predictions()[-6:]] for plant in plants
    ]
    assert all(each == said[0] for each in said)
    held = [(us(18), us(31)), (us(44), us(52))]
    for plant in plants:
        plain = Plain(plant.terms, held=held).follow(plant.log)
        assert said[0] == [plain.said[offset] for offset in range(70, 76)]
        assert is_clean(plant)


def _interleaved(family: str, seed: int) -> Corrected:
    rng = random.Random(seed)
    policy = Policy(rng.randint(2, 9), rng.randint(3, 9), 50)
    plant = Corrected(terms_of(FAMILIES[family]), policy=policy)
    scribe = Corrected(plant.terms)  # writes the same bytes whoever reads
    events = scribe.events(76)
    events, last = events[:70], events[70:]
    updates = [
        hold(scribe, 18, "drift-1", until=us(90)),
        release(scribe, "fault", "drift-1", "a", span={"from": us(18), "to": us(31)}),
        hold(scribe, 44, "drift-2"),
        release(scribe, "fault", "drift-2", "b", span={"from": us(44), "to": us(52)}),
        hold(scribe, 57, "drift-3"),
        release(scribe, "process_change", "drift-3", "c", span={"from": us(57), "to": us(63)}),
    ]
    while events or updates:
        some = rng.randint(1, 7)
        if events and (not updates or rng.random() < 0.85):
            plant.apply([plant.event(m.value, key=m.key or b"") for m in events[:some]])
            del events[:some]
        else:
            plant.apply([plant.update(updates.pop(0).value)])
        if rng.random() < 0.3:
            plant.correct(slices=rng.randint(1, 3), budget_s=0.004)
        if rng.random() < 0.2:
            plant.open(plant.terms)
    plant.correct()
    plant.apply([plant.event(m.value, key=m.key or b"") for m in last])
    return plant


def test_an_end_that_is_taken_back_is_none() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    until = plant.number + 12
    plant.apply([hold(plant, first, until=us(until))], plant.events(6))
    plant.correct()
    plant.apply([over(plant, first, plant.number - 4)], plant.events(2))
    plant.correct()
    plant.apply([plant.say("RETRACT", "r", target_id="answer")], plant.events(12))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(4))

    assert check_said(plant, Plain(plant.terms, held=[(us(first), us(until))]), swapped) == 4
    assert is_clean(plant)


def test_a_span_that_ended_stays_out_of_later_corrections_too() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply([plant.example("wrong", time=us(0))], plant.events(2))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(6))
    plant.correct()
    last = plant.number - 5
    plant.apply([over(plant, first, last)], plant.events(3))
    plant.correct()
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(6))
    (wrong,) = [m.offset for m, u in updates_of(plant.log) if u["origin"] == "wrong"]
    plain = Plain(plant.terms, edits={wrong: None}, held=[(us(first), us(last))])

    assert check_said(plant, plain, swapped) == 6
    assert is_clean(plant)


def test_a_hold_without_a_span_ends_from_then_on() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(9))
    plant.apply([plant.say("HOLD", "drift-1")], plant.events(5))
    (told,) = [m.offset for m, u in updates_of(plant.log) if u["kind"] == "HOLD"]
    begin, end = 9, plant.number
    plant.apply([over(plant, begin, end - 3)], plant.events(4))
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    plant.apply(plant.events(5))
    held = [(us(begin + 1), us(end))]

    assert check_said(plant, Plain(plant.terms, held=held, marks=[told]), swapped) == 5
    assert replay(plant.log, 0, KEY).findings == []


def test_without_a_base_the_end_counts_from_now_on() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = plant.number + 1
    plant.apply([hold(plant, first)], plant.events(9))
    plant.log.forget_before(EVENTS, 3)
    plant.apply([over(plant, first, plant.number - 4)])
    plant.correct()
    (given_up,) = plant.actions("compensate")
    assert given_up["kind"] == "no-base"
    assert [each.until_us for each in controls(plant).holds] == [us(plant.number - 5)]
    plant.apply(plant.events(3))
    assert not any(said["quality"] for said in plant.predictions()[-3:])


def test_a_flipped_bit_in_the_end_of_a_span_is_named() -> None:
    plant = Corrected(terms_of(LINEAR))
    first = suspicious(plant)
    plant.apply([hold(plant, first)], plant.events(6))
    plant.correct()
    plant.apply([over(plant, first, plant.number - 4)], plant.events(3))
    plant.correct()
    (told,) = [m for m, u in updates_of(plant.log) if u["kind"] == "RELEASE"]
    for bit in range(41, 8 * len(told.value), 41):
        found = replay(with_flipped_bit(plant.log, told, bit), 0, KEY).findings
        assert found[0].kind is Kind.INPUT_ALTERED, bit


def test_an_end_before_its_beginning_is_a_dead_letter() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(5))
    plant.apply([hold(plant, 3)], [over(plant, 4, 3)])
    (letter,) = plant.log.topics["model.updates.dlq"]
    assert b"span.to must be at or after span.from" in repr(letter.headers).encode()

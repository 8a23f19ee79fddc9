"""One partition: the laws, what is remembered, and for how long."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.stage import (
    ASSET,
    HOUR_MS,
    LABELLED,
    START_MS,
    Record,
    Stage,
    definition_text,
    feedback,
    prediction,
    read_emits,
)
from tidemill.kernel.deadletters import REASON_HEADER
from tidemill.kernel.errors import InvariantError
from tidemill.processors.feedback.book import MOST_EXPIRED
from tidemill.processors.feedback.decision import decode_decision
from tidemill.processors.feedback.trust import Limits
from tidemill.testing.laws import check_processor
from tidemill.testing.plants import START_US

if TYPE_CHECKING:
    from tidemill.kernel.records import Message
    from tidemill.processors.feedback.processor import Feedback

KINDS = ("RIGHT", "WRONG", "CORRECTED", "IRRELEVANT", "MISSING", "HOLD", "FREEZE", "RESUME")
ABOUT = ("RETRACT", "APPROVE", "REJECT")
DAY_MS = 24 * HOUR_MS
OPERATORS = {**LABELLED, "feedback": {"veto_needs": "operator"}}


def drawn(numbers: list[int]) -> list[Record]:
    """Return feedback of all kinds, drawn by numbers."""
    found: list[Record] = []
    for place, number in enumerate(numbers):
        dice = random.Random(number)
        kind = dice.choice((*KINDS, *KINDS, *ABOUT))
        about: Record = {
            "actor": dice.choice("abc"),
            "role": dice.choice(("operator", "domain_expert")),
        }
        if kind in ABOUT:
            about["target_id"] = f"f{dice.randrange(max(1, place))}"
        else:
            about["event_id"] = f"e{dice.randrange(4)}"
        if kind in ("IRRELEVANT", "MISSING"):
            about["feature"] = dice.choice(("flow", "vibration"))
        if kind == "CORRECTED":
            about["value"] = dice.choice(("ok", "jam", "other"))
        found.append(feedback(f"f{place}", kind, **about))
    return found


@settings(max_examples=15)
@given(st.lists(st.integers(0, 10_000), max_size=15))
def test_the_processor_keeps_the_laws(numbers: list[int]) -> None:
    stage = Stage()
    records = [stage.message(record) for record in drawn(numbers)]
    records.insert(len(records) // 2, broken(stage))

    check_processor(stage.make, records, max_state_bytes=400_000)


def broken(stage: Stage) -> Message:
    """Return a record that is no feedback."""
    return stage.message(feedback("x", "RIGHT"))._replace(value=b"\x00nonsense")


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=25), st.integers(0, 24))
def test_after_a_crash_the_same_position_causes_the_same_bytes(
    numbers: list[int], crash_at: int
) -> None:
    stage = Stage()
    records = [stage.message(record) for record in drawn(numbers)]
    kept: list[bytes] = []
    emits = []
    for record in records:
        handled = stage.processor.decide(record)
        kept.append(handled.value)
        stage.processor.keep(handled)
        emits.append(list(handled.emits))

    again = stage.make()
    again.load(kept)
    for record, first in zip(records[crash_at:], emits[crash_at:], strict=True):
        handled = again.decide(record)
        assert list(handled.emits) == first
        assert handled.is_repeated
        again.keep(handled)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_every_feedback_gets_receipts_in_order_and_causes_ascend(numbers: list[int]) -> None:
    stage = Stage()
    for place, record in enumerate(drawn(numbers)):
        said = stage.take(stage.message(record))
        mine = said.of(record["feedback_id"])
        assert mine[0] == ("REFUSED" if mine == ["REFUSED"] else "ACCEPTED")
        assert len(mine) == (1 if said.updates or mine == ["REFUSED"] else 2)
        assert [u["cause"]["index"] for u in said.updates] == list(range(len(said.updates)))
        assert all(u["cause"]["offset"] == place for u in said.updates)


def test_a_copy_gets_the_receipts_again_and_changes_nothing() -> None:
    stage = Stage()
    record = feedback("f1", "CORRECTED", value="jam")
    first = stage.take(stage.message(record))
    copy = stage.take(stage.message(record))

    assert first.kinds == ["EXAMPLE"]
    assert copy.receipts == first.receipts
    assert not copy.updates


def test_another_feedback_of_the_same_id_is_set_aside() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    said = stage.say("f1", "RIGHT")

    (letter,) = said.dead
    assert dict(letter.headers)[REASON_HEADER] == b"contract"
    assert letter.topic == "operator.feedback.dlq"
    assert not said.receipts


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, b"undecodable"), (b"\x00\x00\x00\x00\x07x", b"unknown-schema"), (b"x", b"undecodable")],
)
def test_what_is_no_feedback_is_set_aside(value: bytes | None, reason: bytes) -> None:
    stage = Stage()
    message = stage.message(feedback("f1", "RIGHT"))._replace(value=value)
    (letter,) = read_emits(list(stage.processor.decide(message).emits)).dead

    assert dict(letter.headers)[REASON_HEADER] == reason


@pytest.mark.parametrize("field", ["feedback_id", "actor", "asset"])
def test_nobody_and_nothing_are_not_spoken_of(field: str) -> None:
    stage = Stage()
    said = stage.take(stage.message({**feedback("f1", "RIGHT"), field: ""}))

    assert dict(said.dead[0].headers)[REASON_HEADER] == b"contract"


def test_a_value_that_no_name_is_as_long_as_is_set_aside() -> None:
    said = Stage().say("f1", "CORRECTED", value="\x01" * 513)

    assert dict(said.dead[0].headers)[REASON_HEADER] == b"contract"
    assert not said.receipts


def test_what_would_be_too_large_to_remember_is_refused() -> None:
    many = {"ok": 0.8, "jam": 0.2, **{f"class {n:05}": 0.0 for n in range(40_000)}}
    stage = Stage([prediction(0, probabilities=many), prediction(1)])
    message = stage.message(feedback("f1", "CORRECTED", value="jam"))
    handled = stage.processor.decide(message)
    said = stage.take(message)

    assert said.statuses == ["REFUSED"]
    assert "at most 1000000 bytes" in said.reason
    assert len(handled.value) < 10_000
    assert stage.say("f2", "CORRECTED", value="jam", event_id="e1").kinds == ["EXAMPLE"]


def test_traces_too_long_to_be_any_are_not_passed_on() -> None:
    stage = Stage()
    message = stage.message(feedback("f1", "RIGHT"))
    handled = stage.processor.decide(message._replace(headers=(("tracestate", b"x" * 9_000),)))

    assert all(not emit.headers for emit in handled.emits)


def test_who_sends_too_fast_is_refused_and_nothing_of_it_is_remembered() -> None:
    stage = Stage(limits=Limits(per_minute=20))
    said = [stage.say(f"f{n}", "RIGHT", event_id=f"e{n}") for n in range(21)]
    other = stage.say("g", "RIGHT", actor="bob")
    stage.time_ms += 60_000
    later = stage.say("f20", "RIGHT", event_id="e20")

    assert [each.statuses[-1] for each in said] == ["COUNTED"] * 20 + ["REFUSED"]
    assert "20 feedback in a minute" in said[-1].reason
    assert other.statuses == later.statuses == ["ACCEPTED", "COUNTED"]


def test_who_stamps_what_he_says_with_other_times_is_no_slower() -> None:
    stage = Stage(limits=Limits(per_minute=20))
    said = []
    for number in range(25):
        message = stage.message(feedback(f"f{number}", "RIGHT", event_id=f"e{number}"))
        back_ms = 0 if number == 0 else (1_000 - number) * HOUR_MS
        said.append(stage.take(message._replace(timestamp_ms=START_MS - back_ms)))

    assert [each.statuses[-1] for each in said] == ["COUNTED"] * 20 + ["REFUSED"] * 5


def test_no_record_empties_the_book_whatever_the_clock_says() -> None:
    stage = Stage()
    for number in range(60):
        stage.say(f"f{number}", "CORRECTED", value="jam", event_id=f"e{number}")
    stage.time_ms = 4_102_444_800_000
    message = stage.message(feedback("wrong clock", "RIGHT", event_id="e90"))
    handled = stage.processor.decide(message)
    stage.take(message)

    assert len(handled.forgotten) == MOST_EXPIRED
    assert len(stage.processor) == 61 - MOST_EXPIRED
    assert stage.say("back", "RETRACT", target_id="f40").kinds == ["RETRACT"]


def test_decisions_are_forgotten_with_their_time_and_number_but_vetoes_in_force_are_not() -> None:
    stage = Stage(limits=Limits(per_minute=1_000, keep_ms=DAY_MS, per_asset=12))
    stage.vote(0, "eve", role="domain_expert")
    for number, actor in enumerate("abca", 1):
        veto = stage.vote(number, actor)
    for number in range(10, 40):
        stage.say(f"f{number}", "RIGHT", event_id=f"e{number}")

    assert veto.kinds == ["VETO"]
    assert len(stage.processor) == 13
    assert [update["origin"] for update in stage.vote(50, "b").updates] == ["v4-a"]
    stage.time_ms += 2 * DAY_MS
    stage.say("last", "RIGHT", event_id="e60")
    assert len(stage.processor) == 2
    assert stage.vote(61, "b").kinds == ["VETO"]


def test_what_is_forgotten_follows_from_what_is_kept() -> None:
    limits = Limits(per_minute=1_000, per_asset=3)
    stage, other = Stage(limits=limits), Stage(limits=limits)
    for number in range(5):
        stage.say(f"f{number}", "RIGHT", event_id=f"e{number}")
    message = stage.message(feedback("f5", "RIGHT", event_id="e5"))
    handled = stage.processor.decide(message)
    before = stage.processor.snapshot()
    stage.processor.keep(handled)

    other.processor.restore(before)
    other.processor.load([handled.value])
    again = other.processor.decide(message)
    assert list(again.forgotten) == list(handled.forgotten) == [b"0|f2"]


def test_a_decision_of_another_version_halts() -> None:
    with pytest.raises(InvariantError, match="must be readable"):
        decode_decision(b'{"format": 2}')
    with pytest.raises(InvariantError, match="must be readable"):
        decode_decision(b"nonsense")


def test_deciding_leaves_no_trace() -> None:
    stage = Stage()
    message = stage.message(feedback("f1", "CORRECTED", value="jam"))
    before = stage.processor.snapshot()
    first = stage.processor.decide(message)

    assert stage.processor.decide(message) == first
    assert stage.processor.snapshot() == before
    assert first.key == b"0|f1"
    assert ASSET.encode() == first.emits[0].key


def test_refusals_are_remembered_for_a_while_and_take_nobodys_place() -> None:
    stage = Stage(limits=Limits(per_minute=1_000_000, per_asset=5, refused=10))
    stage.say("f", "CORRECTED", value="jam")
    for number in range(60):
        asset = f"plant/made up/{number}" if number % 2 else ASSET
        stage.say(f"r{number}", "RIGHT", asset=asset, event_id="nothing", actor=f"a{number}")

    assert len(stage.processor) == 11
    assert stage.say("back", "RETRACT", target_id="f").kinds == ["RETRACT"]
    message = stage.message(feedback("wrong", "RIGHT", event_id="nothing"))
    first = stage.take(message)
    stage.say("after", "RIGHT", event_id="e1")
    assert stage.take(message).receipts == first.receipts


def test_what_was_taken_back_and_forgotten_is_new_whether_started_again_or_not() -> None:
    stage = Stage(limits=Limits(per_minute=1_000, per_asset=3))
    stage.say("f", "CORRECTED", value="jam")
    stage.say("r", "RETRACT", target_id="f")
    stage.say("g", "RIGHT", event_id="e1")
    stage.say("h", "RIGHT", event_id="e2")
    other = restarted(stage)
    message = stage.message(feedback("f", "CORRECTED", value="jam"))
    for each in (stage.processor, other):
        each.keep(each.decide(message))
    back = stage.message(feedback("r2", "RETRACT", target_id="f"))

    assert other.decide(back) == stage.processor.decide(back)
    assert stage.take(back).kinds == ["RETRACT"]


def restarted(stage: Stage) -> Feedback:
    """Return a processor that knows what the one on stage remembers."""
    other = stage.make()
    other.restore(stage.processor.snapshot())
    return other


@pytest.mark.parametrize("seed", range(8))
def test_a_processor_that_was_started_again_decides_all_that_comes_as_one_that_was_not(
    seed: int,
) -> None:
    dice = random.Random(seed)
    limits = Limits(
        per_minute=1_000, per_asset=6, refused=2, answers=4, contradicted=1.0, votes=2, voters=2
    )
    stage = Stage(text=definition_text(OPERATORS), limits=limits)
    for number in range(150):
        if number % 3 == 0:
            other = restarted(stage)
        message = stage.message(anything(number, dice))
        handled = stage.processor.decide(message)
        assert other.decide(message) == handled
        for each in (stage.processor, other) if handled.key is not None else ():
            each.keep(handled)


def anything(number: int, dice: random.Random) -> Record:
    """Return some feedback on few events by few people, under a name that may have been used."""
    stage_of = {"actor": dice.choice("abc"), "role": dice.choice(("operator", "domain_expert"))}
    name, event = f"f{dice.randrange(20)}", f"e{dice.randrange(3)}"
    about = {**stage_of, "event_id": event, "time": START_US + number}
    kind = dice.choice(
        ("CORRECTED", "CORRECTED", "RIGHT", "IRRELEVANT", "RETRACT", "RETRACT", "APPROVE", "REJECT")
    )
    if kind in ("RETRACT", "APPROVE", "REJECT"):
        about = {**about, "event_id": None, "target_id": f"f{dice.randrange(20)}"}
    elif kind == "IRRELEVANT":
        about["feature"] = "flow"
    elif kind == "CORRECTED":
        about["value"] = dice.choice(("ok", "jam"))
    return feedback(name, kind, **about)

"""From what a person wrote to records, by topics that are lists."""

from __future__ import annotations

from typing import Any

import pytest

from asking.topics import START_US, STREAM, Topics, prediction, put_predictions
from tidemill.cli.feedback_resolving import Ready, Resolver
from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import SEND_AGAIN
from tidemill.contracts.topics import EVENTS, FEEDBACK, PREDICTIONS, RECEIPTS
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.feedback_lines import Draft

COUNTS = {PREDICTIONS: 2, FEEDBACK: 2, RECEIPTS: 2}
ANNA = {"actor": "anna", "role": "operator"}
NOW_US = START_US + 5
TOO_EARLY = ("REFUSED", f"one more in a minute; {SEND_AGAIN}")
RECEIVED: dict[str, list[tuple[str, str | None]]] = {
    "early": [TOO_EARLY],
    "earlier": [TOO_EARLY, TOO_EARLY],
    "at last": [TOO_EARLY, ("ACCEPTED", None)],
    "wrong": [("REFUSED", "no such event")],
}


def plant() -> Topics:
    """Return numbers predicted for north/1 on partition 1, one of them of an event sent twice."""
    topics = Topics()
    flags = [[], [], ["DUPLICATE"]]
    said = [prediction(f"e{n % 2}", quality=quality) for n, quality in enumerate(flags)]
    put_predictions(topics, *said, partition=1)
    put_predictions(topics, prediction("e1", stream="press"), partition=1)
    earlier = {
        "feedback_id": "f0",
        "kind": "RIGHT",
        "asset": "north/1",
        "time": START_US,
        **ANNA,
    }
    topics.put(FEEDBACK, codec("Feedback").encode(earlier), 1)
    for name, answers in RECEIVED.items():
        event = {"topic": EVENTS, "partition": 1, "offset": 0}
        asked = {"feedback_id": name, "event_id": "e0", "event": event, "stream": STREAM}
        topics.put(FEEDBACK, codec("Feedback").encode({**earlier, **asked}), 1)
        for status, reason in answers:
            told = {"feedback_id": name, "asset": "north/1", "status": status, "reason": reason}
            topics.put(RECEIPTS, codec("Receipt").encode(told), 1)
    return topics


def resolved(*drafts: dict[str, Any], is_text: bool = False) -> list[Ready]:
    resolver = Resolver(plant(), COUNTS, None, lambda _: None)
    lines = [Draft(f"line {n}", {**ANNA, **fields}, is_text) for n, fields in enumerate(drafts, 1)]
    return resolver.ready(lines, NOW_US)


def problem(*drafts: dict[str, Any], is_text: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(*drafts, is_text=is_text)
    (text,) = caught.value.problems
    return text


def test_an_event_that_came_twice_is_the_first_one() -> None:
    (ready,) = resolved({"kind": "RIGHT", "event_id": "e0"})

    assert ready.record["event"] == {"topic": EVENTS, "partition": 1, "offset": 0}
    assert (ready.partition, ready.is_there, ready.record["time"]) == (1, False, NOW_US)


def test_a_stream_tells_events_of_one_id_apart() -> None:
    assert problem({"kind": "RIGHT", "event_id": "e1"}).startswith(
        f"line 1: event_id: must name one event, 'e1' names 2: {EVENTS}-1@1 (pump of north/1), "
    )
    (ready,) = resolved({"kind": "RIGHT", "event_id": "e1", "stream": "press"})
    assert ready.record["stream"] == "press"
    assert "in stream grind with a prediction" in problem(
        {"kind": "RIGHT", "event_id": "e1", "stream": "grind", "asset": "north/1"}
    )


def test_numbers_are_answered_by_numbers() -> None:
    corrected = {"kind": "CORRECTED", "event_id": "e0"}

    assert resolved({**corrected, "value": "2.5"}, is_text=True)[0].record["value"] == 2.5
    assert problem({**corrected, "value": "jam"}, is_text=True) == (
        "line 1: value: must be a finite number, as the prediction is, was 'jam'"
    )
    assert "was True" in problem({**corrected, "value": True})


def test_two_lines_are_two_feedbacks() -> None:
    right = {"kind": "RIGHT", "event_id": "e0"}
    said = "line 2: feedback_id: must be new in every line, "

    assert problem(right, right).startswith(said)
    assert problem({**right, "feedback_id": "x"}, {**right, "feedback_id": "x"}) == (
        f"{said}x was there before"
    )
    first, second = resolved(right, {**right, "comment": "again"})
    assert first.record["feedback_id"] != second.record["feedback_id"]


def test_the_target_of_a_retraction_says_whose_it_is() -> None:
    retract = {"kind": "RETRACT", "target_id": "f0"}

    (ready,) = resolved({**retract, "asset": "north/1"})
    assert (ready.partition, ready.record["asset"]) == (1, "north/1")
    assert problem({**retract, "asset": "south/1"}) == (
        "line 1: asset: must be that of f0, 'north/1', was 'south/1'"
    )


def test_what_was_refused_for_its_time_is_sent_again_and_nothing_else_is() -> None:
    drafts = [
        {"kind": "RIGHT", "event_id": "e0", "feedback_id": name, "time": START_US}
        for name in RECEIVED
    ]
    found = resolved(*drafts)

    places = [each.refused_at and each.refused_at.offset for each in found]
    assert places == [0, 2, 4, None]
    assert [each.is_there for each in found] == [False, False, True, True]

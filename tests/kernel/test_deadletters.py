"""Dead letters keep the record; poison halts; stray ones do not."""

from __future__ import annotations

import pytest

from tidemill.kernel.deadletters import PoisonWatch, dead_letter
from tidemill.kernel.errors import (
    LONGEST_MESSAGE,
    DeadLetterReason,
    InvalidRecordError,
    InvariantError,
)
from tidemill.kernel.records import Message, trace_headers


def test_a_dead_letter_is_the_record_as_it_came_and_why() -> None:
    message = Message("sensor.events", 3, 17, b"key", b"\0bytes", (("traceparent", b"t"),))
    error = InvalidRecordError(DeadLetterReason.CONTRACT, "asset must be there")
    letter = dead_letter(message, error, "learner")

    assert letter[:4] == ("sensor.events.dlq", 3, b"key", b"\0bytes")
    headers = dict(letter.headers)
    assert headers["traceparent"] == b"t"
    assert headers["tidemill.reason"] == b"contract"
    assert headers["tidemill.processor"] == b"learner"
    assert headers["__streams.errors.topic"] == b"sensor.events"
    assert headers["__streams.errors.partition"] == b"3"
    assert headers["__streams.errors.offset"] == b"17"
    assert headers["__streams.errors.message"] == b"asset must be there"


def test_a_dead_letter_says_why_in_few_words_whatever_the_record_holds() -> None:
    text = f"asset must name the asset, was {'x' * 1_000_000!r}, of plant"
    error = InvalidRecordError(DeadLetterReason.CONTRACT, text)
    message = Message("sensor.events", 0, 0, None, b"x")
    said = dict(dead_letter(message, error, "learner").headers)["__streams.errors.message"]

    assert len(said) <= LONGEST_MESSAGE
    assert said.startswith(b"asset must name the asset, was 'xxx")
    assert said.endswith(b"xxx', of plant")


def test_the_watch_waits_for_two_hundred_records() -> None:
    watch = PoisonWatch()
    watch.observe(199, 199, "x")
    with pytest.raises(InvariantError, match="200 of 200"):
        watch.observe(1, 1, "x")


def test_half_dead_is_not_yet_too_much() -> None:
    watch = PoisonWatch()
    watch.observe(500, 0, "")
    watch.observe(500, 500, "x")
    with pytest.raises(InvariantError, match="501 of 1000"):
        watch.observe(1, 1, "x")


def test_old_poison_is_forgotten() -> None:
    watch = PoisonWatch()
    watch.observe(1000, 500, "x")
    for _ in range(10):
        watch.observe(1000, 0, "")
    watch.observe(400, 400, "x")


def test_what_was_aborted_counts_once_when_it_comes_again() -> None:
    watch = PoisonWatch()
    watch.observe(100, 0, "")
    watch.keep()
    for _ in range(5):
        watch.observe(99, 99, "x")
        watch.forget()
    watch.observe(99, 99, "x")
    watch.keep()
    with pytest.raises(InvariantError, match="101 of 201"):
        watch.observe(2, 2, "x")


def test_only_trace_headers_travel_on() -> None:
    headers = (("traceparent", b"a"), ("other", b"b"), ("tracestate", b"c"))
    assert trace_headers(headers) == (("traceparent", b"a"), ("tracestate", b"c"))

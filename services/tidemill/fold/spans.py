"""Spans of event time in question: what a HOLD leaves out, and what its RELEASE makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.controls import FOR_EVER_US, Hold

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a RELEASE says of the span that was held, in its label.
FAULT = "fault"
PROCESS_CHANGE = "process_change"
VERDICTS = (FAULT, PROCESS_CHANGE)


def is_span_held(update: Mapping[str, Any]) -> bool:  # Any: an Avro record
    """Return whether an update holds a span that may have begun before it came."""
    return update["kind"] == "HOLD" and update["span"] is not None


def is_verdict(update: Mapping[str, Any]) -> bool:  # Any: as above
    """Return whether an update says what a span was, for which somebody held it."""
    return update["kind"] == "RELEASE" and update["label"] is not None


def brings_back(update: Mapping[str, Any]) -> bool:  # Any: as above
    """Return whether an update has a span learned, in order, as if nobody had held it."""
    return is_verdict(update) and update["label"] == PROCESS_CHANGE


def end_of(update: Mapping[str, Any]) -> int | None:  # Any: as above
    """Return the last event time of a span that was a fault; None where nothing says that."""
    is_fault = is_verdict(update) and update["label"] == FAULT
    span = update["span"] if is_fault else None
    return None if span is None else span["to"]


def leaves_no_trace(update: Mapping[str, Any]) -> bool:  # Any: as above
    """Return whether an update decides what is learned without being part of it.

    Its bytes are in no lineage: that of a model without a span is that of what it learned.
    """
    return is_span_held(update) or is_verdict(update)


def hold_of(update: Mapping[str, Any]) -> Hold:  # Any: as above
    """Return what is not to be learned, of an update that holds a span."""
    span, until = update["span"], update["until"]
    ends = span["to"] if until is None else until
    return Hold(span["from"] - 1, FOR_EVER_US if ends is None else ends, str(update["origin"]))


def check_span(update: Mapping[str, Any]) -> None:  # Any: as above
    """Hold that a span has an end behind its beginning, and that a verdict is one, of something.

    Raises:
        InvalidRecordError: That is not so.
    """
    if is_span_held(update) and (hold := hold_of(update)).until_us <= hold.after_us:
        first, until = hold.after_us + 1, hold.until_us
        raise _domain(
            f"a hold must end at {first} us of event time or later, was to end at {until}"
        )
    if not is_verdict(update):
        return
    if update["label"] not in VERDICTS:
        words = " or ".join(VERDICTS)
        raise _domain(f"label of a RELEASE must be {words} or null, was {update['label']!r}")
    if not update["target_id"]:
        raise _domain(f"target_id must name the hold that was {update['label']}, was none")
    end = end_of(update)
    if end is not None and end < update["span"]["from"]:
        raise _domain(f"span.to must be at or after span.from, was {end}")


def _domain(message: str) -> InvalidRecordError:
    return InvalidRecordError(DeadLetterReason.DOMAIN, message)

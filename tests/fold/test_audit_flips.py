"""One flipped bit, anywhere in a small history, is located; without one, nothing is found."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fold.history import KEY, OUTPUTS, TOPICS, make_history, with_flipped_bit
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, SNAPSHOTS, UPDATES
from tidemill.fold.audit import Kind, flips, replay, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from fold.history import ListLog
    from tidemill.fold.audit import Findings
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.records import Message

    Audit = Callable[[ListLog, int, SigningKey], Findings]

AUDITS = (verify, replay)
INPUTS = (EVENTS, UPDATES)
KIND_OF = {
    **dict.fromkeys(INPUTS, Kind.INPUT_ALTERED),
    **dict.fromkeys(OUTPUTS, Kind.OUTPUT_ALTERED),
    **dict.fromkeys((SNAPSHOTS, ANCHORS), Kind.SNAPSHOT_REFUSED),
    LEDGER: Kind.LEDGER_ALTERED,
}

seeds = st.integers(0, 5)
bits = st.integers(0, 1 << 20)


@cache
def history(seed: int) -> ListLog:
    return make_history(seed)


def drawn(seed: int, topic: str, data: st.DataObject) -> tuple[ListLog, Message | None]:
    """Return a history with one bit flipped in one value of a topic, and the record."""
    log = history(seed)
    messages = [m for m in log.topics[topic] if m.value]
    if not messages:
        return log, None
    message = data.draw(st.sampled_from(messages))
    return with_flipped_bit(log, message, data.draw(bits)), message


@pytest.mark.parametrize("audit", AUDITS)
@pytest.mark.parametrize("seed", range(6))
def test_an_untouched_history_differs_in_nothing(audit: Audit, seed: int) -> None:
    log = history(seed)
    report = audit(log, 0, KEY)

    assert report.findings == []
    assert report.notes == []
    assert report.counts["entries"] == len(log.topics[LEDGER])
    assert report.counts["inputs"] == sum(len(log.topics[topic]) for topic in INPUTS)
    stored = report.counts["predictions"] + report.counts["dead_letters"]
    assert stored == sum(len(log.topics[topic]) for topic in OUTPUTS)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("audit", AUDITS)
@settings(deadline=None, max_examples=15)
@given(seed=seeds, data=st.data())
def test_a_flipped_bit_is_located_to_the_record(
    audit: Audit, topic: str, seed: int, data: st.DataObject
) -> None:
    log, message = drawn(seed, topic, data)
    if message is None:
        return

    (finding,) = audit(log, 0, KEY).findings

    assert finding.kind == KIND_OF[topic]
    assert finding.place == (topic, 0, message.offset, message.offset)
    assert finding.also == ()


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("audit", AUDITS)
@settings(deadline=None, max_examples=15)
@given(seed=seeds, data=st.data())
def test_without_trying_bits_the_evidence_narrows_to_the_record_or_its_entry(
    audit: Audit, topic: str, seed: int, data: st.DataObject
) -> None:
    log, message = drawn(seed, topic, data)
    if message is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flips, "MOST_BYTES", 0)

        (finding,) = audit(log, 0, KEY).findings

    assert finding.kind == KIND_OF[topic]
    assert finding.names(topic, message.offset)
    if topic not in INPUTS and (audit is replay or topic != "model.predictions"):
        assert finding.place.first == finding.place.last
        assert finding.also == ()


@settings(deadline=None, max_examples=30)
@given(seed=seeds, data=st.data())
def test_of_two_flipped_bits_verify_names_both_where_one_does_not_hide_the_other(
    seed: int, data: st.DataObject
) -> None:
    log = history(seed)
    visible = [m for m in log.all() if m.value and m.topic in (SNAPSHOTS, ANCHORS, *OUTPUTS)]
    one = data.draw(st.sampled_from(visible))
    other = data.draw(st.sampled_from([m for m in visible if m.topic != one.topic]))
    altered = with_flipped_bit(with_flipped_bit(log, one, data.draw(bits)), other, 7)

    findings = verify(altered, 0, KEY).findings

    for message in (one, other):
        assert any(f.names(message.topic, message.offset) for f in findings)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, data=st.data())
def test_any_other_byte_or_no_value_at_all_is_found_too(seed: int, data: st.DataObject) -> None:
    log = history(seed).copy()
    saved = (SNAPSHOTS, ANCHORS)
    message = data.draw(st.sampled_from([m for m in log.all() if m.value and m.topic not in saved]))
    value = bytearray(message.value or b"")
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    is_gone = data.draw(st.booleans())
    log.put(message._replace(value=None if is_gone else bytes(value)))

    for audit in AUDITS:
        findings = audit(log, 0, KEY).findings
        assert any(f.names(message.topic, message.offset) for f in findings)

"""A replay holds every explanation against what the model says again, and names what differs."""

from __future__ import annotations

import pytest

from fold.history import KEY, ListLog, make_history, with_flipped_bit
from processors.ledger_reader import Reader, small_history
from tidemill.contracts.topics import EXPLANATIONS, LEDGER
from tidemill.fold.audit import Span, replay
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.findings import Kind


def explained(log: ListLog) -> ListLog:
    """Return the topics with every prediction explained."""
    Reader(log).read()
    return log


@pytest.mark.parametrize("seed", range(8))
def test_explanations_that_are_as_they_were_made_are_held_and_found_right(seed: int) -> None:
    log = explained(make_history(seed))
    found = replay(log, 0, KEY)
    assert found.findings == []
    assert found.counts["explanations"] == len(log.topics[EXPLANATIONS]) > 0


@pytest.mark.parametrize("number", [0, 5, 6, 13, 23])
@pytest.mark.parametrize("bit", range(0, 1600, 173))
def test_a_flipped_bit_in_an_explanation_is_named(number: int, bit: int) -> None:
    log = explained(small_history().log)
    message = log.topics[EXPLANATIONS][number]
    found = replay(with_flipped_bit(log, message, bit), 0, KEY)
    assert found.findings
    assert any(each.names(EXPLANATIONS, message.offset) for each in found.findings)


@pytest.mark.parametrize("number", [1, 5, 6, 22])
def test_an_explanation_that_was_removed_is_missed(number: int) -> None:
    log = explained(small_history().log)
    log.remove(log.topics[EXPLANATIONS][number])
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind is Kind.OUTPUT_MISSING
    assert f"that of sensor.events-0@{number} is not there" in finding.found


def test_an_explanation_that_was_added_is_found() -> None:
    log = explained(small_history().log)
    twice = log.topics[EXPLANATIONS][7]
    again = log.append(EXPLANATIONS, twice.value, key=twice.key)
    log.topics[EXPLANATIONS].remove(again)
    log.topics[EXPLANATIONS].insert(8, again)
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind is Kind.OUTPUT_FOREIGN


def test_what_is_not_explained_yet_is_not_missing() -> None:
    log = small_history().log
    reader = Reader(log)
    reader.read(3)
    assert len(log.topics[EXPLANATIONS]) == 12
    found = replay(log, 0, KEY)
    assert (found.findings, found.counts["explanations"]) == ([], 12)


def test_what_was_before_an_explainer_that_began_at_the_end_is_not_missing() -> None:
    log = small_history().log
    whole = log.copy()
    cut = whole.topics[LEDGER][3].offset
    whole.topics[LEDGER] = whole.topics[LEDGER][:3]
    whole.ends[LEDGER] = cut
    late = Reader(whole, from_end=True)
    late.log.topics[LEDGER], late.log.ends[LEDGER] = log.topics[LEDGER], log.ends[LEDGER]
    made = late.read()
    assert len(made) == 12
    found = replay(late.log, 0, KEY)
    assert (found.findings, found.counts["explanations"]) == ([], 12)


def test_a_block_that_was_written_again_later_is_found_record_by_record() -> None:
    log = explained(small_history().log)
    for message in log.topics[EXPLANATIONS][2:8]:
        log.append(EXPLANATIONS, message.value, key=message.key)
    moved = log.topics[EXPLANATIONS][24:]
    log.topics[EXPLANATIONS] = [
        *log.topics[EXPLANATIONS][:15],
        *moved,
        *log.topics[EXPLANATIONS][15:24],
    ]
    findings = replay(log, 0, KEY).findings
    assert {finding.kind for finding in findings} == {Kind.OUTPUT_FOREIGN}
    assert [finding.place.first for finding in findings] == [m.offset for m in moved]


@pytest.mark.parametrize("first", [1, 2, 3])
def test_explanations_before_a_span_are_not_accused(first: int) -> None:
    log = explained(small_history().log)
    found = replay(log, 0, KEY, span=Span(start=AtSequence(first)))
    assert found.findings == []

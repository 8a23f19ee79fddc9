"""What `replay` folds, from where on it vouches, and what it calls a difference."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fold.history import (
    CHALLENGERS,
    KEY,
    START_MS,
    TERMS,
    History,
    ListLog,
    make_history,
    some_event,
    some_update,
    with_flipped_bit,
)
from fold.resealed import entries_of, forged, pure_log, resealed
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.fold.audit import Kind, Span, replay, verify
from tidemill.fold.audit.bounds import AtOffset, AtSequence, AtTime
from tidemill.fold.audit.exam import NEWER
from tidemill.fold.audit.findings import Place
from tidemill.fold.books import BUDGET, Policy
from tidemill.fold.ledger import Action
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.audit import Findings
    from tidemill.fold.audit.bounds import Bound
    from tidemill.fold.ledger import Entry

ASSETS = ("north/1", "north/2")
X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}


def long_history(entries: int = 24, *, policy: Policy | None = None) -> History:
    """Return events and updates of two assets, so that anchors are plenty."""
    history = History(policy=policy or Policy(snapshot_every=4, anchor_every=3, define_every=5))
    rng = random.Random(7)
    for n in range(entries):
        events = [
            history.event(event_value(ASSETS[i % 2], i, X, rng.gauss(3, 1)))
            for i in range(3 * n, 3 * n + 3)
        ]
        history.commit([events, [some_update(history, 3 * n, rng)]])
    return history


@pytest.fixture
def log() -> ListLog:
    return long_history().log


def span(start: Bound | None = None, stop: Bound | None = None) -> Span:
    return Span(start, stop)


def kinds(report: Findings) -> list[Kind]:
    return [finding.kind for finding in report.findings]


def test_all_of_it_is_folded_and_every_output_compared(log: ListLog) -> None:
    seen: list[int] = []
    report = replay(log, 0, KEY, on_entry=lambda entry: seen.append(entry.sequence))
    assert report.findings == []
    assert seen == list(range(25))
    assert report.counts["folded"] == len(log.topics[EVENTS]) + len(log.topics[UPDATES])
    assert report.counts["compared"] == report.counts["predictions"] + report.counts["dead_letters"]


def test_terms_at_hand_spare_the_search(log: ListLog) -> None:
    assert replay(log, 0, KEY, known=[TERMS]).findings == []


def test_nothing_is_parsed_without_the_key_and_genesis_will_do(log: ListLog) -> None:
    report = replay(log, 0)
    assert report.findings == []
    assert report.counts["folded"] > 0


def test_an_empty_ledger_has_nothing_to_fold() -> None:
    assert replay(ListLog(), 0, KEY).notes != []


@pytest.mark.parametrize("start", [9, 17, 24])
def test_a_later_start_begins_at_verified_states_and_folds_less(log: ListLog, start: int) -> None:
    whole = replay(log, 0, KEY)
    report = replay(log, 0, KEY, span=span(AtSequence(start)))
    assert report.findings == []
    assert report.first is not None
    assert 0 < report.first <= start
    assert report.last == 24
    assert report.counts["folded"] < whole.counts["folded"]


def test_without_the_key_a_later_start_is_reached_from_genesis(log: ListLog) -> None:
    report = replay(log, 0, span=span(AtSequence(17)))
    assert report.findings == []
    assert report.first == 0


def test_a_stop_ends_the_fold_there(log: ListLog) -> None:
    report = replay(log, 0, KEY, span=span(None, AtSequence(6)))
    assert report.last == 6
    assert report.findings == []


@pytest.mark.parametrize("bound", [AtOffset(EVENTS, 0, 31), AtTime(START_MS + 31_000)])
def test_a_position_and_a_time_name_the_entry_that_applied_it(log: ListLog, bound: Bound) -> None:
    holding = next(e for e in entries_of(log) if (e.positions or {}).get(EVENTS, 0) > 31)
    stopped = replay(log, 0, span=span(None, bound))
    started = replay(log, 0, KEY, span=span(bound))
    assert started.first is not None
    assert started.first <= holding.sequence
    if isinstance(bound, AtOffset):
        assert stopped.last == holding.sequence
    assert stopped.findings == started.findings == []


def test_a_time_is_excluded_and_what_lies_before_it_is_folded(log: ListLog) -> None:
    first_of_entry_5 = next(e for e in entries_of(log) if e.sequence == 5).runs[0].first
    report = replay(log, 0, span=span(None, AtTime(START_MS + 1000 * first_of_entry_5)))
    assert report.last is not None
    updates_until = max(e.sequence for e in entries_of(log) if _has_update_before(e, 12))
    assert report.last == max(4, updates_until)


def _has_update_before(entry: Entry, offset: int) -> bool:
    return any(run.topic == UPDATES and run.first < offset for run in entry.runs)


@pytest.mark.parametrize(
    "empty",
    [
        span(AtTime(START_MS * 2)),
        span(AtSequence(9), AtSequence(3)),
        span(AtOffset(EVENTS, 0, 10_000)),
    ],
)
def test_a_span_without_an_entry_is_said(log: ListLog, empty: Span) -> None:
    report = replay(log, 0, KEY, span=empty)
    assert report.findings == []
    assert report.counts["folded"] == 0
    assert "no entry lies in this span" in report.notes


def test_a_bound_of_another_partition_does_not_bound_this_one(log: ListLog) -> None:
    other = span(AtOffset(EVENTS, 1, 31), AtOffset(EVENTS, 1, 31))
    assert replay(log, 0, KEY, span=other).last == 24


def test_inputs_no_longer_retained_are_bridged_by_states(log: ListLog) -> None:
    log.forget_before(EVENTS, 20)
    report = replay(log, 0, KEY)
    assert report.findings == []
    assert report.first is not None
    assert report.first > 5
    assert any(note.startswith("entries before") for note in report.notes)
    assert NEWER not in report.notes
    assert len(set(report.notes)) == len(report.notes)
    assert report.last == 24


def test_inputs_no_longer_retained_need_the_key(log: ListLog) -> None:
    log.forget_before(EVENTS, 20)
    assert kinds(replay(log, 0)) == [Kind.NOT_REPLAYABLE]


def test_a_flip_behind_what_is_retained_is_located_from_states(log: ListLog) -> None:
    log.forget_before(EVENTS, 20)
    log.forget_before(LEDGER, log.topics[LEDGER][4].offset)
    message = log.topics[EVENTS][-7]
    (finding,) = replay(with_flipped_bit(log, message, 200), 0, KEY).findings
    assert finding.place == Place.of(message)


@pytest.mark.parametrize("start", [9, 17])
def test_a_flipped_output_in_a_span_is_located(log: ListLog, start: int) -> None:
    message = log.topics[PREDICTIONS][-2]
    altered = with_flipped_bit(log, message, 321)
    (finding,) = replay(altered, 0, KEY, span=span(AtSequence(start))).findings
    assert finding.place == Place.of(message)


def test_models_without_an_older_state_are_vouched_for_from_their_next_one_on() -> None:
    log = long_history(policy=Policy(snapshot_every=4, anchor_every=10**6)).log
    log.forget_before(ANCHORS, log.ends[ANCHORS])
    newest = {m.key: m for m in log.topics[SNAPSHOTS]}
    log.topics[SNAPSHOTS] = list(newest.values())
    log.forget_before(EVENTS, 9)
    report = replay(log, 0, KEY)
    assert report.findings == []
    assert any("is vouched for from entry" in note for note in report.notes)


def test_where_no_state_is_left_nothing_can_be_folded(log: ListLog) -> None:
    log.topics[ANCHORS], log.topics[SNAPSHOTS] = [], []
    log.forget_before(EVENTS, 20)
    assert Kind.NOT_REPLAYABLE in kinds(replay(log, 0, KEY))


def test_where_states_are_missing_and_all_is_retained_genesis_serves(log: ListLog) -> None:
    log.topics[ANCHORS] = []
    newest = {m.key: m for m in log.topics[SNAPSHOTS]}
    log.topics[SNAPSHOTS] = list(newest.values())
    report = replay(log, 0, KEY, span=span(AtSequence(9)))
    assert report.findings == []
    assert report.last == 24


def test_terms_that_are_nowhere_are_said(log: ListLog) -> None:
    entries = {e.sequence: m for e, m in zip(entries_of(log), log.topics[LEDGER], strict=True)}
    log.forget_before(EVENTS, 66)
    log.forget_before(LEDGER, entries[21].offset)
    report = replay(log, 0, KEY)
    assert kinds(report) == [Kind.NOT_REPLAYABLE]
    assert "definition" in report.findings[0].found
    assert replay(log, 0, KEY, known=[TERMS]).findings == []


def test_a_change_of_terms_is_crossed() -> None:
    history = long_history(6)
    changed = sample_terms(challengers={**CHALLENGERS, "late": ["linear_model.LinearRegression"]})
    history.open(changed)
    rng = random.Random(3)
    for n in range(6):
        history.commit([[some_event(history, 100 + 4 * n + i, rng) for i in range(4)]])
    assert replay(history.log, 0, KEY).findings == []
    assert replay(history.log, 0, KEY, span=span(AtSequence(11))).findings == []
    assert verify(history.log, 0, KEY).findings == []


def test_a_budget_that_stopped_a_model_is_met_again() -> None:
    terms = sample_terms(["tree.HoeffdingTreeRegressor"], memory="1KiB")
    history = History(terms)
    for n in range(8):
        values = [event_value("north/1", 9 * n + i, X, float(i)) for i in range(9)]
        history.commit([[history.event(value) for value in values]])
    actions = [action.kind for entry in entries_of(history.log) for action in entry.actions]
    assert BUDGET in actions
    assert replay(history.log, 0, KEY).findings == []


def test_results_of_other_arithmetic_are_called_that_and_not_tampering() -> None:
    report = replay(forged(pure_log(), 3, arithmetic=b"other"), 0, KEY)
    assert kinds(report) == [Kind.OTHER_ARITHMETIC]
    assert report.findings[0].sequence == 3


def test_results_of_other_code_are_called_that() -> None:
    log = resealed(forged(pure_log(), 3), lambda entry: replace(entry, code=b"other"))
    assert kinds(replay(log, 0, KEY)) == [Kind.OTHER_CODE]


def test_other_arithmetic_with_equal_results_is_no_difference() -> None:
    log = resealed(pure_log(), lambda entry: replace(entry, arithmetic=b"other"))
    assert replay(log, 0, KEY).findings == []


def test_an_altered_input_is_located_also_where_other_arithmetic_computed() -> None:
    log = resealed(pure_log(), lambda entry: replace(entry, arithmetic=b"other"))
    message = log.topics[EVENTS][6]
    (finding,) = replay(with_flipped_bit(log, message, 88), 0, KEY).findings
    assert finding.kind == Kind.INPUT_ALTERED
    assert finding.place == Place.of(message)


def test_a_forged_ledger_whose_hashes_are_right_is_found_by_the_fold() -> None:
    report = replay(forged(pure_log(), 3), 0, KEY)
    assert verify(forged(pure_log(), 3), 0, KEY).findings == []
    assert kinds(report) == [Kind.FOLD_DIFFERS]
    assert report.findings[0].sequence == 3


def test_a_forged_output_under_other_arithmetic_is_both() -> None:
    log = forged(pure_log(), 3, arithmetic=b"other")
    message = log.topics[PREDICTIONS][-10]
    report = replay(with_flipped_bit(log, message, 500), 0, KEY)
    assert Kind.OTHER_ARITHMETIC in kinds(report)
    assert any(f.names(PREDICTIONS, message.offset) for f in report.findings)


def test_a_signed_state_that_leads_elsewhere_is_named(log: ListLog) -> None:
    messages = log.topics[ANCHORS]
    key = next(m.key for m in messages if (m.key or b"").endswith(b"north/1|pump/champion"))
    mine = [m for m in messages if m.key == key]
    used = mine[-2]
    older = codec("Snapshot").decode(mine[0].value)
    record = {**codec("Snapshot").decode(used.value), "state": older["state"], "signature": b""}
    record["signature"] = KEY.sign(used.key or b"", codec("Snapshot").encode(record))
    false = codec("Snapshot").encode(record)
    for topic in (ANCHORS, SNAPSHOTS):
        for message in log.topics[topic]:
            if message.value == used.value:
                log.put(message._replace(value=false))
    start = record["sequence"] + 1
    assert isinstance(start, int)
    report = replay(log, 0, KEY, span=span(AtSequence(start)))
    assert kinds(report) == [Kind.SNAPSHOT_CONTRADICTS]
    assert report.findings[0].place.topic in {ANCHORS, SNAPSHOTS}


@pytest.mark.parametrize("what", ["key", "headers"])
def test_key_and_headers_of_an_output_belong_to_it(what: str) -> None:
    log = make_history(1)
    dead = log.topics[EVENTS + ".dlq"][0]
    headers = tuple(
        (name, b"other" if name == "tidemill.reason" else value) for name, value in dead.headers
    )
    log.put(dead._replace(key=b"other") if what == "key" else dead._replace(headers=headers))
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind == Kind.OUTPUT_ALTERED
    assert finding.place == Place.of(dead)


@pytest.mark.parametrize("topic", [PREDICTIONS, UPDATES + ".dlq"])
def test_a_missing_output_is_named_by_its_input(topic: str) -> None:
    log = make_history(3)
    gone = log.topics[topic][1]
    log.remove(gone)
    findings = replay(log, 0, KEY).findings
    assert findings[0].kind == Kind.OUTPUT_MISSING
    assert findings[0].place.topic == topic


def test_an_output_that_the_fold_does_not_give_is_foreign(log: ListLog) -> None:
    dead = {m.value for m in log.topics[UPDATES + ".dlq"]}
    learned = next(m for m in reversed(log.topics[UPDATES]) if m.value not in dead)
    headers = (
        ("__streams.errors.offset", str(learned.offset).encode()),
        ("tidemill.processor", b"learner"),
    )
    foreign = log.append(UPDATES + ".dlq", learned.value, headers=headers)
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind == Kind.OUTPUT_FOREIGN
    assert finding.place == Place.of(foreign)


def test_an_output_whose_value_is_gone_is_altered() -> None:
    log = make_history(1)
    nothing = next(m for m in log.topics[EVENTS + ".dlq"])
    log.put(nothing._replace(value=None if nothing.value else b"x"))
    (finding,) = replay(log, 0, KEY).findings
    assert finding.place == Place.of(nothing)


def test_an_altered_entry_before_the_span_is_said_and_the_span_is_folded(log: ListLog) -> None:
    altered = with_flipped_bit(log, log.topics[LEDGER][2], 400)
    report = replay(altered, 0, KEY, span=span(AtSequence(20)))
    assert kinds(report) == [Kind.LEDGER_ALTERED]
    assert report.last == 24


def test_a_roll_back_cannot_be_crossed_and_that_is_said() -> None:
    history = long_history(4)
    detail = {"model": "pump|north/1|pump/champion", "from": "4", "to": "2", "entry": "1"}
    action = Action("rollback", {**detail, "actor": "ann"})
    emits = history.learner.books.seal(history.positions, kind="ACTION", actions=[action])
    history.log.append(LEDGER, emits[0].value)
    report = replay(history.log, 0, KEY)
    assert kinds(report) == [Kind.NOT_REPLAYABLE]
    assert report.findings[0].sequence == 5


def test_states_in_several_records_are_started_from() -> None:
    policy = Policy(snapshot_every=4, anchor_every=3, chunk_bytes=500)
    log = long_history(policy=policy).log
    assert any(b"|#" in (m.key or b"") for m in log.topics[ANCHORS])
    report = replay(log, 0, KEY, span=span(AtSequence(17)))
    assert report.findings == []
    assert (report.first or 0) > 5


def test_one_missing_and_one_altered_output_of_an_entry_are_both_named() -> None:
    log = pure_log()
    gone, altered = log.topics[PREDICTIONS][8], log.topics[PREDICTIONS][10]
    log = with_flipped_bit(log, altered, 500)
    log.remove(gone)
    findings = replay(log, 0, KEY).findings
    assert {finding.kind for finding in findings} == {Kind.OUTPUT_MISSING, Kind.OUTPUT_ALTERED}
    assert any(finding.names(PREDICTIONS, altered.offset) for finding in findings)

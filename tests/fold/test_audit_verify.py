"""What `verify` says of records removed, added, exchanged, or no longer retained."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from fold.history import KEY, History, ListLog, make_history, with_flipped_bit
from fold.resealed import entries_of, resealed
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    ANCHORS,
    BY_NAME,
    EVENTS,
    LEDGER,
    PREDICTIONS,
    SNAPSHOTS,
    UPDATES,
)
from tidemill.fold.audit import Kind, flips, verify
from tidemill.fold.audit import verify as verify_function
from tidemill.fold.audit.findings import Place
from tidemill.fold.audit.saved import NO_KEY
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Action
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.deadletters import SUFFIX
from tidemill.testing.plants import event_value, sample_terms, update_value

if TYPE_CHECKING:
    from tidemill.fold.audit import Finding
    from tidemill.fold.ledger import Entry

DEAD = EVENTS + SUFFIX
X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}


@pytest.fixture
def log() -> ListLog:
    return make_history(1)


def plain_history(entries: int = 3, events: int = 4) -> History:
    """Return events of one asset, all of them good, so many to an entry."""
    history = History()
    for n in range(entries):
        numbers = range(n * events, (n + 1) * events)
        batch = [history.event(event_value("north/1", i, X, float(i))) for i in numbers]
        history.commit([batch])
    return history


def found(log: ListLog) -> list[tuple[Kind, Place]]:
    return [(finding.kind, finding.place) for finding in verify(log, 0, KEY).findings]


def one(log: ListLog) -> Finding:
    (finding,) = verify(log, 0, KEY).findings
    return finding


def at(topic: str, offset: int | None) -> Place:
    return Place(topic, 0, offset, offset)


def test_an_event_missing_inside_a_run_is_named_by_its_prediction() -> None:
    log = plain_history().log
    log.remove(log.topics[EVENTS][5])
    assert found(log) == [(Kind.INPUT_MISSING, at(EVENTS, 5))]


@pytest.mark.parametrize("offset", [4, 7])
def test_the_first_and_the_last_record_of_a_run_must_be_there(offset: int) -> None:
    log = plain_history().log
    log.remove(log.topics[EVENTS][offset])
    assert found(log)[0] == (Kind.INPUT_MISSING, at(EVENTS, offset))


def test_a_record_that_no_run_names_is_found() -> None:
    history = plain_history(2)
    history.log.mark(EVENTS)
    batch = [history.event(event_value("north/1", 99, X))]
    history.commit([batch])
    log = history.log
    added = batch[0]._replace(offset=8)
    log.topics[EVENTS].insert(8, added)
    assert found(log) == [(Kind.INPUT_UNAPPLIED, at(EVENTS, 8))]


def test_an_event_without_prediction_is_named() -> None:
    log = plain_history().log
    log.remove(log.topics[PREDICTIONS][6])
    finding = one(log)
    assert finding.kind == Kind.OUTPUT_MISSING
    assert finding.sequence == 2
    assert "sensor.events-0@6" in finding.found


def test_a_run_whose_predictions_are_all_gone_names_every_event() -> None:
    log = plain_history(1).log
    log.topics[PREDICTIONS].clear()
    findings = verify(log, 0, KEY).findings
    assert [f.kind for f in findings] == [Kind.OUTPUT_MISSING] * 4


def test_a_second_prediction_of_one_event_is_foreign() -> None:
    log = plain_history().log
    log.append(PREDICTIONS, log.topics[PREDICTIONS][6].value)
    last = log.topics[PREDICTIONS][-1].offset
    assert (Kind.OUTPUT_FOREIGN, at(PREDICTIONS, last)) in found(log)


def test_a_dead_letter_of_a_record_that_was_not_dead_is_foreign() -> None:
    log = plain_history().log
    headers = (("__streams.errors.offset", b"5"), ("tidemill.processor", b"learner"))
    dead = log.append(DEAD, log.topics[EVENTS][5].value, headers=headers)
    findings = verify(log, 0, KEY).findings
    assert any(f.names(PREDICTIONS, log.topics[PREDICTIONS][5].offset) for f in findings) or any(
        f.names(DEAD, dead.offset) for f in findings
    )


def test_dead_letters_of_other_processors_are_not_ours() -> None:
    log = plain_history().log
    headers = (("__streams.errors.offset", b"5"), ("tidemill.processor", b"labeller"))
    log.append(DEAD, b"any", headers=headers)
    assert found(log) == []


def test_a_dead_letter_that_names_no_source_is_found(log: ListLog) -> None:
    dead = log.topics[DEAD][0]
    kept = tuple(h for h in dead.headers if h[0] != "__streams.errors.offset")
    log.put(dead._replace(headers=kept))
    assert any(f.names(DEAD, dead.offset) for f in verify(log, 0, KEY).findings)


def test_a_dead_letter_may_hold_an_earlier_ones_headers() -> None:
    history = History()
    old = (("__streams.errors.offset", b"77"), ("tidemill.processor", b"labeller"))
    message = history.log.append(EVENTS, b"poison", key=b"a", headers=old)
    history.commit([[message]])
    assert found(history.log) == []


def test_an_entry_removed_from_the_ledger_leaves_a_gap(log: ListLog) -> None:
    removed = log.topics[LEDGER][4]
    log.remove(removed)
    kinds = {kind for kind, _ in found(log)}
    assert found(log)[0] == (Kind.LEDGER_GAP, at(LEDGER, log.topics[LEDGER][4].offset))
    assert kinds <= {Kind.LEDGER_GAP}


def test_a_ledger_that_lost_its_first_entries_is_found_where_nothing_was_deleted(
    log: ListLog,
) -> None:
    log.topics[LEDGER] = log.topics[LEDGER][2:]
    assert found(log)[0][0] == Kind.LEDGER_GAP


def test_an_entry_of_another_ledger_does_not_link(log: ListLog) -> None:
    other = make_history(2)
    exchanged = log.topics[LEDGER][3]._replace(value=other.topics[LEDGER][3].value)
    log.put(exchanged)
    kinds = [kind for kind, _ in found(log)]
    assert kinds.count(Kind.LEDGER_GAP) == 2


def test_an_altered_entry_hides_only_itself(log: ListLog) -> None:
    entry = log.topics[LEDGER][3]
    altered = with_flipped_bit(log, entry, 999)
    later = log.topics[PREDICTIONS][-1]
    altered = with_flipped_bit(altered, later, 3)
    assert [place for _, place in found(altered)] == [
        at(LEDGER, entry.offset),
        at(PREDICTIONS, later.offset),
    ]


def test_positions_must_follow_one_another(log: ListLog) -> None:
    def back(entry: Entry) -> Entry:
        if entry.sequence != 5:
            return entry
        return replace(entry, positions={**(entry.positions or {}), EVENTS: 1})

    findings = verify(resealed(log, back), 0, KEY).findings
    assert Kind.LEDGER_CONTRADICTS in {finding.kind for finding in findings}


def test_what_an_operator_skipped_was_not_to_be_applied() -> None:
    history = plain_history(2)
    history.event(b"poison")
    history.positions[EVENTS] = history.log.ends[EVENTS]
    detail = {"topic": EVENTS, "from": "8", "to": "9", "actor": "ann"}
    books = history.learner.books
    emits = books.seal(history.positions, kind="ACTION", actions=[Action("skip", detail)])
    history.log.append(LEDGER, emits[0].value)
    assert found(history.log) == []


def test_a_snapshot_that_is_gone_is_missed(log: ListLog) -> None:
    key = log.topics[SNAPSHOTS][-1].key
    log.topics[SNAPSHOTS] = [m for m in log.topics[SNAPSHOTS] if m.key != key]
    finding = one(log)
    assert finding.kind == Kind.SNAPSHOT_MISSING
    assert finding.place == at(SNAPSHOTS, None)
    assert "there is none" in finding.found


def test_an_older_snapshot_in_the_place_of_the_newest_is_missed(log: ListLog) -> None:
    message = log.topics[SNAPSHOTS][-1]
    log.remove(message)
    assert any(m.key == message.key for m in log.topics[SNAPSHOTS])
    assert "the newest is of entry" in one(log).found


def test_compaction_of_older_snapshots_is_no_loss(log: ListLog) -> None:
    newest = {m.key: m for m in log.topics[SNAPSHOTS]}
    log.topics[SNAPSHOTS] = list(newest.values())
    assert found(log) == []


def test_snapshots_of_another_key_are_refused(log: ListLog) -> None:
    report = verify(log, 0, SigningKey(bytes(32)))
    assert {finding.kind for finding in report.findings} == {Kind.SNAPSHOT_REFUSED}
    assert len(report.findings) == len(log.topics[SNAPSHOTS]) + len(log.topics[ANCHORS])


def test_without_a_key_signatures_are_not_checked_and_the_report_says_so(log: ListLog) -> None:
    report = verify(log, 0)
    assert report.findings == []
    assert report.notes == [NO_KEY]


def test_without_a_key_a_snapshot_must_agree_with_the_ledger(log: ListLog) -> None:
    one_of_them = log.topics[SNAPSHOTS][0]
    other = next(m for m in log.topics[SNAPSHOTS] if m.key != one_of_them.key)
    log.put(one_of_them._replace(value=other.value))
    kinds = {finding.kind for finding in verify(log, 0).findings}
    assert kinds == {Kind.SNAPSHOT_CONTRADICTS}


def test_a_snapshot_of_an_entry_that_announces_none_contradicts(log: ListLog) -> None:
    def silent(entry: Entry) -> Entry:
        return replace(entry, snapshots=())

    kinds = {kind for kind, _ in found(resealed(log, silent))}
    assert kinds == {Kind.SNAPSHOT_CONTRADICTS}


def test_a_snapshot_whose_key_is_no_models_is_refused(log: ListLog) -> None:
    message = log.topics[ANCHORS][0]
    log.put(message._replace(key=b"nonsense"))
    assert found(log) == [(Kind.SNAPSHOT_REFUSED, at(ANCHORS, message.offset))]


@pytest.mark.parametrize("topic", [EVENTS, UPDATES])
def test_inputs_no_longer_retained_are_said_and_are_no_difference(log: ListLog, topic: str) -> None:
    log.forget_before(topic, log.topics[topic][5].offset)
    report = verify(log, 0, KEY)
    assert report.findings == []
    assert any("inputs of" in note for note in report.notes)


@pytest.mark.parametrize("keep", [0, 2])
@pytest.mark.parametrize("topic", [PREDICTIONS, DEAD])
def test_outputs_no_longer_retained_are_said_and_are_no_difference(
    log: ListLog, topic: str, keep: int
) -> None:
    messages = log.topics[topic]
    log.forget_before(topic, messages[-keep].offset if keep else log.ends[topic])
    report = verify(log, 0, KEY)
    assert report.findings == []
    assert any("outputs of" in note for note in report.notes)


def test_entries_no_longer_retained_are_said_and_are_no_difference(log: ListLog) -> None:
    log.forget_before(LEDGER, log.topics[LEDGER][3].offset)
    report = verify(log, 0, KEY)
    assert report.findings == []
    assert report.first == 3
    assert any(note.startswith("entries before 3") for note in report.notes)


def test_a_flipped_bit_behind_the_first_retained_entry_is_located(log: ListLog) -> None:
    log.forget_before(LEDGER, log.topics[LEDGER][3].offset)
    message = log.topics[EVENTS][-1]
    finding = one(with_flipped_bit(log, message, 77))
    assert finding.names(EVENTS, message.offset)


def test_outputs_of_a_transaction_newer_than_the_audit_are_only_noted() -> None:
    history = plain_history()
    log = history.log.copy()
    history.commit([[history.event(event_value("north/1", 50, X))]])
    log.topics[EVENTS] = history.log.topics[EVENTS]
    log.topics[PREDICTIONS] = history.log.topics[PREDICTIONS]
    log.ends = {**log.ends, PREDICTIONS: history.log.ends[PREDICTIONS]}
    report = verify(log, 0, KEY)
    assert report.findings == []
    assert any("newer than this audit" in note for note in report.notes)


def test_other_arithmetic_and_other_code_are_notes(log: ListLog) -> None:
    foreign = resealed(log, lambda entry: replace(entry, arithmetic=b"x", code=b"y"))
    report = verify(foreign, 0, KEY)
    assert report.findings == []
    assert len(report.notes) == 2


def test_an_empty_ledger_vouches_for_nothing() -> None:
    report = verify(ListLog(), 0, KEY)
    assert report.findings == []
    assert report.first is None
    assert any("no entry" in note for note in report.notes)


def test_every_sound_entry_is_reported_as_progress(log: ListLog) -> None:
    seen: list[int] = []
    verify_function(log, 0, KEY, on_entry=lambda entry: seen.append(entry.sequence))
    assert seen == [entry.sequence for entry in entries_of(log)]


def test_a_finding_says_where_what_must_hold_and_what_was_found() -> None:
    history = plain_history()
    some_event_of_it = history.log.topics[EVENTS][5]
    finding = one(with_flipped_bit(history.log, some_event_of_it, 70))
    document = finding.document()
    assert (document["topic"], document["partition"], document["offset"]) == (EVENTS, 0, 5)
    assert document["sequence"] == 2
    assert str(finding).startswith("input-altered: sensor.events-0@5 (ledger entry 2): ")


def chunked_history() -> ListLog:
    """Return a history whose snapshots come in several records each."""
    policy = Policy(snapshot_every=4, anchor_every=3, chunk_bytes=400)
    history = History(policy=policy)
    for n in range(4):
        numbers = range(4 * n, 4 * n + 4)
        batch = [history.event(event_value("north/1", i, X, float(i))) for i in numbers]
        history.commit([batch])
    return history.log


@pytest.mark.parametrize("topic", [SNAPSHOTS, ANCHORS])
def test_each_part_of_a_large_snapshot_is_checked(topic: str) -> None:
    log = chunked_history()
    parts = [m for m in log.topics[topic] if b"|#" in (m.key or b"")]
    assert parts
    assert found(log) == []
    altered = with_flipped_bit(log, parts[-1], 5_000)
    assert found(altered) == [(Kind.SNAPSHOT_REFUSED, at(topic, parts[-1].offset))]


def test_a_forgotten_model_needs_no_snapshot() -> None:
    history = plain_history()
    history.open(sample_terms(["linear_model.LinearRegression"]))
    assert any(m.value is None for m in history.log.topics[SNAPSHOTS])
    assert found(history.log) == []


def test_an_anchor_without_a_value_is_refused(log: ListLog) -> None:
    anchor = log.topics[ANCHORS][0]
    log.put(anchor._replace(value=None))
    assert found(log) == [(Kind.SNAPSHOT_REFUSED, at(ANCHORS, anchor.offset))]


def test_where_nothing_tells_two_records_apart_a_finding_names_both() -> None:
    history = History()
    batch = [history.event(event_value("north/1", n, X)) for n in range(3)]
    history.commit([batch])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flips, "MOST_BYTES", 0)
        finding = one(with_flipped_bit(history.log, batch[1], 30))
    document = finding.document()
    assert (document["offset"], document["offsets"]) == (None, [0, 2])
    assert "one of these 3" in finding.found
    assert "sensor.events-0@0 to 2" in str(finding)


def test_a_place_without_offset_is_a_partition() -> None:
    assert str(Place(SNAPSHOTS, 2, None, None)) == "learner.snapshots-2"
    assert not Place(SNAPSHOTS, 2, None, None).covers(SNAPSHOTS, 0)
    assert not Place(SNAPSHOTS, 2, 4, 9).covers(ANCHORS, 5)


def test_an_entry_written_in_other_bytes_of_the_same_meaning_is_altered(log: ListLog) -> None:
    message = log.topics[LEDGER][3]
    value = message.value or b""
    longer = value[:5] + bytes((value[5] | 0x80, 0)) + value[6:]
    log.put(message._replace(value=longer))
    finding = one(log)
    assert finding.place == at(LEDGER, message.offset)
    assert "its bytes are not those" in finding.found


def test_a_snapshot_written_in_other_bytes_of_the_same_meaning_is_altered(log: ListLog) -> None:
    message = log.topics[SNAPSHOTS][0]
    value = message.value or b""
    longer = value[:5] + bytes((value[5] | 0x80, 0)) + value[6:]
    log.put(message._replace(value=longer))
    finding = one(log)
    assert finding.place == at(SNAPSHOTS, message.offset)
    assert "its bytes are not those" in finding.found


def test_two_altered_events_of_one_entry_are_named_each_by_its_own_chain() -> None:
    history = History()
    values = [event_value(f"north/{n % 2}", n, X, float(n)) for n in range(8)]
    batch = [history.event(value) for value in values]
    history.commit([batch])
    altered = with_flipped_bit(with_flipped_bit(history.log, batch[2], 400), batch[5], 400)
    assert found(altered) == [
        (Kind.INPUT_ALTERED, at(EVENTS, 2)),
        (Kind.INPUT_ALTERED, at(EVENTS, 5)),
    ]


def test_a_repeated_update_is_not_taken_for_an_altered_one() -> None:
    history = History()
    history.commit([[history.event(event_value("north/1", 0, X, 1.0))]])
    updates = [history.update(update_value("north/1", n, X, 2.0)) for n in (1, 5, 3, 6, 6)]
    event = history.event(event_value("north/1", 1, X, 1.0))
    history.commit([updates, [event]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flips, "MOST_BYTES", 0)
        (finding,) = verify(with_flipped_bit(history.log, event, 400), 0, KEY).findings
    assert finding.place == at(EVENTS, event.offset)


def test_links_with_too_many_ways_prove_nothing() -> None:
    history = History()
    history.commit([[history.event(event_value("north/1", 0, X, 1.0))]])
    record = codec("Update").decode(update_value("north/1", 1, X, 2.0))
    updates = []
    for topic, partition in product(sorted(BY_NAME)[:6], range(2)):
        cause = {"topic": topic, "partition": partition, "offset": 1, "index": 0}
        updates.append(history.update(codec("Update").encode({**record, "cause": cause})))
    history.commit([updates])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flips, "MOST_BYTES", 0)
        finding = one(with_flipped_bit(history.log, updates[4], 700))
    assert finding.place == Place(UPDATES, 0, 0, 11)

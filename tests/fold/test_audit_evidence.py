"""How evidence alone, without trying bits, tells one altered record from its neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fold.history import KEY, History, make_history, with_flipped_bit
from fold.resealed import forged, pure_log, resealed
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.fold.audit import Kind, Span, flips, replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.findings import Place
from tidemill.fold.books import Policy
from tidemill.testing.plants import event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from fold.history import ListLog
    from tidemill.fold.audit import Finding, Findings
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.records import Message

    Audit = Callable[[ListLog, int, SigningKey], Findings]

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
AUDITS = (verify, replay)


@pytest.fixture(autouse=True)
def _no_bit_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flips, "MOST_BYTES", 0)


def one(audit: Audit, log: ListLog) -> Finding:
    (finding,) = audit(log, 0, KEY).findings
    return finding


def changed(log: ListLog, message: Message, value: bytes) -> ListLog:
    altered = log.copy()
    altered.put(message._replace(value=value))
    return altered


@pytest.mark.parametrize("audit", AUDITS)
def test_what_was_learned_is_cleared_so_that_the_rest_is_suspected(audit: Audit) -> None:
    history = History()
    labels = [1.0, 2.0, None, 3.0]
    batch = [history.event(event_value("north/1", n, X, label)) for n, label in enumerate(labels)]
    history.commit([batch])
    quiet = event_value("north/1", 2, {**X, "vibration": 1.0}, None)
    invisible = changed(history.log, batch[2], quiet[:-1] + b"\x01")
    assert one(audit, invisible).names(EVENTS, 2)
    last = with_flipped_bit(history.log, batch[2], 30)
    assert one(audit, last).place == Place.of(batch[2])


def test_a_prediction_that_changed_gives_its_event_away_though_nothing_was_learned() -> None:
    history = History()
    history.commit([[history.event(event_value("north/1", n, X, 1.0)) for n in range(3)]])
    batch = [history.event(event_value("north/1", n, X)) for n in range(3, 7)]
    history.commit([batch])
    other = changed(history.log, batch[2], event_value("north/1", 5, {**X, "flow": 0.25}))
    finding = one(replay, other)
    assert finding.place == Place.of(batch[2])
    assert len(one(verify, other).place) == 4
    assert one(verify, other).place.first != one(verify, other).place.last


def test_an_update_that_names_a_new_asset_is_given_away_by_the_model_it_starts() -> None:
    history = History()
    events = [history.event(event_value("north/1", n, X, 1.0)) for n in range(2)]
    update = history.update(update_value("north/1", 1, X, 2.0))
    history.commit([events, [update]])
    other = changed(history.log, update, update_value("north/9", 1, X, 2.0))
    assert one(replay, other).place == Place.of(update)


@pytest.mark.parametrize("audit", AUDITS)
def test_a_record_that_two_broken_chains_share_is_the_one(audit: Audit) -> None:
    history = History()
    history.commit([[history.event(event_value(f"north/{n}", n, X, 1.0)) for n in (1, 3)]])
    first = history.event(event_value("north/1", 4, X, 1.0))
    moved = history.update(update_value("north/1", 5, X, 2.0))
    second = history.event(event_value("north/1", 5, X, 1.0))
    other = history.update(update_value("north/3", 2, X, 2.0))
    third = history.event(event_value("north/3", 6, X, 1.0))
    history.commit([[first], [moved], [second], [other], [third]])
    altered = changed(history.log, moved, update_value("north/3", 5, X, 2.0))
    assert one(audit, altered).place == Place.of(moved)


@pytest.mark.parametrize("audit", AUDITS)
def test_a_prediction_that_names_an_earlier_event_is_altered_not_foreign(audit: Audit) -> None:
    history = History()
    for n in range(3):
        values = [event_value("north/1", 4 * n + i, X, 1.0) for i in range(4)]
        history.commit([[history.event(value) for value in values]])
    first_of_entry_2 = history.log.topics[PREDICTIONS][4]
    record = codec("Prediction").decode(first_of_entry_2.value)
    record["source"]["offset"] = 1
    altered = changed(history.log, first_of_entry_2, codec("Prediction").encode(record))
    finding = one(audit, altered)
    assert finding.kind == Kind.OUTPUT_ALTERED
    assert finding.place == Place.of(first_of_entry_2)
    assert finding.sequence == 2


@pytest.mark.parametrize("end", [0, -1])
def test_the_ends_of_a_run_of_updates_must_be_there(end: int) -> None:
    history = History()
    updates = [history.update(update_value("north/1", n, X, 1.0)) for n in range(1, 5)]
    history.commit([updates])
    history.log.remove(updates[end])
    finding = one(verify, history.log)
    assert finding.kind == Kind.INPUT_MISSING
    assert finding.place == Place.of(updates[end])


@pytest.mark.parametrize("seed", range(4))
def test_an_altered_entry_is_the_only_finding_whatever_was_saved_after_it(seed: int) -> None:
    log = make_history(seed)
    for message in log.topics[LEDGER]:
        finding = one(verify, with_flipped_bit(log, message, 8 * 200))
        assert finding.place == Place.of(message)


def test_a_model_that_the_terms_dropped_needs_no_snapshot_once_compaction_took_all() -> None:
    history = History()
    history.commit([[history.event(event_value("north/1", n, X, 1.0)) for n in range(9)]])
    history.open(sample_terms())
    saved = history.log.topics[SNAPSHOTS]
    saved[:] = [message for message in saved if b"pump/plain" not in (message.key or b"")]
    assert verify(history.log, 0, KEY).findings == []


def test_headers_that_other_code_wrote_are_called_that() -> None:
    log = resealed(make_history(1), lambda entry: replace(entry, code=b"other"))
    dead = log.topics[EVENTS + ".dlq"][0]
    headers = tuple((k, b"x" if k.endswith("message") else v) for k, v in dead.headers)
    log.put(dead._replace(headers=headers))
    assert one(replay, log).kind == Kind.OTHER_CODE


def test_under_other_arithmetic_predictions_give_no_event_away_but_lineage_does() -> None:
    log = forged(pure_log(), 3, arithmetic=b"other")
    message = log.topics[EVENTS][9]
    finding = one(replay, with_flipped_bit(log, message, 400))
    assert finding.kind == Kind.INPUT_ALTERED
    assert finding.place == Place.of(message)


def test_an_old_anchor_is_not_trusted_across_entries_that_are_gone() -> None:
    history = History(policy=Policy(snapshot_every=4, anchor_every=10**6, define_every=2))
    for n in range(24):
        assets = ["north/2"] if 9 < n < 19 else ["north/1", "north/2"]
        values = [event_value(assets[i % len(assets)], 4 * n + i, X, float(i)) for i in range(4)]
        history.commit([[history.event(value) for value in values]])
    log = history.log
    log.topics[SNAPSHOTS] = list({m.key: m for m in log.topics[SNAPSHOTS]}.values())
    assert log.topics[ANCHORS]
    log.forget_before(LEDGER, log.topics[LEDGER][12].offset)
    report = replay(log, 0, KEY, span=Span(AtSequence(15)))
    assert report.findings == []
    assert any(note.startswith("north/1 is vouched for from entry") for note in report.notes)


@pytest.mark.parametrize("topic", [EVENTS, UPDATES])
def test_an_input_that_was_dead_is_told_by_its_dead_letter(topic: str) -> None:
    log = make_history(3)
    dead = next(m for m in log.topics[topic + ".dlq"] if m.value)
    source = next(m for m in log.topics[topic] if m.value == dead.value and m.value)
    altered = changed(log, source, b"\x05" + (source.value or b""))
    for audit in AUDITS:
        assert one(audit, altered).place == Place.of(source)

"""The sum over all models that every ledger entry names is held against by audit and skip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fold.history import CHALLENGERS, KEY, History
from fold.resealed import entries_of, resealed
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, SNAPSHOTS
from tidemill.fold.audit import Kind, Span, replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.skipping import rebuild_what_remains, survey
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from fold.history import ListLog
    from tidemill.fold.audit.findings import Finding
    from tidemill.fold.ledger import Entry
    from tidemill.kernel.records import Message

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
PLAIN = sample_terms()
OTHER = sample_terms(challengers=CHALLENGERS)
SMALL = sample_terms(["linear_model.LinearRegression"])
SELDOM = Policy(snapshot_every=4, anchor_every=1000, define_every=3)
QUIET, BUSY = "north/1", "north/2"


def learn(history: History, asset: str, *, entries: int = 1) -> None:
    """Let an asset's models learn, two records per ledger entry."""
    for _ in range(entries):
        start = history.log.ends[EVENTS]
        numbers = range(start, start + 2)
        history.commit([[history.event(event_value(asset, n, X, 1.0 + n % 5)) for n in numbers]])


def one_quiet() -> History:
    """Return a history in which one asset is saved and quiet, and another one goes on."""
    history = History(PLAIN, policy=SELDOM)
    learn(history, QUIET, entries=4)
    learn(history, BUSY, entries=12)
    return history


def misstated(log: ListLog, sequence: int, field: str) -> ListLog:
    """Let one entry name another sum or count, every hash of the ledger right."""

    def change(entry: Entry) -> Entry:
        if entry.sequence != sequence:
            return entry
        if field == "learned":
            return replace(entry, learned=entry.learned + 1)
        return replace(entry, fleet=bytes([entry.fleet[0] ^ 1]) + entry.fleet[1:])

    return resealed(log, change)


def snapshots(log: ListLog, asset: str) -> list[Message]:
    return [m for m in log.topics[SNAPSHOTS] if asset.encode() in (m.key or b"") and m.value]


def check_place(finding: Finding, log: ListLog, sequence: int) -> None:
    (message,) = [m for m in log.topics[LEDGER] if finding.names(LEDGER, m.offset)]
    assert message == log.topics[LEDGER][sequence]
    assert finding.sequence == sequence


@pytest.mark.parametrize("field", ["learned", "fleet"])
@pytest.mark.parametrize("sequence", [0, 3, 9])
def test_a_sum_that_no_fold_leads_to_is_found_where_it_stands(field: str, sequence: int) -> None:
    log = misstated(one_quiet().log, sequence, field)
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind == Kind.FOLD_DIFFERS
    assert "models have learned" in finding.found
    check_place(finding, log, sequence)


@pytest.mark.parametrize("field", ["learned", "fleet"])
@pytest.mark.parametrize("sequence", [0, 3, 9])
def test_a_sum_that_the_entries_do_not_add_up_to_is_found_without_a_fold(
    field: str, sequence: int
) -> None:
    log = misstated(one_quiet().log, sequence, field)
    (finding,) = verify(log, 0).findings
    assert finding.kind == Kind.LEDGER_CONTRADICTS
    check_place(finding, log, sequence)


def test_the_entries_add_up_across_changes_of_terms() -> None:
    history = History(OTHER)
    for terms in (PLAIN, SMALL, OTHER, PLAIN):
        learn(history, QUIET, entries=2)
        learn(history, BUSY)
        history.open(terms, redefines=True)
    assert verify(history.log, 0, KEY).findings == []
    last = entries_of(history.log)[-1].sequence
    (finding,) = verify(misstated(history.log, last, "fleet"), 0, KEY).findings
    assert finding.sequence == last


def test_nothing_is_added_up_across_an_altered_entry() -> None:
    log = one_quiet().log
    message = log.topics[LEDGER][4]
    assert {model.asset for model in entries_of(log)[4].models} == {QUIET}
    log.put(message._replace(value=(message.value or b"")[:-1] + b"\x01"))
    (finding,) = verify(log, 0, KEY).findings
    assert finding.kind == Kind.LEDGER_ALTERED


def test_a_model_that_an_entry_misstates_is_told_once() -> None:
    def change(entry: Entry) -> Entry:
        if entry.sequence != 4:
            return entry
        return replace(entry, models=tuple(replace(m, version=100) for m in entry.models))

    log = resealed(one_quiet().log, change)
    found = [f for f in verify(log, 0).findings if f.kind == Kind.LEDGER_CONTRADICTS]
    assert [finding.sequence for finding in found] == [4]


def test_a_replay_from_the_genesis_needs_no_snapshot_to_hold_all_models() -> None:
    log = one_quiet().log
    for message in snapshots(log, QUIET):
        log.put(message._replace(value=b"\x00" + (message.value or b"")[1:-1]))
    log = misstated(log, 9, "fleet")
    found = [f for f in replay(log, 0, KEY).findings if f.kind != Kind.SNAPSHOT_REFUSED]
    assert [(finding.kind, finding.sequence) for finding in found] == [(Kind.FOLD_DIFFERS, 9)]


def test_a_replay_from_saved_states_holds_the_quiet_models_too() -> None:
    log = one_quiet().log
    last = entries_of(log)[-1].sequence
    span = Span(AtSequence(last - 1))
    report = replay(log, 0, KEY, span=span)
    assert report.findings == []
    assert report.first is not None
    assert report.first > 5
    forged = misstated(log, last, "fleet")
    (finding,) = replay(forged, 0, KEY, span=span).findings
    assert finding.kind == Kind.FOLD_DIFFERS
    check_place(finding, forged, last)


def test_a_replay_that_began_with_an_anchor_holds_all_models() -> None:
    history = one_quiet()
    learn(history, QUIET)
    learn(history, BUSY, entries=3)
    log = history.log
    newest = snapshots(log, QUIET)[-1]
    log.put(newest._replace(value=b"\x00" + (newest.value or b"")[1:-1]))
    last = entries_of(log)[-1].sequence
    report = replay(misstated(log, last, "fleet"), 0, KEY, span=Span(AtSequence(last)))
    assert report.first is not None
    assert report.first > 1
    found = [f for f in report.findings if f.kind != Kind.SNAPSHOT_REFUSED]
    assert [(finding.kind, finding.sequence) for finding in found] == [(Kind.FOLD_DIFFERS, last)]


def without_its_past(history: History, asset: str) -> ListLog:
    """Leave neither the entries nor the inputs of what an asset learned first."""
    log = history.log
    entry = entries_of(log)[6]
    log.forget_before(LEDGER, log.topics[LEDGER][6].offset)
    log.forget_before(EVENTS, (entry.positions or {})[EVENTS])
    log.topics[ANCHORS].clear()
    assert len(snapshots(log, asset)) > 0
    return log


def test_a_quiet_model_whose_snapshot_is_gone_is_missed_by_a_replay() -> None:
    log = without_its_past(one_quiet(), QUIET)
    assert replay(log, 0, KEY).findings == []
    for message in snapshots(log, QUIET):
        log.remove(message)
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind == Kind.FOLD_DIFFERS
    assert finding.found.startswith("1 models have learned")


def test_a_snapshot_that_is_refused_is_the_only_finding() -> None:
    log = without_its_past(one_quiet(), QUIET)
    *older, newest = snapshots(log, QUIET)
    for message in older:
        log.remove(message)
    value = bytearray(newest.value or b"")
    value[len(value) // 2] ^= 1
    log.put(newest._replace(value=bytes(value)))
    (finding,) = replay(log, 0, KEY).findings
    assert finding.kind == Kind.SNAPSHOT_REFUSED


@pytest.mark.parametrize("are_inputs_gone", [False, True], ids=["all sound", "one falls"])
def test_a_skip_is_refused_while_a_quiet_models_snapshot_is_missing(
    *, are_inputs_gone: bool
) -> None:
    history = one_quiet()
    learn(history, BUSY)
    assert entries_of(history.log)[-1].resume < entries_of(history.log)[-1].sequence
    log = history.log
    if are_inputs_gone:
        log.forget_before(EVENTS, log.ends[EVENTS])
    standing = drained(survey(log, 0, history.positions))
    remains = drained(rebuild_what_remains(log, standing, KEY))
    assert [each.key.asset for each in remains.fallen] == ([BUSY] if are_inputs_gone else [])
    for message in snapshots(log, QUIET):
        log.remove(message)
    with pytest.raises(DependencyUnavailableError, match="snapshots of all 2 models"):
        drained(rebuild_what_remains(log, standing, KEY))

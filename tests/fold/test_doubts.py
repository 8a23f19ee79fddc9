"""What a re-fold that crosses changes of terms may forget of contradictions, and what not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fold.history import CHALLENGERS, POLICY, History
from fold.resealed import resealed
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, SNAPSHOTS
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.kernel.errors import InvariantError
from tidemill.testing.plants import event_value, sample_terms

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
PLAIN = sample_terms()
OTHER = sample_terms(challengers=CHALLENGERS)
SMALL = sample_terms(["linear_model.LinearRegression"])
EAGER = Policy(snapshot_every=1, anchor_every=1)
ASSET = "north/1"


def learn(history: History, *, entries: int = 1, size: int = 3) -> None:
    """Let the asset's models learn, some records per ledger entry."""
    for _ in range(entries):
        start = history.log.ends[EVENTS]
        numbers = range(start, start + size)
        history.commit([[history.event(event_value(ASSET, n, X, 1.0 + n % 5)) for n in numbers]])


def standing(history: History) -> list[tuple[str, int, bytes]]:
    return sorted(
        (tracked.key.model, tracked.state.version, tracked.state.lineage)
        for tracked in history.learner.fold.fleet
        if tracked.state.version
    )


def spoil_snapshots(history: History) -> None:
    """Leave one snapshot of the champion, and that altered."""
    log = history.log
    *older, newest = [m for m in log.topics[SNAPSHOTS] if m.value and b"champion" in (m.key or b"")]
    for message in older:
        log.remove(message)
    value = bytearray(newest.value or b"")
    value[len(value) // 2] ^= 1
    log.put(newest._replace(value=bytes(value)))


def misstate(history: History, sequence: int) -> None:
    """Let one ledger entry name another lineage, every hash of the ledger right."""
    history.log = resealed(
        history.log,
        lambda entry: replace(
            entry,
            models=tuple(
                replace(model, lineage=bytes(32)) if entry.sequence == sequence else model
                for model in entry.models
            ),
        ),
    )


def first_that_learned(history: History) -> int:
    entries = (read_entry(message).entry for message in history.log.topics[LEDGER])
    return next(entry.sequence for entry in entries if entry.models)


def test_a_doubt_about_a_model_that_goes_on_under_other_terms_is_not_forgotten() -> None:
    history = History(PLAIN)
    learn(history, entries=4)
    history.open(OTHER)
    learn(history, entries=2)
    before = standing(history)
    history.log.topics[ANCHORS].clear()
    spoil_snapshots(history)
    history.open(OTHER)
    assert standing(history) == before
    misstate(history, first_that_learned(history))
    with pytest.raises(InvariantError, match="must lead to what the ledger says"):
        history.open(OTHER)


def test_a_doubt_about_a_model_that_other_terms_replaced_is_settled() -> None:
    history = History(PLAIN)
    learn(history, entries=4)
    history.open(SMALL)
    learn(history, entries=2)
    before = standing(history)
    history.log.topics[ANCHORS].clear()
    spoil_snapshots(history)
    misstate(history, first_that_learned(history))
    history.open(SMALL)
    assert standing(history) == before


@pytest.mark.parametrize("policy", [POLICY, EAGER], ids=["long before", "just before"])
def test_an_anchor_of_terms_that_came_back_serves_up_to_when_they_went(policy: Policy) -> None:
    history = History(PLAIN, policy=policy)
    learn(history, entries=6)
    anchors = list(history.log.topics[ANCHORS])
    history.open(SMALL)
    learn(history, entries=2)
    history.open(PLAIN, redefines=True)
    learn(history, entries=2)
    before = standing(history)
    history.log.topics[ANCHORS][:] = anchors
    spoil_snapshots(history)
    history.open(PLAIN)
    assert standing(history) == before

"""Ledgers written anew with other contents, every hash of them right: what a forger could do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fold.history import History, ListLog
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS
from tidemill.fold.ledger import FIRST, Digest, Entry
from tidemill.testing.plants import event_value

if TYPE_CHECKING:
    from collections.abc import Callable

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}


def entries_of(log: ListLog) -> list[Entry]:
    return [Entry.decode(message.value) for message in log.topics[LEDGER]]


def resealed(log: ListLog, change: Callable[[Entry], Entry]) -> ListLog:
    """Return the topics with every ledger entry changed, chained and hashed again."""
    forged, previous = log.copy(), FIRST
    for message in log.topics[LEDGER]:
        entry = replace(change(Entry.decode(message.value)), previous=previous).sealed()
        previous = entry.hash
        forged.put(message._replace(value=entry.encode()))
    return forged


def forged(log: ListLog, sequence: int, *, arithmetic: bytes | None = None) -> ListLog:
    """Return the topics as other arithmetic would have made them, from one entry on."""
    altered = log.copy()
    entry = next(e for e in entries_of(log) if e.sequence == sequence)
    run = next(run for run in entry.runs if run.topic == EVENTS)
    digest = Digest()
    for message in log.topics[PREDICTIONS]:
        record = codec("Prediction").decode(message.value)
        if not run.first <= record["source"]["offset"] <= run.last:
            continue
        record["value"] = (record["value"] or 0.0) + 1e-9
        value = codec("Prediction").encode(record)
        altered.put(message._replace(value=value))
        digest.add(PREDICTIONS, [value])

    def change(each: Entry) -> Entry:
        emitted = digest.result() if each.sequence == sequence else each.emitted
        return replace(each, emitted=emitted, arithmetic=arithmetic or each.arithmetic)

    return resealed(altered, change)


def pure_log() -> ListLog:
    """Return five entries of four labelled events each, all of one asset."""
    history = History()
    for n in range(5):
        values = [event_value("north/1", 4 * n + i, X, float(i)) for i in range(4)]
        history.commit([[history.event(value) for value in values]])
    return history.log

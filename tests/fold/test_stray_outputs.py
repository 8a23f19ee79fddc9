"""A prediction whose source was altered is found where it stands, whichever entry it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fold.history import KEY, History
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.audit import Kind, replay, verify
from tidemill.fold.audit.findings import Place
from tidemill.testing.plants import event_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from fold.history import ListLog
    from tidemill.fold.audit import Findings
    from tidemill.fold.snapshots import SigningKey

    Audit = Callable[[ListLog, int, SigningKey], Findings]

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
# Events 0 to 2, a control marker at 3, events 4 to 6.
LAST_OF_THE_FIRST_ENTRY = 2


def two_entries() -> ListLog:
    history = History()
    for n in range(2):
        values = [event_value("north/1", 3 * n + i, X, float(i)) for i in range(3)]
        events = [history.event(value) for value in values]
        history.log.mark(EVENTS)
        history.commit([events])
    return history.log


@pytest.mark.parametrize("audit", [verify, replay])
@pytest.mark.parametrize("source", [3, 4, 5, 6, 7, 40])
def test_the_last_prediction_of_an_entry_that_names_another_source(
    audit: Audit, source: int
) -> None:
    log = two_entries()
    message = log.topics[PREDICTIONS][LAST_OF_THE_FIRST_ENTRY]
    record = codec("Prediction").decode(message.value)
    assert record["source"]["offset"] == LAST_OF_THE_FIRST_ENTRY
    record["source"]["offset"] = source
    log.put(message._replace(value=codec("Prediction").encode(record)))
    (finding,) = audit(log, 0, KEY).findings
    assert (finding.kind, finding.place) == (Kind.OUTPUT_ALTERED, Place.of(message))

"""Which labels have come, by what stands in the topics."""

from __future__ import annotations

from typing import Any

import pytest

from asking.topics import START_MS, START_US, STREAM, Topics, prediction, put_predictions
from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import SEND_AGAIN
from tidemill.contracts.topics import EVENTS, FEEDBACK, LABELS, RECEIPTS, UPDATES
from tidemill.fold.asking.known import EARLIER_MS, known_labels
from tidemill.fold.asking.recent import Last, recent_cases

COUNTS = dict.fromkeys((LABELS, UPDATES, FEEDBACK, RECEIPTS), 2)
RECORDS = {LABELS: "Label", UPDATES: "Update", FEEDBACK: "Feedback", RECEIPTS: "Receipt"}
READINGS = {topic: codec(name) for topic, name in RECORDS.items()}
NAMES = [f"e{n}" for n in range(6)]


def events() -> Topics:
    topics = Topics()
    put_predictions(topics, *(prediction(name) for name in NAMES))
    return topics


def put(topics: Topics, topic: str, record: dict[str, Any], **where: int) -> None:
    topics.put(topic, codec(RECORDS[topic]).encode(record), where.get("partition", 0))


def label(event_id: str, asset: str = "north/1", **fields: Any) -> dict[str, Any]:
    return {"event_id": event_id, "asset": asset, "value": 1.0, "time": START_US - 1, **fields}


def place(offset: int) -> dict[str, Any]:
    return {"topic": EVENTS, "partition": 0, "offset": offset}


def feedback(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    said = {"actor": "anna", "role": "operator", "asset": "north/1", "time": START_US}
    return {"feedback_id": name, "kind": kind, **said, **fields}


def update(kind: str, origin: str, event_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "update_id": "u",
        "cause": {"topic": LABELS, "partition": 0, "offset": 0},
        "asset": "north/1",
        "stream": STREAM,
        "kind": kind,
        "event_id": event_id,
        "origin": origin,
        "time": START_US,
        **fields,
    }


def receipt(name: str, status: str, reason: str | None = None) -> dict[str, Any]:
    return {"feedback_id": name, "status": status, "asset": "north/1", "reason": reason}


def waiting(topics: Topics, kind: Any = "regression", *, is_timed: bool = False) -> list[str]:
    found = recent_cases(topics, [0], Last(events=100))
    known = known_labels(topics, COUNTS, READINGS, found.since_ms)
    timed = frozenset({STREAM} if is_timed else ())
    return [each.event_id for each in known.unlabelled(found.cases, {STREAM: kind}, timed)]


def test_a_label_of_the_same_asset_and_id_has_come_on_whatever_partition() -> None:
    topics = events()
    put(topics, LABELS, label("e1"), partition=1)
    put(topics, LABELS, label("e2", asset="south/1"))
    topics.put(LABELS, b"\x00what", 0)

    assert waiting(topics) == ["e0", "e2", "e3", "e4", "e5"]


def test_where_labels_name_their_event_by_its_time_the_time_counts() -> None:
    topics = events()
    put(topics, LABELS, label("", time=START_US + 3_000_000))

    assert waiting(topics, is_timed=True) == ["e0", "e1", "e2", "e4", "e5"]
    assert waiting(topics) == NAMES


def test_an_example_says_that_its_label_has_come() -> None:
    topics = events()
    put(topics, UPDATES, update("EXAMPLE", "label", "e1"))
    put(topics, UPDATES, update("EXAMPLE", "label", "another", event=place(2)))
    put(topics, UPDATES, update("COUNTEREXAMPLE", "label", "e3"))

    assert waiting(topics) == ["e0", "e3", "e4", "e5"]


def test_what_people_said_is_right_counts_and_their_votes_do_not() -> None:
    topics = events()
    put(topics, FEEDBACK, feedback("f0", "CORRECTED", event=place(0), value=1.0))
    put(topics, FEEDBACK, feedback("f1", "RIGHT", event_id="e1"), partition=1)
    put(topics, FEEDBACK, feedback("f2", "IRRELEVANT", event=place(2), feature="flow"))
    put(topics, FEEDBACK, feedback("f3", "HOLD"))

    assert waiting(topics) == ["e2", "e3", "e4", "e5"]


@pytest.mark.parametrize(
    ("kind", "is_known"),
    [("binary", True), ("multiclass", False), ("regression", False)],
)
def test_wrong_says_what_is_right_where_there_are_two_answers(kind: str, is_known: bool) -> None:
    topics = events()
    put(topics, FEEDBACK, feedback("f0", "WRONG", event=place(0)))
    put(topics, FEEDBACK, feedback("f5", "WRONG", event=place(5), value="jam"))

    assert waiting(topics, kind) == NAMES[int(is_known) : 5]


def test_what_was_refused_or_taken_back_is_asked_again() -> None:
    topics = events()
    for n in range(4):
        put(topics, FEEDBACK, feedback(f"f{n}", "CORRECTED", event=place(n), value=1.0))
        put(topics, UPDATES, update("EXAMPLE", f"f{n}", f"e{n}"))
    put(topics, RECEIPTS, receipt("f0", "REFUSED"))
    put(topics, RECEIPTS, receipt("f1", "APPLIED"))
    put(topics, FEEDBACK, feedback("r2", "RETRACT", target_id="f2"))
    put(topics, FEEDBACK, feedback("r3", "RETRACT", target_id="f3"))
    put(topics, RECEIPTS, receipt("r3", "REFUSED"))

    assert waiting(topics) == ["e0", "e2", "e4", "e5"]


def test_only_what_was_written_long_before_the_first_case_is_not_read() -> None:
    topics = events()
    early = codec("Label").encode(label("e1"))
    topics.put(LABELS, early, at_ms=START_MS - EARLIER_MS - 1)
    assert waiting(topics) == NAMES

    topics = events()
    topics.put(LABELS, early, at_ms=START_MS - EARLIER_MS)
    assert "e1" not in waiting(topics)


def test_what_was_refused_for_its_time_counts_once_it_was_sent_again() -> None:
    topics = events()
    for name in ("f0", "f1", "f2"):
        put(topics, FEEDBACK, feedback(name, "RIGHT", event_id=f"e{name[1]}"))
        put(topics, RECEIPTS, receipt(name, "REFUSED", f"too many; {SEND_AGAIN}"))
    put(topics, RECEIPTS, receipt("f1", "ACCEPTED"))
    put(topics, RECEIPTS, receipt("f2", "REFUSED", "no such event"))
    put(topics, RECEIPTS, receipt("f2", "ACCEPTED"))

    assert waiting(topics) == ["e0", "e2", "e3", "e4", "e5"]

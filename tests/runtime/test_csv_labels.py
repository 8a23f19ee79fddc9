"""Labels come late, some never, and in the order of their time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.csv_events import CsvEvent
from tidemill.runtime.csv_labels import LabelPlan, Labels, Outgoing, interleaved
from tidemill.runtime.csv_table import Layout, Table

from .plants import TEXT

SECOND = 1_000_000
(STREAM,) = parse_definition(TEXT).streams


def table() -> Table:
    return Table(Path("none.csv"), ("scrap",), Layout())


def labels(text: str = TEXT, seed: int = 0, **plan: Any) -> Labels:  # Any: fields of LabelPlan
    (stream,) = parse_definition(text).streams
    return Labels(LabelPlan(column="scrap", **plan), stream, table(), random.Random(seed))


def events(*rows: tuple[str, int, str]) -> list[CsvEvent]:
    return [
        CsvEvent(asset, second * SECOND, f"e{n}", {}, n, [cell])
        for n, (asset, second, cell) in enumerate(rows)
    ]


def told(sent: list[Outgoing]) -> list[str]:
    return [str(o.record["event_id"]) if o.topic == LABELS else "-" for o in sent]


def test_without_delay_a_label_follows_its_event() -> None:
    sent = list(interleaved(events(("a", 0, "1"), ("a", 1, "0"), ("a", 2, "1")), labels()))

    assert told(sent) == ["-", "e0", "-", "e1", "-", "e2"]
    assert [o.key for o in sent] == ["a"] * 6
    assert sent[1].record == {
        "event_id": "e0",
        "asset": "a",
        "value": "1",
        "revision": 0,
        "time": 0,
        "source": "csv",
        "selection": None,
    }


def test_a_delay_in_time_holds_labels_of_all_assets_back() -> None:
    rows = events(("a", 0, "1"), ("b", 1, "0"), ("a", 3, "1"), ("b", 9, "0"))
    sent = list(interleaved(rows, labels(delay=2.0)))

    assert told(sent) == ["-", "-", "e0", "-", "e1", "e2", "-", "e3"]
    assert [o.record["time"] for o in sent if o.topic == LABELS] == [
        second * SECOND for second in (2, 3, 5, 11)
    ]


def test_a_delay_in_events_counts_those_of_the_same_asset() -> None:
    rows = events(("a", 0, "1"), ("b", 1, "0"), ("b", 2, "0"), ("a", 3, "1"), ("a", 4, "1"))
    sent = list(interleaved(rows, labels(delay=1)))

    assert told(sent) == ["-", "-", "-", "e1", "-", "e0", "-", "e3", "e2", "e4"]
    times = {o.record["event_id"]: o.record["time"] for o in sent if o.topic == LABELS}
    assert times == {"e1": 2 * SECOND, "e0": 3 * SECOND, "e3": 4 * SECOND, "e2": 2 * SECOND} | {
        "e4": 4 * SECOND
    }


def test_an_empty_cell_is_no_label() -> None:
    sent = list(interleaved(events(("a", 0, ""), ("a", 1, "1"), ("a", 2, " ")), labels()))

    assert told(sent) == ["-", "-", "e1", "-"]


def test_a_missing_label_still_counts_as_an_event_of_the_delay() -> None:
    sent = list(interleaved(events(("a", 0, "1"), ("a", 1, ""), ("a", 2, "1")), labels(delay=1)))

    assert told(sent) == ["-", "-", "e0", "-", "e2"]


def test_the_share_of_missing_labels_is_kept_and_seeded() -> None:
    rows = events(*[("a", n, "1") for n in range(2000)])

    def sent(seed: int) -> list[str]:
        return told(list(interleaved(rows, labels(seed=seed, missing=0.2))))

    assert sent(1) == sent(1)
    assert sent(1) != sent(2)
    assert 1500 < len(sent(1)) - 2000 < 1700  # 1,600 expected, five standard deviations are 90


def test_a_label_that_joins_by_time_carries_its_events_time() -> None:
    text = TEXT.replace("    id: event_id\n", "").replace("ttl: 8h", "ttl: 8h, join: [asset, time]")
    rows = [row._replace(event_id=None) for row in events(("a", 5, "1"), ("a", 9, "1"))]
    sent = list(interleaved(rows, labels(text, delay=3.0)))

    assert [o.topic for o in sent] == [EVENTS, LABELS, EVENTS, LABELS]
    assert [(o.record["event_id"], o.record["time"]) for o in sent if o.topic == LABELS] == [
        ("", 5 * SECOND),
        ("", 9 * SECOND),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.sampled_from("01"))),
    st.one_of(st.integers(1, 5), st.floats(0, 9)),
)
def test_every_label_is_sent_once_and_in_time_order_after_its_event(
    rows: list[tuple[str, int, str]], delay: int | float
) -> None:
    ordered = events(*sorted(rows, key=lambda row: row[1]))
    sent = list(interleaved(ordered, labels(delay=delay)))
    found = [o.record for o in sent if o.topic == LABELS]

    assert sorted(str(r["event_id"]) for r in found) == sorted(f"e{n}" for n in range(len(rows)))
    seen = 0
    for out in sent:
        seen += out.topic == EVENTS
        assert out.topic == EVENTS or int(str(out.record["event_id"])[1:]) < seen
    if isinstance(delay, float):
        assert [r["time"] for r in found] == sorted(int(str(r["time"])) for r in found)


@pytest.mark.parametrize(
    ("text", "plan", "problem"),
    [
        (TEXT, {"column": "nothing"}, "--label: must be a column"),
        (TEXT, {"column": "scrap", "missing": 1.0}, r"--label-missing: must be in \[0, 1\)"),
        (
            TEXT.replace(
                "label: {name: scrap, kind: binary, classes: [0, 1], ttl: 8h}",
                "ahead: {field: force, after: 1}",
            ),
            {"column": "scrap"},
            "--label: requires streams.press.target.label",
        ),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(
    text: str, plan: dict[str, Any], problem: str
) -> None:
    (stream,) = parse_definition(text).streams
    with pytest.raises(ConfigError, match=problem):
        Labels(LabelPlan(**plan), stream, table(), random.Random(0))

"""From predictions to the cases that are asked."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from asking.topics import Topics, prediction, put_predictions
from tidemill.contracts.definition import parse_definition
from tidemill.fold.asking.drawing import Plan
from tidemill.fold.asking.known import Known
from tidemill.fold.asking.offering import Streams, asked_streams, offer
from tidemill.fold.asking.recent import Case, Last, recent_cases
from tidemill.testing.plants import sample_definition

BINARY = Streams({"pump": "binary"}, frozenset())


def cases_of(*said: dict[str, Any]) -> tuple[Case, ...]:
    topics = Topics()
    put_predictions(topics, *said)
    return recent_cases(topics, [0], Last(events=1000)).cases


def doubtful(n: int, p: float, asset: str = "north/1", **fields: Any) -> dict[str, Any]:
    scores = {"true": p, "false": 1 - p}
    return prediction(f"e{n}", asset, value=None, probabilities=scores, **fields)


def test_streams_whose_labels_come_by_themselves_are_not_asked() -> None:
    document = json.loads(sample_definition())
    pump = document["streams"]["pump"]
    label = {"name": "wear", "kind": "regression", "ttl": "8h"}
    document["streams"] = {
        "field": pump,
        "ahead": {**pump, "event": "plant.B", "target": {"ahead": {"field": "flow", "after": 3}}},
        "late": {**pump, "event": "plant.C", "target": {"label": label}},
        "timed": {
            **{key: value for key, value in pump.items() if key != "id"},
            "event": "plant.D",
            "target": {"label": {**label, "join": ["asset", "time"]}},
        },
        "odd": {
            **pump,
            "event": "plant.E",
            "target": "none",
            "model": {"champion": ["anomaly.HalfSpaceTrees"]},
        },
    }

    streams = asked_streams(parse_definition(json.dumps(document)))

    assert streams.kinds == {"late": "regression", "timed": "regression"}
    assert streams.timed == {"timed"}


def test_open_cases_are_those_without_label_and_fault_of_streams_that_are_asked() -> None:
    known = Known()
    known.add_label({"asset": "north/1", "event_id": "e1", "time": 0})
    cases = cases_of(
        doubtful(0, 0.5),
        doubtful(1, 0.5),
        doubtful(2, 0.5, quality=["STUCK"]),
        doubtful(3, 0.5, quality=["DUPLICATE"]),
        doubtful(4, 0.5, quality=["FROZEN", "MISSING"]),
        doubtful(5, 0.5, stream="other"),
        doubtful(6, 0.5, asset="south/1"),
    )

    found = offer(cases, known, BINARY, Plan(20))

    assert sorted(each.case.event_id for each in found.offers) == ["e0", "e4", "e6"]
    assert {each.selection for each in found.offers} == {1.0}
    assert (found.open, found.assets) == (3, 2)


def test_doubtful_cases_are_asked_much_more_often_than_their_number_says() -> None:
    cases = cases_of(*(doubtful(n, 0.5 if n % 20 == 0 else 0.99, f"a{n % 4}") for n in range(400)))

    found = offer(cases, Known(), BINARY, Plan(40))

    doubts = [each for each in found.offers if each.score > 0.5]
    assert len(doubts) > 15
    assert all(each.selection > 0.5 for each in doubts)
    assert all(each.selection < 0.1 for each in found.offers if each.score < 0.5)
    assert {each.reason for each in found.offers} == {"score", "audit"}


def test_the_order_of_the_answer_says_nothing_of_the_cases() -> None:
    cases = cases_of(*(doubtful(n, n / 200, f"a{n // 50}") for n in range(200)))

    found = offer(cases, Known(), BINARY, Plan(60)).offers

    places = [each.case.source.offset for each in found]
    half = len(places) // 2
    assert abs(sum(places[:half]) / half - sum(places[half:]) / (len(places) - half)) < 40
    assert places != sorted(places)
    assert offer(tuple(reversed(cases)), Known(), BINARY, Plan(60)).offers == found
    assert offer(cases, Known(), BINARY, Plan(60, seed=1)).offers != found


def test_what_is_asked_of_an_asset_is_spread_over_its_time() -> None:
    # An asset whose events come from everywhere in the topic, mixed with those of another.
    cases = cases_of(*(doubtful(n, 0.5, f"a{n * n % 7 % 2}") for n in range(280)))

    found = offer(cases, Known(), BINARY, Plan(20, audit=0.0)).offers

    for asset in ("a0", "a1"):
        own = [case.time_us for case in cases if case.asset == asset]
        asked = sorted(own.index(e.case.time_us) for e in found if e.case.asset == asset)
        assert {after - before for before, after in pairwise(asked)} == {14}

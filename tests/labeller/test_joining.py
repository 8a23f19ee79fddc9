"""What comes of labels: joined once, by whichever half came last, or set aside."""

from __future__ import annotations

from typing import Any

import pytest

from labeller.cases import Bench, check_joined, place_of, second
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.pending import MOST_JOINED, MOST_WAITING
from tidemill.contracts.topics import LABELS, PREDICTIONS, UPDATES
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Position
from tidemill.testing.plants import sample_definition


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_example_holds_what_was_predicted_and_goes_to_the_prediction_s_partition(
    bench: Bench,
) -> None:
    bench.predict(7, partition=1, at_s=5, quality=["MISSING"])
    bench.label(7, 2.5, partition=0, at_s=65)
    bench.run()

    (message,) = bench.cluster.read(UPDATES)
    assert (message.partition, message.key) == (1, b"press")
    update = codec("Update").decode(message.value)
    stored = update.pop("stored")
    assert {name: stored[name] for name in ("model", "version", "value", "quality")} == {
        "model": "pump/champion",
        "version": 3,
        "value": 1.0,
        "quality": ["MISSING"],
    }
    expected = {
        "update_id": "label:pump:press:e7:0",
        "cause": {"topic": LABELS, "partition": 0, "offset": 0, "index": 0},
        "asset": "press",
        "stream": "pump",
        "kind": "EXAMPLE",
        "event_id": "e7",
        "event": {"topic": "sensor.events", "partition": 0, "offset": 7},
        "features": {"vibration": 7 / 3, "flow": None},
        "label": 2.5,
        "replaced": None,
        "revision": 0,
        "label_time": second(65),
        "weight": 1.0,
        "origin": "label",
        "time": second(5),
    }
    assert {name: update[name] for name in expected} == expected


def test_a_label_before_its_event_waits_and_the_prediction_is_the_cause(bench: Bench) -> None:
    bench.label(7, partition=1)
    bench.run()
    assert bench.updates() == []
    where = bench.predict(7)
    bench.run()
    assert [place_of(update) for update in bench.updates()] == [(*where, 0)]


def test_a_revision_names_what_it_replaces_and_the_same_again_is_nothing(bench: Bench) -> None:
    bench.predict(7)
    bench.run()
    for value, revision in ((1.0, 0), (1, 0), (2.0, 1), (2.0, 2), (9.0, 0), (3.0, 3), (3.5, 3)):
        bench.label(7, float(value), revision=revision, partition=revision % 2)
        bench.run()
    found = [(each["revision"], each["label"], each["replaced"]) for each in bench.updates()]
    assert found == [(0, 1.0, None), (1, 2.0, 1.0), (3, 3.0, 2.0)]
    check_joined(bench)


def test_what_is_predicted_without_features_or_again_is_not_kept(bench: Bench) -> None:
    bench.predict(1, features=None)
    bench.predict(2, at_s=1)
    bench.predict(2, at_s=2, quality=["DUPLICATE"], value=99.0)
    bench.label(1)
    bench.label(2)
    bench.run()
    assert [(each["event_id"], each["time"]) for each in bench.updates()] == [("e2", second(1))]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"value": None}, "domain"),
        ({"value": float("nan")}, "domain"),
        ({"value": "much"}, "domain"),
        ({"revision": -1}, "domain"),
        ({"time": -(1 << 62)}, "domain"),
        ({"asset": ""}, "contract"),
        ({"asset": "x" * 513}, "contract"),
        ({"event_id": "e" * 513}, "contract"),
        ({"event_id": ""}, "contract"),
        ({"time": second(100) + 1}, "late"),
    ],
)
def test_a_label_that_cannot_be_used_is_set_aside(
    bench: Bench, given: dict[str, Any], reason: str
) -> None:
    bench.predict(7)
    record = {"event_id": "e7", "asset": "press", "value": 1.0, "time": second(1), **given}
    encoded = codec("Label").encode(record)
    where = bench.driver.send(LABELS, 1, encoded, key=b"press")
    bench.run()
    assert bench.dead() == [(reason, where)]
    (letter,) = bench.cluster.read(LABELS + ".dlq")
    assert (letter.partition, letter.key, letter.value) == (1, b"press", encoded)
    assert bench.updates() == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "undecodable"), (b"\x00\x01", "undecodable"), (bytes(9), "unknown-schema")],
)
def test_bytes_that_are_no_label_are_set_aside(
    bench: Bench, value: bytes | None, reason: str
) -> None:
    where = bench.driver.send(LABELS, 0, value)
    bench.run()
    assert bench.dead() == [(reason, where)]


def test_a_label_on_time_to_the_microsecond_counts_and_lateness_is_the_record_s_own(
    bench: Bench,
) -> None:
    bench.label(1, at_s=100)
    bench.label(2, at_s=100.000001)
    bench.run()
    bench.predict(1)
    bench.predict(2)
    for number in range(3, 60):
        bench.predict(number, at_s=1000 + number)
    bench.run()
    bench.label(1, 2.0, at_s=100, revision=1, partition=1)
    bench.label(2, 2.0, at_s=100.000001, revision=1, partition=1)
    bench.run()
    assert [(u["event_id"], u["revision"]) for u in bench.updates()] == [("e1", 0), ("e1", 1)]
    assert [reason for reason, _ in bench.dead()] == ["late", "late"]
    check_joined(bench)


def test_labels_of_events_long_past_are_not_late_when_all_is_read_at_once(bench: Bench) -> None:
    for number in range(200):
        bench.predict(number, number % 2, at_s=number * 50)
    for number in range(200):
        bench.label(number, at_s=number * 50 + 99, partition=number % 2)
    bench.run("w0", "w1")
    assert len(bench.updates()) == 200
    assert bench.dead() == []


def test_streams_join_by_time_where_events_have_no_id() -> None:
    target = {"name": "wear", "kind": "regression", "ttl": "100s", "join": ["asset", "time"]}
    stream = {"id": None, "target": {"label": target}}
    bench = Bench(definition=parse_definition(sample_definition(stream=stream)))
    bench.predict(1, at_s=5, event_id="sensor.events-0-1")
    bench.label(1, at_s=5, event_id="")
    named = bench.label(1, at_s=5, event_id="e1")
    bench.run()
    (update,) = bench.updates()
    assert update["label_time"] == update["time"]
    assert (update["event_id"], update["label_time"]) == ("sensor.events-0-1", second(5))
    assert bench.dead() == [("contract", named)]


def test_examples_of_different_events_have_different_ids(bench: Bench) -> None:
    for asset, event_id in (("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c")):
        bench.predict(1, asset=asset, event_id=event_id)
        bench.label(1, asset=asset, event_id=event_id)
    bench.run()
    ids = [update["update_id"] for update in bench.updates()]
    assert sorted(ids) == [
        "label:pump:a%253Ab:c:0",
        "label:pump:a%3Ab:c:0",
        "label:pump:a:b%3Ac:0",
    ]


def binary() -> Bench:
    target = {"name": "is_faulty", "kind": "binary", "classes": [False, True], "ttl": "1h"}
    text = sample_definition(
        ("linear_model.LogisticRegression",), kind="binary", stream={"target": {"label": target}}
    )
    return Bench(definition=parse_definition(text))


def test_a_label_that_waited_and_that_a_changed_definition_reads_no_longer_is_set_aside(
    bench: Bench,
) -> None:
    where = bench.label(1, 2.5)
    bench.run()
    bench.driver.crash("w0")
    bench.definition = binary().definition
    bench.predict(1)
    bench.run()
    assert bench.dead() == [("domain", where)]
    assert bench.updates() == []


def test_a_lab_that_gives_all_labels_one_id_fills_nothing(bench: Bench) -> None:
    for number in range(90):
        bench.label(404, float(number), partition=number % 2, revision=number)
    bench.run()
    assert len(bench.dead()) == 90 - MOST_WAITING
    bench.store.wipe()
    for number in range(4):
        bench.predict(number, number % 2, at_s=120 + number, made_s=150 * number)
    bench.run("w0", "w1")
    bench.rest()
    assert len(bench.dead()) == 90, "once each"
    assert {reason for reason, _ in bench.dead()} == {"unknown-event"}


def test_an_event_is_corrected_so_often_and_not_more(bench: Bench) -> None:
    bench.predict(1)
    for number in range(MOST_JOINED + 3):
        bench.label(1, float(number), revision=number)
    bench.run()
    assert len(bench.updates()) == MOST_JOINED
    assert [reason for reason, _ in bench.dead()] == ["domain"] * 3


def test_classes_are_read_as_the_definition_names_them() -> None:
    bench = binary()
    bench.predict(1)
    bench.run()
    for revision, value in enumerate((True, "true", False, "perhaps")):
        bench.label(1, value, revision=revision)
        bench.run()
    found = [(u["revision"], u["label"], u["replaced"]) for u in bench.updates()]
    assert found == [(0, True, None), (2, False, "true")]
    assert [reason for reason, _ in bench.dead()] == ["domain"]


def test_a_prediction_that_is_none_halts_and_names_its_position(bench: Bench) -> None:
    bench.driver.send(PREDICTIONS, 0, b"\x00\x00")
    with pytest.raises(InvariantError, match=r"model.predictions-0@0"):
        bench.run()


def test_labels_that_are_all_late_do_not_halt_the_labeller(bench: Bench) -> None:
    for number in range(300):
        bench.predict(number)
        bench.label(number, at_s=101)
    bench.run()
    assert len(bench.dead()) == 300
    assert bench.dead()[0] == ("late", Position(LABELS, 0, 0))


def test_labels_that_are_all_broken_halt_the_labeller(bench: Bench) -> None:
    for _ in range(300):
        bench.driver.send(LABELS, 0, b"?")
    with pytest.raises(InvariantError, match="at most half"):
        bench.run()

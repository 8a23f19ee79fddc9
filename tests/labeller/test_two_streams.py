"""Plants whose streams read one label each in its own way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labeller.cases import STREAM, TTL_S, Bench
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import LABELS
from tidemill.kernel.records import Position
from tidemill.processors.labeller.streams import label_streams
from tidemill.testing.plants import sample_definition

LOGISTIC = "linear_model.LogisticRegression"


def beside(champion: str, target: dict[str, Any]) -> Bench:
    """Return a plant with a stream `tray` beside `pump`, whose labels are numbers."""
    plant = json.loads(sample_definition(partitions=2, stream=STREAM))
    tray = json.loads(json.dumps(plant["streams"]["pump"]))
    tray["event"] = "plant.PressReading"
    tray["target"] = {"label": {"name": "is_bad", **target}}
    tray["model"]["champion"] = ["preprocessing.StandardScaler", champion]
    plant["streams"]["tray"] = tray
    return Bench(definition=parse_definition(json.dumps(plant)))


@pytest.mark.parametrize(
    ("target", "values"),
    [
        ({"kind": "binary", "classes": [False, True]}, (True, False, True)),
        ({"kind": "binary", "classes": [0, 1]}, (0.0, 1.0, 0.0)),
        ({"kind": "multiclass"}, (1.0, 2.0, 1.0)),
    ],
)
def test_what_a_label_replaces_is_what_its_own_stream_reads(
    target: dict[str, Any], values: tuple[object, ...]
) -> None:
    champion = LOGISTIC if target["kind"] == "binary" else "naive_bayes.GaussianNB"
    bench = beside(champion, {"ttl": f"{TTL_S}s", **target})
    bench.predict(1, stream="tray", value=None)
    for revision, value in enumerate(values):
        bench.label(1, value, revision=revision)
        bench.run()
    task = label_streams(bench.definition)["tray"].task
    replaced = [update["replaced"] for update in bench.updates()]
    assert replaced[0] is None
    assert [task.read_label(each) for each in replaced[1:]] == [
        task.read_label(each) for each in values[:-1]
    ]
    bench.store.wipe()
    bench.label(1, values[-1], revision=9)
    bench.run()
    assert len(bench.updates()) == len(values), "the same again, whatever Redis forgot"


def test_a_label_that_one_stream_cannot_read_is_joined_by_the_other() -> None:
    bench = beside(LOGISTIC, {"ttl": f"{TTL_S}s", "kind": "binary", "classes": [0, 1]})
    bench.predict(1)
    bench.predict(1, stream="tray", value=None)
    where = bench.label(1, 7.5)
    bench.run()
    assert [update["stream"] for update in bench.updates()] == ["pump"]
    assert bench.dead() == [("domain", where)]


@pytest.mark.parametrize("is_early", [True, False])
def test_a_label_that_is_late_for_both_streams_is_set_aside_once(is_early: bool) -> None:
    bench = beside("linear_model.LinearRegression", {"ttl": f"{TTL_S}s", "kind": "regression"})
    if is_early:
        bench.label(1, at_s=TTL_S + 1)
    bench.predict(1)
    bench.predict(1, stream="tray")
    if not is_early:
        bench.run()
        bench.label(1, at_s=TTL_S + 1)
    bench.run()
    assert bench.dead() == [("late", Position(LABELS, 0, 0))]


def test_a_label_that_is_late_for_one_stream_still_waits_for_the_other_after_a_wipe() -> None:
    bench = beside("linear_model.LinearRegression", {"ttl": "1h", "kind": "regression"})
    where = bench.label(1, at_s=TTL_S + 1)
    bench.predict(1)
    bench.run()
    assert bench.dead() == [("late", where)]
    bench.store.wipe()
    bench.rest()
    bench.predict(1, stream="tray")
    bench.run()
    bench.rest()
    assert [update["stream"] for update in bench.updates()] == ["tray"]
    assert bench.dead() == [("late", where)]

"""The explainer follows the learner's ledger in memory, through crashes of both."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    EVENTS,
    EXPLANATIONS,
    IMPORTANCES,
    PREDICTIONS,
    TOPICS,
)
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.processors.explainer.processor import ExplainerFactory
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message

PARTITIONS = 2
ASSETS = ("north/press", "south/saw", "north/mill")
KEY = SigningKey(bytes(32))
POLICY = Policy(snapshot_every=15, anchor_every=20)
TREE = [{"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean", "grace_period": 10}}]


class Mesh:
    """A learner and an explainer over a cluster in memory."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or sample_terms(partitions=PARTITIONS, challengers={"tree": TREE})
        self.cluster = MemoryCluster({topic.name: PARTITIONS for topic in TOPICS})
        learner = lambda: LearnerFactory(self.terms, KEY, POLICY)  # noqa: E731
        explainer = lambda: ExplainerFactory(self.terms, KEY, POLICY)  # noqa: E731
        self.learner = Driver(self.cluster, learner, group="learner", batch=7)
        self.explainer = Driver(self.cluster, explainer, group="explainer", batch=3)
        self._random = random.Random(7)
        self.number = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            which = self.number % len(ASSETS)
            x = {
                "vibration": self._random.uniform(0, 50),
                "temperature": self._random.gauss(60, 9),
                "flow": None if self.number % 11 == 0 else self._random.random(),
            }
            y = None if self.number % 5 == 0 else 0.3 * (x["vibration"] or 0.0) + self.number % 2
            value = event_value(ASSETS[which], self.number, x, y)
            if self.number % 17 == 0:
                value = value[:-2]
            self.learner.send(EVENTS, which % PARTITIONS, value, key=ASSETS[which].encode())

    def predict(self) -> None:
        self.learner.start("l")
        self.learner.drain()

    def explain(self) -> None:
        self.explainer.start("e")
        self.explainer.drain()

    def read(self, topic: str) -> list[dict[str, Any]]:
        name = {EXPLANATIONS: "Explanation", PREDICTIONS: "Prediction", IMPORTANCES: "Importance"}
        return [codec(name[topic]).decode(m.value) for m in self.cluster.read(topic)]


def about(record: Mapping[str, Any]) -> tuple[Any, ...]:
    source = record["source"]
    return (
        source["partition"],
        source["offset"],
        record["event_id"],
        record["asset"],
        record["model"],
        record["version"],
        record["lineage"],
    )


def check_one_to_one(mesh: Mesh) -> None:
    predictions, explanations = mesh.read(PREDICTIONS), mesh.read(EXPLANATIONS)
    assert [about(p) for p in predictions] == [about(e) for e in explanations]
    for prediction, explanation in zip(predictions, explanations, strict=True):
        assert explanation["prediction"] == pytest.approx(prediction["value"], abs=1e-9)
        assert explanation["additivity_error"] <= 1e-9


def values(mesh: Mesh, topic: str) -> list[bytes | None]:
    return [message.value for message in mesh.cluster.read(topic)]


def test_every_prediction_is_explained_once_by_the_model_that_made_it() -> None:
    mesh = Mesh()
    mesh.send(120)
    mesh.predict()
    mesh.explain()
    check_one_to_one(mesh)
    assert len(mesh.read(EXPLANATIONS)) > 100


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from("lpexca"), st.integers(1, 9)), max_size=30))
def test_crashes_and_aborts_change_no_explanation(steps: list[tuple[str, int]]) -> None:
    calm, mesh = Mesh(), Mesh()
    for what, count in steps:
        match what:
            case "l":
                mesh.send(3 * count)
            case "p":
                mesh.learner.start("l")
                mesh.learner.step("l", count)
            case "e":
                mesh.explainer.start("e")
                mesh.explainer.step("e", count)
            case "x":
                mesh.explainer.crash("e")
            case "c":
                mesh.learner.crash("l")
            case _:
                mesh.explainer.abort("e")
    mesh.send(60)
    mesh.predict()
    mesh.explain()
    check_one_to_one(mesh)
    calm.send(mesh.number)
    calm.predict()
    calm.explain()
    assert values(calm, EXPLANATIONS) == values(mesh, EXPLANATIONS)
    assert values(calm, IMPORTANCES) == values(mesh, IMPORTANCES)


def test_an_explainer_that_comes_late_begins_at_the_beginning() -> None:
    mesh = Mesh()
    mesh.send(200)
    mesh.predict()
    mesh.send(200)
    mesh.predict()
    mesh.explain()
    check_one_to_one(mesh)


def altered(message: Message, bit: int) -> bytes:
    value = bytearray(message.value or b"")
    value[bit // 8] ^= 1 << bit % 8
    return bytes(value)

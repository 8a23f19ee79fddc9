"""A learner goes by what the drift processor asks, and each reads what the other writes."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from drift.watched_plant import ASSET, KEY, REFERENCE, answer, terms
from fold.plain_order import Plain
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, EVENTS, LEDGER, PREDICTIONS, TOPICS, UPDATES
from tidemill.fold.books import Policy
from tidemill.kernel.deadletters import SUFFIX
from tidemill.processors.drift.audit import Asked, replay, verify
from tidemill.processors.drift.processor import DriftFactory
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import event_value

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms

PLAIN = (EVENTS, UPDATES, LEDGER)
TERMS = terms()
POLICY = Policy(snapshot_every=50, anchor_every=50)


class Pair:
    """A learner and a drift processor over a cluster in memory."""

    def __init__(self, given: Terms = TERMS) -> None:
        self.terms = given
        self.cluster = MemoryCluster({topic.name: 2 for topic in TOPICS})
        watching = lambda: DriftFactory(given, KEY, POLICY, reference=REFERENCE)  # noqa: E731
        learning = lambda: LearnerFactory(given, KEY, POLICY)  # noqa: E731
        self.drift = Driver(self.cluster, watching, group="drift", batch=23)
        self.learner = Driver(self.cluster, learning, group="learner", batch=23)
        self._random = random.Random(3)
        self._number = 0

    def write(self, count: int, shift: float = 0.0) -> None:
        """Write events in small parts, each read by both before the next."""
        for _ in range(count):
            load = self._random.gauss(0, 1)
            x: dict[str, float | None] = {
                "vibration": load + self._random.gauss(shift, 0.5),
                "temperature": 40 + load + self._random.gauss(0, 0.5),
                "flow": self._random.gauss(2, 0.1),
            }
            value = event_value(ASSET, self._number, x, 2 * load + 1)
            self.learner.send(EVENTS, 0, value, key=ASSET.encode())
            self._number += 1
            if self._number % 5 == 0:
                self.settle()

    def settle(self) -> None:
        """Let both read all there is, what the other wrote too."""
        for _ in range(2):
            self.learner.drain()
            self.drift.drain()

    def read(self, topic: str, name: str) -> list[dict[str, object]]:
        """Return the records of a topic."""
        return [codec(name).decode(m.value) for m in self.cluster.read(topic)]


@pytest.mark.parametrize(
    ("verdict", "said"), [("FAULT", "fault"), ("PROCESS_CHANGE", "process_change")]
)
def test_models_are_held_from_the_question_to_the_verdict(verdict: str, said: str) -> None:
    pair = Pair()
    pair.write(150)
    pair.write(30, shift=6.0)
    (asked,) = [r for r in pair.read(DRIFT, "Drift") if r["held"]]
    reply = answer(0, str(asked["drift_id"]), verdict)
    pair.drift.send(UPDATES, 0, reply.value, key=reply.key)
    pair.settle()
    pair.write(700, shift=6.0 * (verdict == "PROCESS_CHANGE"))

    updates = pair.read(UPDATES, "Update")
    assert [u["kind"] for u in updates[:2]] == ["HOLD", verdict]
    release = next(u for u in updates if u["kind"] == "RELEASE")
    assert (release["label"], release["target_id"]) == (said, asked["drift_id"])
    assert pair.cluster.read(UPDATES + SUFFIX) == []
    held = [n for n, p in enumerate(pair.read(PREDICTIONS, "Prediction")) if p["quality"]]
    assert held
    assert held == list(range(held[0], held[-1] + 1))
    assert 150 < held[0] < 180
    assert held[-1] < 879
    span = release["span"]
    assert isinstance(span, dict)
    held_us = [(span["from"], span["to"])] if verdict == "FAULT" else []
    topics = {t: [m for m in pair.cluster.read(t) if m.partition == 0] for t in PLAIN}
    log: Any = SimpleNamespace(topics=topics)  # Any: as much of a log as is read
    plain = Plain(TERMS, held=held_us, asset=ASSET).follow(log)
    told = pair.read(PREDICTIONS, "Prediction")[-50:]
    for each in told:
        source = each["source"]
        assert isinstance(source, dict)
        assert (each["value"], each["lineage"]) == plain.said[source["offset"]]
    log = MemoryLog(pair.cluster)
    assert replay(log, 0, asked=Asked(reference=REFERENCE)).findings == []
    assert verify(log, 0, KEY).findings == []

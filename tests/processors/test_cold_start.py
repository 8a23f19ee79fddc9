"""Assets that come new start as their type is, the same whatever befalls the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.contracts.codec import codec
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, TOPICS
from tidemill.fold.audit import replay, verify
from tidemill.fold.books import Policy
from tidemill.fold.idle import IdleModels, Room
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.faults import Operation
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import LINEAR, event_value, sample_terms

if TYPE_CHECKING:
    from tidemill.kernel.processor import TaskFactory

PARTITIONS = 2
KEY = SigningKey(bytes(32))
TREE = [{"tree.HoeffdingTreeRegressor": {"grace_period": 3, "delta": 0.4, "tau": 0.9}}]
MODEL = {"champion": list(LINEAR), "challengers": {"tree": TREE}, "start_from": "stream"}
TERMS = sample_terms(partitions=PARTITIONS, stream={"model": MODEL})
EVENTS_SENT = 60
WORKERS = ("w0", "w1")


class Plant:
    """New assets come one after another, at each partition; models rest as soon as they may."""

    def __init__(self) -> None:
        topics = {topic.name: PARTITIONS for topic in TOPICS}
        self.cluster = MemoryCluster(topics, fetch_records=5)
        self.driver = Driver(self.cluster, self._make, batch=4)
        self.number = 0

    @staticmethod
    def _make() -> TaskFactory:
        policy = Policy(snapshot_every=6, anchor_every=9, define_every=7)
        room = Room(2)
        return LearnerFactory(TERMS, KEY, policy, idle=lambda _: IdleModels(room=room))

    def events(self, count: int) -> None:
        for n in range(self.number, self.number + count):
            partition = n % PARTITIONS
            asset = f"{partition}/{n * n % (1 + n // 8)}"
            x = {"vibration": n * 7 % 11, "temperature": 50.0 + n * 5 % 13, "flow": n % 3}
            if n % 9 == 4:
                x["temperature"] = 5000.0
            value = event_value(asset, n, x, None if n % 10 == 7 else float(n * 3 % 7))
            self.driver.send(EVENTS, partition, value, key=asset.encode())
        self.number += count

    def predictions(self) -> list[list[bytes | None]]:
        found = [self.cluster.read(PREDICTIONS, [number]) for number in range(PARTITIONS)]
        return [[message.value for message in each] for each in found]

    def last(self, partition: int) -> Entry:
        return Entry.decode(self.cluster.read(LEDGER, [partition])[-1].value)


def run(happenings: list[tuple[str, str, int]]) -> Plant:
    """Send events while workers live through what happens to them."""
    plant = Plant()
    plant.driver.start("w0")
    each = EVENTS_SENT // (len(happenings) + 1)
    for worker, what, turns in happenings:
        plant.events(each)
        if what == "mid-way":
            plant.cluster.fail_next(Operation.ANY, "crash", after=turns)
        else:
            getattr(plant.driver, what)(worker)
        for name in WORKERS:
            plant.driver.step(name, turns)
    plant.events(EVENTS_SENT - plant.number)
    plant.driver.drain()
    return plant


happenings = st.tuples(
    st.sampled_from(WORKERS),
    st.sampled_from(["start", "crash", "abort", "leave", "freeze", "mid-way"]),
    st.integers(1, 25),
)


@pytest.fixture(scope="module")
def calm() -> Plant:
    return run([])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(what=st.lists(happenings, max_size=8))
def test_whatever_happens_new_assets_answer_the_same_bytes_and_the_past_replays(
    calm: Plant, what: list[tuple[str, str, int]]
) -> None:
    plant = run(what)
    assert plant.predictions() == calm.predictions()
    for partition in range(PARTITIONS):
        assert plant.last(partition).fleet == calm.last(partition).fleet
        log = MemoryLog(plant.cluster)
        assert verify(log, partition, KEY).findings == []
        assert replay(log, partition, KEY).findings == []


def test_an_asset_that_comes_late_begins_where_its_type_has_come(calm: Plant) -> None:
    first: dict[str, int] = {}
    for value in calm.predictions()[0]:
        prediction = codec("Prediction").decode(value)
        first.setdefault(prediction["asset"], prediction["version"])
    assert len(first) > 3
    assert sorted(first.values()) == list(first.values())
    assert len(set(first.values())) > 3
    assert ASSET_TYPE not in first

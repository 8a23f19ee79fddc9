"""The record changes while workers run: known when it is met, told by the ledger, nothing lost."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from broker.evolving import (
    ASSETS,
    FIRST,
    LATER,
    PARTITIONS,
    PlainRiver,
    Reading,
    Writer,
    definition,
    readings,
)
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, TOPICS
from tidemill.fold.audit import replay, verify
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import SigningKey
from tidemill.fold.terms import KIND, Terms
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.runtime.observer import Silent
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.faults import Operation, abortable
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from broker.evolving import Schema
    from tidemill.kernel.processor import Task

KEY = SigningKey(bytes(32))
FIRST_ID = 1
TURNS = 1_000


class Heard(Silent):
    """Counts restores and aborts."""

    def __init__(self) -> None:
        self.restored_lanes = 0
        self.reasons: list[str] = []

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        self.restored_lanes += 1

    def aborted(self, reason: str) -> None:
        self.reasons.append(reason)


class Mill:
    """A plant in memory, one worker, and what plain River says of all that was written."""

    def __init__(self, *, snapshot_every: int = 25) -> None:
        self.cluster = MemoryCluster({topic.name: PARTITIONS for topic in TOPICS})
        self.registered: dict[int, Schema] = {FIRST_ID: FIRST}
        self.is_away = False
        self.asked: list[set[int]] = []
        self.heard = Heard()
        self.expected: dict[str, float] = {}
        self._river = PlainRiver()
        self._readings = readings(7)
        self._policy = Policy(snapshot_every=snapshot_every, define_every=9)
        self.start()

    def start(self) -> None:
        """Start the worker; it knows the first version only, as its files have it."""
        terms = Terms(parse_definition(definition()), {FIRST_ID: FIRST})
        self.process = self.cluster.process()
        self.worker = Worker(
            LearnerFactory(terms, KEY, self._policy),
            self.process,
            WorkerSettings("tidemill.mill", "0", PARTITIONS, batch=40, schemas=self._find),
            clock=self.cluster.now,
            observer=self.heard,
            wall=lambda: self.cluster.now_ms() / 1000,
        )

    def _find(self, ids: Collection[int], /) -> Mapping[int, Schema]:
        self.asked.append(set(ids))
        if self.is_away:
            raise DependencyUnavailableError("the registry", retry_after_s=1.0)
        return {n: self.registered[n] for n in ids if n in self.registered}

    def register(self, schema: Schema) -> Writer:
        schema_id = max(self.registered) + 1
        self.registered[schema_id] = schema
        return Writer(schema_id, schema)

    def write(self, writers: Sequence[Writer], count: int) -> None:
        """Let writers take turns."""
        for n in range(count):
            self.write_one(writers[n // PARTITIONS % len(writers)], next(self._readings))

    def write_one(self, writer: Writer, reading: Reading) -> None:
        said = self._river.say_and_learn(reading, writer.seen(reading))
        self.expected[f"e{reading.number}"] = said
        asset = reading.asset.encode()
        self.cluster.append(EVENTS, reading.partition, writer.value(reading), key=asset)

    def work(self) -> None:
        """Turn the loop until all is read."""
        written = len(self.cluster.read(EVENTS))
        self.turn(lambda: len(self.cluster.read(PREDICTIONS)) + len(self.dead()) >= written)

    def turn(self, is_done: Callable[[], bool]) -> None:
        """Turn the loop until something holds."""
        for _ in range(TURNS):
            if is_done():
                return
            self.worker.step()
        pytest.fail(f"it must come within {TURNS} turns")

    def check(self) -> None:
        """Hold that each event was predicted once, as River does, and that the past replays."""
        found = [codec("Prediction").decode(m.value) for m in self.cluster.read(PREDICTIONS)]
        assert {p["event_id"]: p["value"] for p in found} == self.expected
        assert len(found) == len(self.expected)
        for asset in ASSETS:
            versions = [p["version"] for p in found if p["asset"] == asset]
            assert versions == list(range(len(versions)))
        for partition in range(PARTITIONS):
            log = MemoryLog(self.cluster)
            assert verify(log, partition, KEY).findings == []
            assert replay(log, partition, KEY).findings == []

    def entries(self, partition: int = 0) -> list[Entry]:
        return [Entry.decode(m.value) for m in self.cluster.read(LEDGER, [partition])]

    def defining(self, partition: int = 0) -> list[Entry]:
        """Return the entries that put other terms in force."""
        return [
            entry
            for entry in self.entries(partition)
            if entry.kind != "APPLIED" and any(action.kind == KIND for action in entry.actions)
        ]

    def dead(self) -> list[str]:
        letters = self.cluster.read(EVENTS + SUFFIX)
        return [dict(m.headers)[REASON_HEADER].decode() for m in letters]


def test_every_way_a_record_may_change_is_met_by_a_running_worker_two_versions_at_a_time() -> None:
    mill = Mill()
    before = Writer(FIRST_ID, FIRST)
    mill.write([before], 40)
    mill.work()
    for schema in LATER.values():
        after = mill.register(schema)
        mill.write([before, before, after], 31)
        mill.work()
        before = after
    mill.write([Writer(FIRST_ID, FIRST), before], 30)
    mill.work()

    mill.check()
    assert mill.dead() == []
    assert mill.heard.reasons == []
    assert mill.heard.restored_lanes == PARTITIONS
    for partition in range(PARTITIONS):
        genesis, *changes = mill.defining(partition)
        assert genesis.kind == "GENESIS"
        assert [entry.kind for entry in changes] == ["ACTION"] * len(LATER)
        known = [set(Terms.of(entry.actions[0]).schemas) for entry in changes]
        assert known == [set(range(1, n + 3)) for n in range(len(LATER))]


def test_versions_met_in_one_poll_take_effect_at_once_before_the_first_of_them() -> None:
    mill = Mill()
    mill.write([Writer(FIRST_ID, FIRST)], 6)
    mill.work()
    mill.write([mill.register(schema) for schema in LATER.values()], 10)
    mill.work()

    mill.check()
    _, action = mill.defining()
    after = next(e for e in mill.entries() if e.sequence == action.sequence + 1)
    assert (action.positions or {})[EVENTS] == after.runs[0].first == 3


def test_an_id_that_nobody_knows_is_set_aside_and_the_rest_goes_on() -> None:
    mill = Mill()
    known = Writer(FIRST_ID, FIRST)
    mill.write([known], 4)
    for value in (struct.pack(">bI", 0, 77) + b"rest", b"\1\0\0\0\4", b"\0\0", b"", None):
        mill.cluster.append(EVENTS, 0, value, key=b"mill/0")
        mill.write([known], 10)
    mill.work()

    mill.check()
    assert sorted(mill.dead()) == ["undecodable"] * 4 + ["unknown-schema"]
    assert mill.asked == [{77}]
    assert len(mill.defining()) == 1


def test_while_it_cannot_be_asked_the_record_waits_and_is_not_set_aside() -> None:
    mill = Mill()
    mill.write([Writer(FIRST_ID, FIRST)], 20)
    mill.work()
    after = mill.register(LATER["a sensor renamed"])
    mill.is_away = True
    mill.write([after], 4)
    before = mill.cluster.read(LEDGER)
    mill.turn(lambda: len(mill.asked) >= 3)
    assert mill.cluster.read(LEDGER) == before
    assert set(mill.heard.reasons) == {"the registry unavailable, retry in 1 s"}
    mill.is_away = False
    mill.write([after], 20)
    mill.work()

    mill.check()
    assert mill.dead() == []


def test_a_transaction_that_aborts_takes_the_schema_back_and_it_is_met_again() -> None:
    mill = Mill()
    mill.write([Writer(FIRST_ID, FIRST)], 20)
    mill.work()
    mill.write([mill.register(LATER["a sensor added"])], 8)
    mill.cluster.fail_next(Operation.COMMIT, abortable(), process=mill.process)
    mill.work()

    mill.check()
    assert mill.heard.reasons
    assert [len(mill.defining(partition)) for partition in range(PARTITIONS)] == [2, 2]


@pytest.mark.parametrize("schema", LATER.values(), ids=LATER)
def test_a_worker_that_dies_is_rebuilt_across_the_change_without_saving_models_for_it(
    schema: Schema,
) -> None:
    mill = Mill(snapshot_every=10_000)
    mill.write([Writer(FIRST_ID, FIRST)], 30)
    mill.work()
    mill.write([Writer(FIRST_ID, FIRST), mill.register(schema)], 30)
    mill.work()
    assert mill.cluster.read(SNAPSHOTS) == []
    mill.process.kill()
    mill.start()
    mill.write([Writer(FIRST_ID, FIRST), Writer(2, schema)], 30)
    mill.work()

    mill.check()
    assert len(mill.defining()) == 2

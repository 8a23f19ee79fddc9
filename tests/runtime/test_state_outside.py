"""What the runtime does for processors whose state lies outside Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import (
    DeadLetterReason,
    DependencyUnavailableError,
    InvalidRecordError,
    InvariantError,
    ServiceAwayError,
)
from tidemill.kernel.processor import Opened
from tidemill.kernel.records import Emit
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.faults import Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping, Sequence

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

IN, OUT, DEAD = "in", "out", "in.dlq"
PARTITIONS = 3
SPREAD = 5  # more than any worker owns


class Outside:
    """Task and factory in one: counts what it has seen, and writes to any partition."""

    name = "outside"
    inputs: tuple[str, ...] = (IN,)
    outputs: tuple[str, ...] = (OUT, DEAD)
    spread = SPREAD

    def __init__(self) -> None:
        self.seen = 0
        self.recalled: list[tuple[int, str]] = []
        self.rest_takes_s = 0.0
        self.rested: list[tuple[dict[str, int], frozenset[str]]] = []
        self.to_emit: list[Emit] = []
        self.confirmed: list[tuple[int, int]] = []
        self.doubts: list[Exception] = []
        self.missing: Exception | None = None
        self.tired: Exception | None = None
        self.reason: DeadLetterReason | None = None
        self.cluster = MemoryCluster({IN: PARTITIONS, OUT: SPREAD, DEAD: SPREAD})

    def recall(self, partition: int, mark: str) -> None:
        self.recalled.append((partition, mark))

    def confirm(self) -> None:
        calls = self.cluster.faults.calls[Operation.SEND_OFFSETS]
        self.confirmed.append((len(self.written()), calls))
        if self.doubts:
            raise self.doubts.pop()

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        yield
        if self.missing is not None:
            raise self.missing
        mark = [mark for number, mark in self.recalled if number == partition][-1]
        self.seen = int(mark or 0)
        return Opened(self, {IN: committed[IN] or 0}, mark=mark)

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        self.seen += len(records)
        if self.reason is not None:
            error = InvalidRecordError(self.reason, "as told")
            return [dead_letter(each, error, self.name) for each in records]
        return [Emit(OUT, 2, None, each.value) for each in records]

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        return []

    @property
    def mark(self) -> str:
        return str(self.seen)

    def rest(self, positions: Mapping[str, int], ended: Collection[str]) -> Sequence[Emit]:
        if self.tired is not None:
            raise self.tired
        self.rested.append((dict(positions), frozenset(ended)))
        self.cluster.advance(self.rest_takes_s)
        emits, self.to_emit = self.to_emit, []
        return emits

    def write_smaller(self) -> None:
        raise AssertionError

    def written(self) -> list[int]:
        """Return the offsets of all that was written, committed or not."""
        log = self.cluster.log(OUT, 2)
        return [slot.offset for slot in log.slots if slot.message and slot.message.key != b"sweep"]


class Plant:
    def __init__(self) -> None:
        self.task = Outside()
        self.cluster = self.task.cluster
        self.worker = Worker(
            self.task,
            self.cluster.process(),
            WorkerSettings("g", "a", PARTITIONS, restore_deadline_s=5.0),
            clock=self.cluster.now,
            wall=lambda: self.cluster.now_ms() / 1000,
        )

    def turn(self, seconds: float) -> None:
        until = self.cluster.now() + seconds
        while self.cluster.now() < until:
            before = self.cluster.now()
            self.worker.step()
            if self.cluster.now() == before:
                self.cluster.advance(0.01)

    def values(self) -> list[bytes | None]:
        return [message.value for message in self.cluster.read(OUT)]


@pytest.fixture
def plant() -> Plant:
    return Plant()


def test_the_factory_confirms_when_all_is_delivered_and_no_offset_sent(plant: Plant) -> None:
    plant.turn(1.0)
    plant.cluster.append(IN, 0, b"one")
    plant.task.confirmed.clear()
    sent = plant.cluster.faults.calls[Operation.SEND_OFFSETS]
    plant.task.doubts = [DependencyUnavailableError("memory", retry_after_s=0.1)]
    plant.turn(3.0)
    assert plant.task.confirmed[0] == (1, sent), "one record written, no offset sent"
    assert len(plant.task.confirmed) > 1
    assert plant.values() == [b"one"]
    assert plant.task.seen == 1


def test_a_mark_is_recalled_before_a_partition_is_opened_again(plant: Plant) -> None:
    plant.turn(1.0)
    plant.cluster.append(IN, 0, b"one")
    plant.turn(2.0)
    plant.task.recalled.clear()
    plant.task.doubts = [DependencyUnavailableError("memory", retry_after_s=0.1)]
    plant.cluster.append(IN, 0, b"two")
    plant.turn(3.0)
    assert (0, "1") in plant.task.recalled
    assert plant.values() == [b"one", b"two"]


def test_a_task_rests_when_all_is_committed_and_what_it_emits_is_committed_next(
    plant: Plant,
) -> None:
    plant.turn(1.0)
    plant.cluster.append(IN, 0, b"one")
    plant.task.to_emit = [Emit(OUT, 1, None, b"rested")]
    plant.turn(3.0)
    assert plant.values() == [b"rested", b"one"]
    assert ({IN: 1}, frozenset({IN})) in plant.task.rested
    turns = len(plant.task.rested)
    plant.turn(3.0)
    assert turns + 3 <= len(plant.task.rested) <= turns + 3 * 4


def test_rests_that_take_long_are_spread_over_turns_of_the_loop(plant: Plant) -> None:
    for number in range(PARTITIONS):
        for _ in range(number):
            plant.cluster.append(IN, number, b"one")
    plant.turn(3.0)
    plant.task.rest_takes_s = 0.7
    counts = []
    for _ in range(20):
        before = len(plant.task.rested)
        plant.worker.step()
        counts.append(len(plant.task.rested) - before)
    assert max(counts) == 1
    last = plant.task.rested[-2 * PARTITIONS :]
    assert {positions[IN] for positions, _ in last} == {0, 1, 2}, "each has its turn"


def test_a_rest_that_cannot_be_has_all_state_rebuilt(plant: Plant) -> None:
    plant.turn(1.0)
    plant.task.recalled.clear()
    plant.task.tired = ServiceAwayError("memory", retry_after_s=0.5)
    plant.turn(2.0)
    plant.task.tired = None
    assert plant.task.recalled
    plant.cluster.append(IN, 0, b"one")
    plant.turn(3.0)
    assert plant.values() == [b"one"]


def test_a_service_that_is_away_is_waited_for_however_long_it_is(plant: Plant) -> None:
    plant.task.missing = ServiceAwayError("memory", retry_after_s=0.5)
    plant.turn(60.0)
    plant.task.missing = None
    plant.cluster.append(IN, 0, b"one")
    plant.turn(3.0)
    assert plant.values() == [b"one"]


def test_what_was_committed_must_be_found_within_a_deadline(plant: Plant) -> None:
    plant.task.missing = DependencyUnavailableError("records", retry_after_s=0.5)
    with pytest.raises(InvariantError, match="must become visible within 5 s"):
        plant.turn(60.0)


def test_all_partitions_that_are_written_to_are_swept(plant: Plant) -> None:
    plant.turn(1.0)
    swept = [
        number
        for number in range(SPREAD)
        if any(
            s.message and s.message.key == b"sweep" for s in plant.cluster.log(OUT, number).slots
        )
    ]
    assert swept == list(range(SPREAD))


@pytest.mark.parametrize("reason", [DeadLetterReason.LATE, DeadLetterReason.UNKNOWN_EVENT])
def test_records_that_are_whole_do_not_count_as_poison(
    plant: Plant, reason: DeadLetterReason
) -> None:
    plant.task.reason = reason
    for _ in range(300):
        plant.cluster.append(IN, 0, b"whole")
    plant.turn(5.0)
    assert len(plant.cluster.read(DEAD)) == 300


def test_records_that_are_not_do(plant: Plant) -> None:
    plant.task.reason = DeadLetterReason.DOMAIN
    for _ in range(300):
        plant.cluster.append(IN, 0, b"broken")
    with pytest.raises(InvariantError, match="at most half"):
        plant.turn(5.0)

"""What a task makes of records: whatever it raises is named; poison is watched topic by topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError, InvariantError
from tidemill.kernel.processor import Opened
from tidemill.kernel.records import Emit
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.faults import Operation, abortable

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

TOPICS = ("first", "second", "first.dlq", "second.dlq", "out")


class Sorting:
    """Emits what it is given, poison as dead letters; raises what it is told to."""

    name = "sorting"
    inputs: tuple[str, ...] = ("first", "second")
    outputs: tuple[str, ...] = ("out",)

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.seal_error: Exception | None = None

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        yield
        return Opened(self, {topic: offset or 0 for topic, offset in committed.items()})

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        if self.error is not None:
            raise self.error
        poison = InvalidRecordError(DeadLetterReason.DOMAIN, "poison")
        return [
            dead_letter(r, poison, "sorting")
            if r.value == b"poison"
            else Emit("out", r.partition, r.key, r.value)
            for r in records
        ]

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        if self.seal_error is not None:
            raise self.seal_error
        return []

    def write_smaller(self) -> None:
        raise AssertionError


class Plant:
    """A cluster and one worker of `Sorting`."""

    def __init__(self, *, batch: int = 100) -> None:
        self.cluster = MemoryCluster(dict.fromkeys(TOPICS, 1))
        self.task = Sorting()
        self.worker = Worker(
            self.task,
            self.cluster.process(),
            WorkerSettings("g", "a", 1, batch=batch),
            clock=self.cluster.now,
            wall=lambda: self.cluster.now_ms() / 1000,
        )

    def send(self, topic: str, value: bytes, count: int) -> None:
        for _ in range(count):
            self.cluster.append(topic, 0, value)

    def settle(self) -> None:
        for _ in range(2000):
            if all(self.is_committed(topic) for topic in Sorting.inputs):
                return
            self.worker.step()
        raise AssertionError

    def is_committed(self, topic: str) -> bool:
        end = self.cluster.log(topic, 0).end
        return (self.cluster.committed_offset("g", topic, 0) or 0) == end

    def dead(self) -> int:
        return len(self.cluster.read("first.dlq")) + len(self.cluster.read("second.dlq"))


@pytest.mark.parametrize(
    "error", [OverflowError("math range error"), RecursionError("too deep"), KeyError("x")]
)
def test_whatever_a_task_raises_halts_and_names_the_records(error: Exception) -> None:
    plant = Plant()
    plant.send("second", b"good", 3)
    plant.settle()
    plant.task.error = error
    plant.send("second", b"bad", 2)

    with pytest.raises(InvariantError) as halted:
        plant.settle()
    assert "second-0: records 3 to 4 must be applied or set aside" in str(halted.value)
    assert type(error).__name__ in str(halted.value)
    assert str(error) in str(halted.value)
    assert halted.value.__cause__ is error
    assert len(plant.cluster.read("out")) == 3


def test_whatever_a_task_raises_at_the_end_of_a_transaction_halts_and_says_where() -> None:
    plant = Plant()
    plant.task.seal_error = RecursionError("too deep to pickle")
    plant.send("first", b"good", 2)

    with pytest.raises(InvariantError, match=r"first-0 at 2, .*RecursionError: too deep to pickle"):
        plant.settle()


def test_an_error_of_our_own_stays_what_it_is() -> None:
    plant = Plant()
    plant.task.error = InvariantError("a promise would break")
    plant.send("first", b"good", 1)

    with pytest.raises(InvariantError, match=r"^a promise would break$"):
        plant.settle()


def test_a_good_topic_does_not_hide_that_another_is_all_dead() -> None:
    plant = Plant()
    plant.send("first", b"good", 400)
    plant.send("second", b"poison", 250)

    with pytest.raises(InvariantError, match=r"of 2\d\d were"):
        plant.settle()


def test_a_rebuild_does_not_forget_the_dead_of_before() -> None:
    """A worker that aborts now and then must still see that a topic is emptied."""
    plant = Plant(batch=50)

    def send_and_abort() -> None:
        for _ in range(4):
            plant.send("first", b"poison", 50)
            plant.settle()
            plant.cluster.fail_next(Operation.COMMIT, abortable())

    with pytest.raises(InvariantError, match="200 of 200"):
        send_and_abort()
    assert plant.dead() == 150


def test_records_that_come_again_after_an_abort_count_once() -> None:
    plant = Plant(batch=99)
    plant.send("first", b"good", 99)
    plant.settle()
    plant.send("first", b"poison", 99)
    plant.cluster.fail_next(Operation.COMMIT, abortable(), times=3)
    plant.settle()

    assert plant.dead() == 99

"""The driver starts, kills and heals real workers, and says what is left when they cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tidemill.kernel.errors import InvariantError
from tidemill.kernel.processor import Opened
from tidemill.kernel.records import Emit
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.faults import Operation

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class Echo:
    """Emits what it is given; opens where the group's offsets stand."""

    name = "echo"
    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        yield
        return Opened(self, {topic: offset or 0 for topic, offset in committed.items()})

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        return [Emit("out", r.partition, r.key, r.value, r.headers) for r in records]

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        return []

    def write_smaller(self) -> None:
        raise AssertionError


class NeverOpens(Echo):
    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        while True:
            yield


class Halts(Echo):
    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        msg = "a promise would break"
        raise InvariantError(msg)


def driven(make: type[Echo] = Echo) -> Driver:
    driver = Driver(MemoryCluster({"in": 2, "out": 2}), make)
    for n in range(6):
        driver.send("in", n % 2, str(n).encode())
    return driver


def echoed(driver: Driver) -> list[bytes | None]:
    return [message.value for message in driver.outputs("out")]


def test_all_that_was_sent_is_drained_even_if_no_worker_was_ever_started() -> None:
    driver = driven()
    assert driver.left() == {"in-0": (None, 3), "in-1": (None, 3)}
    driver.drain()

    assert echoed(driver) == [b"0", b"2", b"4", b"1", b"3", b"5"]
    assert driver.left() == {}


@pytest.mark.parametrize("operation", [Operation.INIT, Operation.COMMIT, Operation.COMMIT_DONE])
def test_a_worker_that_crashes_is_down_until_it_is_started_or_drained(
    operation: Operation,
) -> None:
    driver = driven()
    driver.cluster.fail_next(operation, "crash")
    driver.start("w")
    driver.step("w", 200)
    assert (driver.instances, driver.crashes) == ([], 1)
    driver.step("w")
    driver.crash("w")
    driver.drain()

    assert (driver.instances, driver.crashes) == (["w"], 1)
    assert sorted(value or b"" for value in echoed(driver)) == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_an_aborted_transaction_comes_again() -> None:
    driver = driven()
    driver.start("w")
    driver.abort("w")
    driver.drain()
    aborts = driver.cluster.faults.calls[Operation.ABORT]
    driver.send("in", 0, b"6")
    driver.start("w")
    driver.abort("w")
    driver.step("w", 100)

    assert aborts == 1  # the sweep of the start: draining heals what is planned
    assert driver.cluster.faults.calls[Operation.ABORT] == 3  # what is planned, and its sweep
    assert echoed(driver) == [b"0", b"2", b"4", b"6", b"1", b"3", b"5"]


def test_a_worker_that_left_is_not_started_again_and_its_partitions_go_to_another() -> None:
    driver = driven()
    for instance in ("one", "two"):
        driver.start(instance)
        driver.step(instance, 3)
    driver.leave("one")
    driver.leave("one")
    driver.drain()

    assert driver.instances == ["two"]
    assert len(echoed(driver)) == 6


def test_what_is_left_is_named_when_draining_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.testing.driver.MOST_TURNS", 50)

    with pytest.raises(AssertionError, match=r"left are .*'in-0': \(None, 3\)"):
        driven(NeverOpens).drain()


def test_a_worker_that_halts_is_not_silenced() -> None:
    with pytest.raises(InvariantError, match="a promise would break"):
        driven(Halts).drain()

"""Offsets of a coordinator that has not read all of its groups yet are asked for again."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.refolding import ledger_of
from runtime.test_late_markers import Plant
from tidemill.contracts.topics import EVENTS
from tidemill.kernel.errors import InvariantError
from tidemill.testing.consumers import MemoryConsumer

BEFORE = 2


class Behind:
    """A coordinator that tells of the events an offset of before, so many times."""

    def __init__(self, patch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        told = MemoryConsumer.committed

        def committed(*asked: Any) -> Any:  # Any: as the consumer has them
            found = told(*asked)
            if self.left > 0:
                self.left -= 1
                for part in found:
                    if part.topic == EVENTS:
                        part.offset = BEFORE
            return found

        patch.setattr(MemoryConsumer, "committed", committed)


@pytest.fixture
def plant() -> Plant:
    """A plant whose worker has applied some events and left."""
    plant = Plant()
    plant.driver.start("w0")
    for number in range(6):
        plant.event(number)
    plant.driver.drain()
    plant.driver.leave("w0")
    plant.cluster.advance(11.0)
    return plant


def test_a_worker_goes_on_where_it_was_once_the_coordinator_knows(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = Behind(monkeypatch, 5)
    plant.event(6)
    plant.driver.start("w1")
    plant.driver.drain()

    assert behind.left == 0
    runs = [run for entry in ledger_of(plant.cluster, 0) for run in entry.runs]
    assert sum(run.last - run.first + 1 for run in runs if run.topic == EVENTS) == 7


def test_offsets_that_stay_behind_halt_the_worker_in_the_end(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    Behind(monkeypatch, 10**9)
    plant.driver.start("w1")
    with pytest.raises(InvariantError, match=r"within 60 s.*must not lie before the ledger's \d"):
        plant.wait("w1")

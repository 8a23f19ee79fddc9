"""A coordinator that ends a transaction without telling the partitions doubles nothing."""

from __future__ import annotations

import pytest

from runtime.test_crashes_in_memory import Plant, check_promise
from tidemill.contracts.topics import LEDGER, PREDICTIONS
from tidemill.testing.faults import Operation


@pytest.mark.parametrize("step", [Operation.SEND_OFFSETS, Operation.COMMIT])
def test_what_a_crash_left_open_and_nobody_aborted_never_counts(step: Operation) -> None:
    plant = Plant(batch=8)
    driver, cluster = plant.driver, plant.cluster
    driver.start("w0")
    driver.drain()
    before = len(cluster.read(LEDGER))
    cluster.fail_next(step, "crash")
    for number in range(8):
        plant.event(number % 4)
    driver.step("w0", 5)
    assert driver.crashes == 1
    assert cluster.log(PREDICTIONS, 0).open_spans, "a transaction is open"

    cluster.coordinator.forgets_aborts = True
    driver.start("w0")
    assert cluster.log(PREDICTIONS, 0).open_spans, "and nobody ended it"
    cluster.coordinator.forgets_aborts = False
    driver.drain()

    check_promise(plant)
    assert len(cluster.read(LEDGER)) > before
    assert not cluster.log(PREDICTIONS, 0).open_spans

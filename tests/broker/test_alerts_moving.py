"""The alerts processor while workers join and leave and the broker restarts: no alarm is lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from broker.alerts_mesh import AlertsMesh, Hook, await_life, undisturbed
from broker.feedback_mesh import LOOK_S, PARTITIONS, WITHIN_S, asset_of
from broker.test_alerts import happen
from chaos.waiting import await_value
from feedback.stage import prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARM_STATES, DRIFT, PREDICTIONS, RECEIPTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.workers import WorkerProcess

pytestmark = pytest.mark.broker

EACH = 12


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[AlertsMesh]:
    hook = Hook()
    try:
        with AlertsMesh(tmp_path, hook, silence="1h") as running:
            yield running
    finally:
        hook.close()


class Plant:
    """Things happen on all partitions, and each time two assets are heard of for the first time."""

    def __init__(self, mesh: AlertsMesh) -> None:
        self.assets: set[str] = set()
        self._mesh = mesh
        self._dice = random.Random(11)
        self._count = 0

    def happen(self) -> None:
        for _ in range(EACH):
            self._count += 1
            partition = self._count % PARTITIONS
            asset = f"{asset_of(partition)}/{self._count}"
            self.assets.add(asset)
            value = codec("Prediction").encode(prediction(self._count, asset, partition))
            for _ in range(50):
                self._mesh.write(PREDICTIONS, partition, value)
            happen(self._mesh, self._count, self._dice)


def await_owners(*workers: WorkerProcess) -> None:
    """Wait until these workers, and all of them, share the partitions."""

    def is_shared() -> bool:
        owned = []
        for worker in workers:
            worker.check()
            owned.append(worker.assigned())
        return all(owned) and sorted(n for part in owned for n in part) == list(range(PARTITIONS))

    said = ", ".join(worker.name for worker in workers)
    await_value(is_shared, lambda: f"partitions shared by {said}", WITHIN_S, LOOK_S)


def watched(mesh: AlertsMesh) -> set[str]:
    """Return the assets whose silence would be told."""
    keys = [record.key or b"" for part in mesh.read(ALARM_STATES) for record in part]
    return {key.split(b"|")[3].decode() for key in keys if key.split(b"|")[1] == b"SILENCE"}


def test_workers_that_join_and_leave_and_a_broker_that_restarts_lose_and_double_no_alarm(
    mesh: AlertsMesh,
) -> None:
    plant = Plant(mesh)
    first, second = mesh.alerter("a0"), mesh.alerter("a1")
    first.start()
    await_life(mesh, first)
    plant.happen()
    second.start()
    plant.happen()
    mesh.flush()
    await_owners(first, second)
    plant.happen()
    mesh.kafka.restart()
    plant.happen()
    mesh.flush()
    second.end()
    plant.happen()
    mesh.flush()
    await_owners(first)
    plant.happen()
    mesh.flush()

    wanted = {
        (partition, topic): undisturbed(mesh, partition, topic)
        for partition in range(PARTITIONS)
        for topic in (DRIFT, RECEIPTS)
    }
    mesh.await_told(sum(len(values) for values in wanted.values()))
    for (partition, topic), values in wanted.items():
        told = [value for value, r in mesh.alarms(partition) if r["source"]["topic"] == topic]
        assert list(dict.fromkeys(told)) == values
    named = [(r["alarm_id"], r["revision"], value) for value, r in mesh.alarms()]
    assert len(set(named)) == len({(alarm, revision) for alarm, revision, _ in named})
    await_value(
        lambda: plant.assets <= watched(mesh),
        lambda: f"all assets watched: {first.said()}",
        WITHIN_S,
        LOOK_S,
    )
    assert not [r for _, r in mesh.alarms() if r["kind"] == "SILENCE"]
    first.end()


def test_a_worker_that_is_asked_to_end_while_webhook_and_broker_are_away_ends_in_order(
    mesh: AlertsMesh,
) -> None:
    mesh.hook.failures = 1_000_000
    worker = mesh.alerter()
    worker.start()
    await_value(
        lambda: any(worker.told("webhook away, alarms wait")),
        lambda: f"an outage: {worker.said()}",
        WITHIN_S,
        LOOK_S,
    )
    mesh.kafka.stop()
    worker.end()
    assert not any(worker.told("halted"))

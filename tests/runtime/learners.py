"""A learner on a cluster in memory, and a task that reports what it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS, TOPICS
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit, Message
    from tidemill.kernel.reports import Report
    from tidemill.runtime.observer import Observer

PARTITIONS = 2
ASSETS = ("north/press", "south/press")
BAD = b"\x00\x00"


class ReportingTask:
    """Reports what it is told to."""

    def __init__(self, report: Report) -> None:
        self.current = report

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        raise AssertionError

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        raise AssertionError

    def report(self) -> Report:
        return self.current


def plant_cluster() -> MemoryCluster:
    """Return a cluster with the topics of the sample plant."""
    return MemoryCluster({topic.name: PARTITIONS for topic in TOPICS})


def send_events(cluster: MemoryCluster, count: int, *, start: int = 0) -> None:
    """Write events with labels, an asset per partition in turn."""
    for number in range(start, start + count):
        asset = ASSETS[number % PARTITIONS]
        x = {"vibration": number % 7 / 7, "temperature": 20.0 + number % 5, "flow": 1.0}
        value = event_value(asset, number, x, float(number % 3))
        cluster.append(EVENTS, number % PARTITIONS, value, key=asset.encode())


def start_learner(
    cluster: MemoryCluster,
    observer: Observer,
    *,
    terms: Terms | None = None,
    batch: int = 50,
    snapshot_every: int = 100,
    instance: str = "0",
) -> Worker:
    """Return a worker of the sample plant."""
    factory = LearnerFactory(
        terms or sample_terms(partitions=PARTITIONS),
        SigningKey(b"k" * 32),
        Policy(snapshot_every=snapshot_every),
    )
    settings = WorkerSettings("tidemill.sample.learner", instance, PARTITIONS, batch=batch)
    return Worker(
        factory,
        cluster.process(),
        settings,
        clock=cluster.now,
        observer=observer,
        wall=lambda: cluster.now_ms() / 1000,
    )


def run_until(worker: Worker, is_done: Callable[[], bool], *, steps: int = 2000) -> None:
    """Turn the loop until something holds."""
    for _ in range(steps):
        if is_done():
            return
        worker.step()
    msg = f"nothing came of {steps} turns"
    raise AssertionError(msg)


def run_until_idle(worker: Worker) -> None:
    """Turn the loop until everything is read and committed."""
    run_until(worker, lambda: worker.idle_s() > 3.0)

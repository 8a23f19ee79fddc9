"""What a worker shows of drift."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from runtime.learners import ReportingTask
from tidemill.kernel.reports import Drifts, Report
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.observer import Committed


def shown(metrics: WorkerMetrics, name: str) -> dict[str, float]:
    """Return the samples of one gauge by kind, but for those that are nothing."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {sample.labels["kind"]: sample.value for sample in samples if sample.value}


def test_what_stands_and_what_is_not_watched_is_summed_over_partitions_by_kind() -> None:
    metrics = WorkerMetrics("drift", clock=lambda: 0.0)
    drifts = Drifts(standing={"FEATURE": 1}, unwatched={"FEATURE": 3, "ERROR": 1})
    tasks = {n: ReportingTask(Report(drifts=drifts)) for n in range(2)}
    metrics.assigned([0, 1])
    for partition, task in tasks.items():
        metrics.restored(partition, task, 0.1)
    assert shown(metrics, "tidemill_drift_episodes") == {"FEATURE": 2.0}
    assert shown(metrics, "tidemill_drift_unwatched_signals") == {"FEATURE": 6.0, "ERROR": 2.0}

    tasks[1].current = Report(drifts=Drifts())
    metrics.committed(Committed([], [], dict(tasks), seconds=0.1, finished=0.0))
    assert shown(metrics, "tidemill_drift_unwatched_signals") == {"FEATURE": 3.0, "ERROR": 1.0}

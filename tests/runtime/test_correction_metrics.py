"""What a worker shows of corrections."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from runtime.learners import ReportingTask
from tidemill.kernel.reports import Corrections, Report
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.observer import Committed

COMPENSATED = "tidemill_corrections_compensated_total"


def shown(metrics: WorkerMetrics) -> dict[tuple[str, str], float]:
    """Return the samples of corrections by name and how they took effect."""
    text = metrics.exposition().decode()
    return {
        (sample.name, sample.labels.get("how", sample.labels.get("reason", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "correction" in sample.name
    }


def test_corrections_count_once_they_are_committed_and_those_that_wait_show() -> None:
    metrics = WorkerMetrics("learner", clock=lambda: 0.0)
    task = ReportingTask(Report(corrections=Corrections(waiting=2)))
    metrics.assigned([0])
    metrics.restored(0, task, 0.1)
    assert shown(metrics)["tidemill_corrections_waiting", ""] == 2.0

    task.current = Report(corrections=Corrections(3, {"allowance": 1, "error": 2}, 4.5, 0, "", 205))
    metrics.committed(Committed([], [], {0: task}, seconds=0.1, finished=0.0))
    metrics.hindered(0, "something was not there")
    metrics.hindered(0, "it raised", KeyError("nobody expected"))
    assert shown(metrics) == {
        ("tidemill_corrections_total", "refolded"): 3.0,
        ("tidemill_corrections_total", "compensated"): 3.0,
        **{(COMPENSATED, reason): 0.0 for reason in ("no-base", "changed", "full")},
        (COMPENSATED, "allowance"): 1.0,
        (COMPENSATED, "error"): 2.0,
        ("tidemill_corrections_failed_total", ""): 1.0,
        ("tidemill_corrections_waiting", ""): 0.0,
        ("tidemill_corrections_held", ""): 205.0,
        ("tidemill_correction_seconds_total", ""): 4.5,
    }

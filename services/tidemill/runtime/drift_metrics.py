"""What drift processors report, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts import drift_metrics as table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from prometheus_client import Counter, Gauge

    from tidemill.kernel.reports import Drifts


def count_drifts(counters: Mapping[str, Counter], before: Drifts, now: Drifts) -> None:
    """Count what was told and held since a report."""
    for about, count in now.told.items():
        more = count - before.told.get(about, 0)
        counters[table.TOLD.name].labels(*about).inc(more)
    counters[table.HELD.name].inc(now.held - before.held)
    counters[table.UNMET.name].inc(now.unmet - before.unmet)


def show_drifts(gauges: Mapping[str, Gauge], reports: Collection[Drifts]) -> None:
    """Show what stands in all partitions."""
    for kind in table.KIND.values:
        standing = sum(report.standing.get(kind, 0) for report in reports)
        gauges[table.EPISODES.name].labels(kind).set(standing)
        unwatched = sum(report.unwatched.get(kind, 0) for report in reports)
        gauges[table.UNWATCHED.name].labels(kind).set(unwatched)
    gauges[table.QUESTIONS.name].set(sum(report.questions for report in reports))
    share = max((report.held_share for report in reports), default=0.0)
    gauges[table.HELD_SHARE.name].set(share)

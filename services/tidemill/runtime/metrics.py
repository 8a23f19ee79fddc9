"""A worker's metrics and health, kept from what it reports once per transaction."""

from __future__ import annotations

import math
import time
from collections import Counter as Tally
from importlib.metadata import version as version_of
from operator import itemgetter
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from tidemill.contracts import correction_metrics as corrected
from tidemill.contracts import metrics as table
from tidemill.contracts.metric import Kind
from tidemill.contracts.topics import (
    ANCHORS,
    DRIFT_LEDGER,
    DRIFT_SNAPSHOTS,
    EVENTS,
    EXPLAINER_SNAPSHOTS,
    LABELS,
    PREDICTIONS,
    SNAPSHOTS,
)
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.reports import NO_SCORES, NOTHING, report_of
from tidemill.runtime.drift_metrics import count_drifts, show_drifts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidemill.contracts.metric import Metric
    from tidemill.kernel.processor import Task
    from tidemill.kernel.records import Emit
    from tidemill.kernel.reports import Corrections, Report
    from tidemill.runtime.observer import Committed

TOPIC = itemgetter(0)  # of messages and emissions alike
DIGEST_DIGITS = 16

# Counters that follow a task's own count.
_REPORTED = (
    (table.LEARNED, "learned"),
    (table.EXAMPLES, "examples"),
    (table.REPEATED, "repeated"),
    (table.FOREIGN_KEYS, "foreign_keys"),
)
# Counters by stream that follow its scores.
_SCORED = (
    (table.SCORED, "all", "labels"),
    (table.SCORED, "compared", "compared"),
    (table.SCORED, "with_region", "regions"),
    (table.SCORED, "covered", "covered"),
    (table.ERRORS, "champion", "error"),
    (table.ERRORS, "champion_compared", "compared_error"),
    (table.ERRORS, "naive", "naive_error"),
)


class WorkerMetrics:
    """Listens to one worker; read by another thread, the probes'.

    Counters only ever count what was committed. See `tidemill.runtime.observer.Observer` and
    `tidemill.runtime.probes.Health`.

    Args:
        processor: The processor's name.
        clock: Monotonic seconds, the worker's.
    """

    def __init__(self, processor: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._processor = processor
        self._clock = clock
        self._turned_at = self._committed_at = clock()
        self._assigned: frozenset[int] = frozenset()
        self._reports: dict[int, Report] = {}
        self._balance = 0
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        ProcessCollector(namespace="tidemill", registry=self._registry)
        for metric in table.METRICS:
            if not metric.name.startswith("tidemill_process_"):
                self._build(metric)
        self._gauge(table.LOOP_AGE).set_function(self.loop_age_s)
        self._gauge(table.STABLE_OFFSET_AGE).set_function(lambda: clock() - self._committed_at)

    def _build(self, metric: Metric) -> None:
        """Make a metric; closed label sets stand at 0 from the start, so that rates see them."""
        names = [label.name for label in metric.labels]
        given = (metric.name, metric.about, names)
        match metric.kind:
            case Kind.COUNTER:
                counter = self._counters[metric.name] = Counter(*given, registry=self._registry)
                for values in _closed_values(metric):
                    counter.labels(*values)
            case Kind.GAUGE:
                self._gauges[metric.name] = Gauge(*given, registry=self._registry)
            case Kind.HISTOGRAM:
                self._histograms[metric.name] = Histogram(
                    *given, registry=self._registry, buckets=metric.buckets
                )

    def _counter(self, metric: Metric) -> Counter:
        return self._counters[metric.name]

    def _gauge(self, metric: Metric) -> Gauge:
        return self._gauges[metric.name]

    def turned(self, now: float) -> None:
        """Note that the loop turned."""
        self._turned_at = now

    def worked(self) -> None:
        """Note that something long goes on: the loop has not turned, and does not hang."""
        self._turned_at = self._clock()

    def assigned(self, partitions: Sequence[int]) -> None:
        """Forget what was told of partitions that may be another worker's now."""
        self._assigned = frozenset(partitions)
        self._gauge(table.ASSIGNED).set(len(partitions))
        self._gauge(table.LAG_RECORDS).clear()
        self._gauge(table.LAG_SECONDS).clear()
        self._forget_tasks()

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        """Note what a restore took; what it folded again does not count as done."""
        report = report_of(task)
        self._reports[partition] = report
        self._histograms[table.RESTORE_SECONDS.name].observe(seconds)
        self._counter(table.REFOLDED).inc(report.refolded)
        for refused in report.refused:
            self._counter(table.REFUSED).labels(refused.kind.value).inc()
        self._gauge(table.BUILD).labels(
            self._processor,
            version_of("tidemill"),
            report.code.hex()[:DIGEST_DIGITS],
            report.arithmetic.hex()[:DIGEST_DIGITS],
        ).set(1)
        self._show_tasks()

    def committed(self, done: Committed) -> None:
        """Count what a transaction did."""
        self._committed_at = done.finished
        self._counter(table.TRANSACTIONS).inc()
        self._histograms[table.TRANSACTION_SECONDS.name].observe(done.seconds)
        applied = Tally(map(TOPIC, done.records))
        written = Tally(map(TOPIC, done.emits))
        for topic, count in applied.items():
            self._counter(table.RECORDS).labels(topic).inc(count)
        self._counter(table.PREDICTIONS).inc(written[PREDICTIONS])
        self._count_emits(done.emits, written)
        if not written[DRIFT_LEDGER]:  # who watches for drift reads events, and predicts nothing
            self._balance += applied[EVENTS] - written[PREDICTIONS] - written[EVENTS + SUFFIX]
        self._gauge(table.BALANCE).set(self._balance)
        for partition, task in done.tasks.items():
            self._count_reported(partition, report_of(task))
        self._show_tasks()

    def aborted(self, reason: str) -> None:
        """Count an abort; all state is being rebuilt."""
        known = reason if reason in table.ABORT_REASONS else table.OTHER
        self._counter(table.ABORTS).labels(known).inc()
        self._forget_tasks()

    def lagging(self, topic: str, partition: int, *, records: int, position_age_s: float) -> None:
        """Show how far a partition lags."""
        self._gauge(table.LAG_RECORDS).labels(topic, partition).set(records)
        if not math.isnan(position_age_s):
            self._gauge(table.LAG_SECONDS).labels(topic, partition).set(position_age_s)

    def hindered(self, partition: int, why: str, error: Exception | None = None) -> None:  # noqa: ARG002 - the logs tell the rest
        """Count work that raised what nobody expected."""
        if error is not None:
            self._counter(corrected.CORRECTIONS_FAILED).inc()

    def away(self, why: str) -> None:
        """Count nothing: the logs tell it."""

    def back(self, seconds: float) -> None:
        """Count nothing."""

    def loop_age_s(self) -> float:
        """Return the seconds since the loop last turned."""
        return self._clock() - self._turned_at

    def not_ready(self) -> str:
        """Return why this worker is not ready; empty if it is."""
        if not self._assigned:
            return "no partition is assigned"
        missing = sorted(p for p in self._assigned if p not in self._reports)
        return f"partitions {missing} are being restored" if missing else ""

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _count_emits(self, emits: Sequence[Emit], written: Tally[str]) -> None:
        """Look at single emissions only where there are some to look at."""
        for topic in (SNAPSHOTS, ANCHORS, EXPLAINER_SNAPSHOTS, DRIFT_SNAPSHOTS):
            if written[topic]:
                size = sum(len(emit.value or b"") for emit in emits if emit.topic == topic)
                self._counter(table.SNAPSHOT_BYTES).labels(topic).inc(size)
        if any(topic.endswith(SUFFIX) for topic in written):
            for emit in emits:
                if emit.topic.endswith(SUFFIX):
                    reason = dict(emit.headers)[REASON_HEADER].decode()
                    source = emit.topic.removesuffix(SUFFIX)
                    self._counter(table.DEAD_LETTERS).labels(source, reason).inc()

    def _count_reported(self, partition: int, report: Report) -> None:
        before = self._reports.get(partition, NOTHING)
        for metric, name in _REPORTED:
            self._counter(metric).inc(getattr(report, name) - getattr(before, name))
        self._count_corrections(before.corrections, report.corrections)
        count_drifts(self._counters, before.drifts, report.drifts)
        for flag, count in report.flags.items():
            self._counter(table.FLAGS).labels(flag).inc(count - before.flags.get(flag, 0))
        for metric, now, then_by in (
            (table.LABELLED, report.labelled, before.labelled),
            (table.KEPT, report.kept, before.kept),
        ):
            for result, count in now.items():
                self._counter(metric).labels(result).inc(count - then_by.get(result, 0))
        for is_exact, count in report.explained.items():
            more = count - before.explained.get(is_exact, 0)
            self._counter(table.EXPLANATIONS).labels(str(is_exact).lower()).inc(more)
        for stream, scores in report.scores.items():
            then = before.scores.get(stream, NO_SCORES)
            for metric, value, name in _SCORED:
                more = getattr(scores, name) - getattr(then, name)
                self._counter(metric).labels(stream, value).inc(more)
        self._reports[partition] = report

    def _count_corrections(self, before: Corrections, now: Corrections) -> None:
        total = self._counter(corrected.CORRECTIONS)
        total.labels("refolded").inc(now.done - before.done)
        for why, count in now.compensated.items():
            more = count - before.compensated.get(why, 0)
            total.labels("compensated").inc(more)
            self._counter(corrected.COMPENSATED).labels(why).inc(more)
        self._counter(corrected.CORRECTION_SECONDS).inc(max(0.0, now.seconds - before.seconds))

    def _forget_tasks(self) -> None:
        self._reports.clear()
        self._show_tasks()

    def _show_tasks(self) -> None:
        reports = self._reports.values()
        self._gauge(table.RESTORED).set(len(reports))
        self._gauge(table.MODELS).set(sum(report.models for report in reports))
        for topic in (PREDICTIONS, LABELS):
            held = sum(report.waiting.get(topic, 0) for report in reports)
            self._gauge(table.WAITING).labels(topic).set(held)
        self._gauge(table.MODELS_AT_BUDGET).set(sum(report.at_budget for report in reports))
        waiting = sum(report.corrections.waiting for report in reports)
        self._gauge(corrected.CORRECTIONS_WAITING).set(waiting)
        show_drifts(self._gauges, [report.drifts for report in reports])
        held = max((report.corrections.held for report in reports), default=0)
        self._gauge(corrected.CORRECTIONS_HELD).set(held)


def _closed_values(metric: Metric) -> Iterator[tuple[str, ...]]:
    """Yield the label values of a metric that has labels, each with a closed set."""
    match metric.labels:
        case (label,):
            yield from ((value,) for value in label.values)
        case (first, second):
            yield from ((one, other) for one in first.values for other in second.values)

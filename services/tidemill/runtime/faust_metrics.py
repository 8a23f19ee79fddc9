"""Metrics and health of a worker of the control plane; read by another thread, the probes'."""

from __future__ import annotations

import time
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from tidemill.contracts import alert_metrics as alerts
from tidemill.contracts import feedback_metrics as own
from tidemill.contracts import metrics as table
from tidemill.contracts.codec import codec
from tidemill.contracts.metric import Kind
from tidemill.contracts.topics import ALARMS, RECEIPTS, UPDATES
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faust.types import TP

    from tidemill.contracts.metric import Metric
    from tidemill.kernel.deciding import Handled
    from tidemill.kernel.records import Emit, Message
    from tidemill.runtime.webhook_post import Answer

# What a worker of the control plane shows; the others of the table are the data plane's.
SHOWN = (
    table.BUILD,
    table.RECORDS,
    table.DEAD_LETTERS,
    own.RECEIPTS,
    own.UPDATES,
    own.REPEATED,
    own.QUARANTINES,
    *alerts.ALERT_METRICS,
    own.DECISIONS_KEPT,
    table.LAG_RECORDS,
    table.LOOP_AGE,
    table.ASSIGNED,
    table.RESTORED,
)


class ControlMetrics:
    """Listens to one worker; see `ControlObserver` and `tidemill.runtime.probes.Health`.

    Args:
        processor: The processor's name.
        kept: Under which name it is shown how much is remembered.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        processor: str,
        *,
        kept: Metric = own.DECISIONS_KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept = kept
        self._clock = clock
        self._turned_at = clock()
        self._assigned: frozenset[int] = frozenset()
        self._remembered: dict[int, int] = {}
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        ProcessCollector(namespace="tidemill", registry=self._registry)
        for metric in SHOWN:
            self._build(metric)
        self._gauge(table.LOOP_AGE).set_function(self.loop_age_s)
        self._gauge(table.BUILD).labels(processor, version_of("tidemill"), "", "").set(1)

    def _build(self, metric: Metric) -> None:
        given = (metric.name, metric.about, [label.name for label in metric.labels])
        if metric.kind is Kind.COUNTER:
            counter = self._counters[metric.name] = Counter(*given, registry=self._registry)
            if len(metric.labels) == 1:
                for value in metric.labels[0].values:
                    counter.labels(value)
        else:
            self._gauges[metric.name] = Gauge(*given, registry=self._registry)

    def _counter(self, metric: Metric) -> Counter:
        return self._counters[metric.name]

    def _gauge(self, metric: Metric) -> Gauge:
        return self._gauges[metric.name]

    def turned(self, now: float) -> None:
        """Note that the loop turned."""
        self._turned_at = now

    def assigned(self, partitions: Sequence[int]) -> None:
        """Forget what was told of partitions that may be another worker's now."""
        self._assigned = frozenset(partitions)
        self._remembered.clear()
        self._gauge(table.ASSIGNED).set(len(partitions))
        self._gauge(table.LAG_RECORDS).clear()
        self._show()

    def restored(self, partition: int, remembered: int, _: float) -> None:
        """Note that a partition's decisions are at hand."""
        self._remembered[partition] = remembered
        self._show()

    def mended(self, partition: int, entries: int) -> None:
        """Count nothing: the logs tell it."""

    def handled(self, message: Message, handled: Handled, remembered: int) -> None:
        """Count what was written; what a record causes again is counted once."""
        self._counter(table.RECORDS).labels(message.topic).inc()
        self._remembered[message.partition] = remembered
        self._show()
        self._counter(own.QUARANTINES).inc(bool(handled.alarm))
        if handled.is_repeated:
            self._counter(own.REPEATED).inc()
            return
        for emit in handled.emits:
            self._count(message.topic, emit)

    def _count(self, source: str, emit: Emit) -> None:
        if emit.topic.endswith(SUFFIX):
            reason = dict(emit.headers)[REASON_HEADER].decode()
            self._counter(table.DEAD_LETTERS).labels(source, reason).inc()
        elif emit.topic == RECEIPTS:
            status = codec("Receipt").decode(emit.value)["status"]
            self._counter(own.RECEIPTS).labels(status).inc()
        elif emit.topic == UPDATES:
            kind = codec("Update").decode(emit.value)["kind"]
            self._counter(own.UPDATES).labels(kind).inc()
        elif emit.topic == ALARMS:
            alarm = codec("Alarm").decode(emit.value)
            self._counter(alerts.ALARMS).labels(alarm["kind"], alarm["state"]).inc()

    def posted(self, answer: Answer, _: str) -> None:
        """Count what became of a request."""
        self._counter(alerts.POSTS).labels(answer.name.lower()).inc()

    def noted(self, tp: TP, records: int, remembered: int) -> None:
        """Count records that nothing is told of."""
        self._counter(table.RECORDS).labels(tp.topic).inc(records)
        self._remembered[tp.partition] = remembered
        self._show()

    def lagging(self, topic: str, partition: int, records: int) -> None:
        """Show how far a partition lags."""
        self._gauge(table.LAG_RECORDS).labels(topic, partition).set(records)

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
        missing = sorted(self._assigned - self._remembered.keys())
        return f"partitions {missing} are being restored" if missing else ""

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _show(self) -> None:
        self._gauge(table.RESTORED).set(len(self._remembered))
        self._gauge(self._kept).set(sum(self._remembered.values()))

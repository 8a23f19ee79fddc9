"""Logs: JSON lines on stderr, one per change of state; for people where a terminal listens."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

import structlog

from tidemill.kernel.errors import MeshError
from tidemill.kernel.reports import NONE_COMPENSATED, WhyCompensated, report_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger, Processor

    from tidemill.kernel.processor import Task
    from tidemill.kernel.reports import Corrections
    from tidemill.runtime.observer import Committed, Observer

DEAD_LETTERS_EVERY_S = 10.0
REFUSED_SHOWN = 10


def configure_logs(stream: TextIO | None = None) -> None:
    """Send logs to `stream`, stderr by default: lines for people on a terminal, else JSON."""
    out = stream or sys.stderr
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(repr_native_str=True)]
        if out.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def log_halt(error: BaseException) -> None:
    """Say what a service halted on; with the way there unless it is one of our own errors."""
    logger: FilteringBoundLogger = structlog.get_logger()
    way = None if isinstance(error, MeshError) else error
    logger.error("halted", error=type(error).__name__, reason=str(error), exc_info=way)


class LoggingObserver:
    """Logs what a worker tells; see `tidemill.runtime.observer.Observer`.

    Args:
        processor: The processor's name.
        instance: The worker's name.
    """

    def __init__(self, processor: str, instance: str) -> None:
        self._log: FilteringBoundLogger = structlog.get_logger(
            processor=processor, instance=instance
        )
        self._oversized: dict[int, int] = {}
        self._dead: dict[int, int] = {}
        self._compensated: dict[int, Mapping[str, int]] = {}
        self._crowded: dict[int, str] = {}
        self._unsaid = 0
        self._silent_until = 0.0

    def started(self, *, plant: str, probes: str) -> None:
        """Say what runs, and where its probes are."""
        self._log.info("started", plant=plant, probes=probes)

    def needless(self, why: str) -> None:
        """Say that there is nothing to do for this processor."""
        self._log.info("nothing to do", why=why)

    def turned(self, now: float) -> None:
        """Say nothing."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """Say which partitions are ours."""
        if partitions:
            self._log.info("assigned", partitions=list(partitions))
        else:
            self._log.info("unassigned")

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        """Say what a restore took, and which snapshots it did not accept."""
        report = report_of(task)
        self._oversized[partition] = 0
        self._dead[partition] = report.dead
        self._compensated[partition] = report.corrections.compensated
        for position, reason, _ in report.refused[:REFUSED_SHOWN]:
            self._log.warning("snapshot refused", position=position, reason=reason)
        for model in report.replaced:
            self._log.warning("model replaced", partition=partition, model=model)
        self._log.info(
            "restored",
            partition=partition,
            seconds=round(seconds, 3),
            refolded=report.refolded,
            models=report.models,
            snapshots_refused=len(report.refused),
        )

    def committed(self, done: Committed) -> None:
        """Say which models met their budget; of dead letters, one line every ten seconds."""
        last_dead = ""
        for partition, task in done.tasks.items():
            report = report_of(task)
            for model in report.oversized[self._oversized.get(partition, 0) :]:
                self._log.error("oversized", partition=partition, model=model)
            self._oversized[partition] = len(report.oversized)
            fresh = report.dead - self._dead.get(partition, 0)
            self._dead[partition] = report.dead
            self._unsaid += fresh
            last_dead = report.last_dead if fresh else last_dead
            self._say_compensated(partition, report.corrections)
            self._say_crowded(partition, report.corrections)
        if last_dead and done.finished >= self._silent_until:
            self._log.warning("dead letters", count=self._unsaid, last=last_dead)
            self._unsaid = 0
            self._silent_until = done.finished + DEAD_LETTERS_EVERY_S

    def _say_compensated(self, partition: int, now: Corrections) -> None:
        """Say once for each transaction which corrections no re-fold has made; errors loudly."""
        then = self._compensated.get(partition, NONE_COMPENSATED)
        fresh = {why: n - then.get(why, 0) for why, n in now.compensated.items()}
        self._compensated[partition] = now.compensated
        if any(fresh.values()):
            is_error = fresh.get(WhyCompensated.ERROR, 0) > 0
            say = self._log.error if is_error else self._log.warning
            say(
                "compensated",
                partition=partition,
                count=sum(fresh.values()),
                last=now.last_compensated,
            )

    def _say_crowded(self, partition: int, now: Corrections) -> None:
        """Say once of a model that there is hardly room for another correction."""
        if now.crowded and now.crowded != self._crowded.get(partition):
            self._log.warning("crowded", partition=partition, model=now.crowded, held=now.held)
        self._crowded[partition] = now.crowded

    def aborted(self, reason: str) -> None:
        """Say that a transaction was aborted."""
        self._log.warning("aborted", reason=reason)

    def lagging(self, topic: str, partition: int, *, records: int, position_age_s: float) -> None:
        """Say nothing."""

    def hindered(self, partition: int, why: str, error: Exception | None = None) -> None:
        """Say that a correction cannot be worked on; with the way there if nobody expected it."""
        if error is None:
            self._log.warning("corrections wait", partition=partition, why=why)
        else:
            self._log.error("correction failed", partition=partition, why=why, exc_info=error)

    def away(self, why: str) -> None:
        """Say that the worker waits for the cluster, or for what it says itself that is away."""
        is_kafkas = " " not in why  # its reasons are names
        self._log.warning("broker away, waiting" if is_kafkas else "waiting", why=why)

    def back(self, seconds: float) -> None:
        """Say that the waiting is over."""
        self._log.info("back", seconds=round(seconds, 1))


class Observers:
    """Tells several observers, in order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def turned(self, now: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.turned(now)

    def assigned(self, partitions: Sequence[int]) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.assigned(partitions)

    def restored(self, partition: int, task: Task, seconds: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.restored(partition, task, seconds)

    def committed(self, done: Committed) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.committed(done)

    def aborted(self, reason: str) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.aborted(reason)

    def lagging(self, topic: str, partition: int, *, records: int, position_age_s: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.lagging(topic, partition, records=records, position_age_s=position_age_s)

    def hindered(self, partition: int, why: str, error: Exception | None = None) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.hindered(partition, why, error)

    def away(self, why: str) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.away(why)

    def back(self, seconds: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.back(seconds)

"""What a worker of the control plane logs, and what of Faust's own logs is passed on."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.runtime.webhook_post import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faust.types import TP
    from structlog.typing import FilteringBoundLogger

    from tidemill.kernel.deciding import Handled
    from tidemill.kernel.records import Message

DEAD_LETTERS_EVERY_S = 10.0
LIBRARY_EVERY_S = 10.0
LIBRARIES = ("faust", "mode", "aiokafka", "tidemill.runtime.faust_driver")


class Passing(logging.Handler):
    """Passes warnings of libraries on, of each part of one at most a line every ten seconds.

    Args:
        log: Is written to.
        clock: Monotonic seconds.
    """

    def __init__(self, log: FilteringBoundLogger, clock: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what a library says; what it halts on is logged by ourselves."""
        name, now = record.name, self._clock()
        if now < self._silent_until.get(name, now):
            self._unsaid[name] += 1
            return
        self._silent_until[name] = now + LIBRARY_EVERY_S
        unsaid = self._unsaid.pop(name, 0)
        self._log.warning("library", name=name, says=record.getMessage(), unsaid=unsaid)


class ControlLogs:
    """Logs what a worker tells; see `tidemill.runtime.faust_observer.ControlObserver`.

    Args:
        processor: The processor's name.
        instance: The worker's name.
        clock: Monotonic seconds.
    """

    def __init__(
        self, processor: str, instance: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log: FilteringBoundLogger = structlog.get_logger(
            processor=processor, instance=instance
        )
        self._clock = clock
        self._unsaid = 0
        self._silent_until = 0.0
        self._is_away = False
        passing = Passing(self._log, clock)
        for name in LIBRARIES:
            library = logging.getLogger(name)
            library.handlers = [passing]
            library.propagate = False

    def started(self, *, plant: str, probes: str) -> None:
        """Say what runs, and where its probes are."""
        self._log.info("started", plant=plant, probes=probes)

    def turned(self, now: float) -> None:
        """Say nothing."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """Say which partitions are ours."""
        if partitions:
            self._log.info("assigned", partitions=list(partitions))
        else:
            self._log.info("unassigned")

    def restored(self, partition: int, remembered: int, seconds: float) -> None:
        """Say that a partition's decisions are at hand."""
        self._log.info(
            "restored", partition=partition, remembered=remembered, seconds=round(seconds, 3)
        )

    def mended(self, partition: int, entries: int) -> None:
        """Say that Faust's table had to be mended."""
        self._log.warning("table mended from its topic", partition=partition, entries=entries)

    def handled(self, message: Message, handled: Handled, _: int) -> None:
        """Say what people must hear of; of dead letters, one line every ten seconds."""
        if handled.alarm:
            self._log.error("quarantined", position=str(message.position), why=handled.alarm)
        dead = [emit for emit in handled.emits if emit.topic.endswith(SUFFIX)]
        self._unsaid += len(dead)
        now = self._clock()
        if dead and now >= self._silent_until:
            reason = dict(dead[-1].headers)[REASON_HEADER].decode()
            last = f"{message.position}: {reason}"
            self._log.warning("dead letters", count=self._unsaid, last=last)
            self._unsaid = 0
            self._silent_until = now + DEAD_LETTERS_EVERY_S

    def posted(self, answer: Answer, why: str) -> None:
        """Say that the webhook does not take what it is sent, and when it does again."""
        if answer is Answer.REFUSED:
            self._log.error("webhook refuses an alarm, it is passed over", why=why)
            return
        if answer is Answer.PASSED_OVER:
            self._log.error("webhook fails on an alarm again and again, it is passed over", why=why)
            return
        is_away = answer is not Answer.TAKEN
        if self._is_away != is_away:
            self._is_away = is_away
            if self._is_away:
                self._log.warning("webhook away, alarms wait", why=why)
            else:
                self._log.info("webhook back")

    def noted(self, tp: TP, records: int, remembered: int) -> None:
        """Say nothing."""

    def lagging(self, topic: str, partition: int, records: int) -> None:
        """Say nothing."""

    def away(self, why: str) -> None:
        """Say that the worker waits for the cluster."""
        self._log.warning("broker away, waiting", why=why)

    def back(self, seconds: float) -> None:
        """Say that the waiting is over."""
        self._log.info("back", seconds=round(seconds, 1))

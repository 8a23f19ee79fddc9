"""One worker as a process: its loop, its probes, its orderly end."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tidemill.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tidemill.kernel.processor import TaskFactory
    from tidemill.runtime.clients import KafkaClients
    from tidemill.runtime.observer import Observer
    from tidemill.runtime.worker import WorkerSettings


class StopRequested(BaseException):
    """SIGTERM or SIGINT came while a call was waiting for the world."""


class Stop:
    """Remembers that the process was asked to end."""

    def __init__(self) -> None:
        self.is_requested = False

    def __call__(self, _: int, __: FrameType | None) -> None:
        """Take the signal."""
        self.is_requested = True

    def check(self) -> None:
        """Leave a wait at once if asked to; an open transaction is the next start's to abort."""
        if self.is_requested:
            raise StopRequested


def serve(
    factory: TaskFactory,
    clients: KafkaClients,
    settings: WorkerSettings,
    *,
    observer: Observer,
    until_idle_s: float | None,
    halted: Callable[[BaseException], None],
) -> None:
    """Run a worker until SIGTERM, until idle, or until it halts.

    Args:
        until_idle_s: End after so many seconds without input; None means never.
        halted: Told what the worker halted on, before it is raised.
    """
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        worker = Worker(
            factory,
            clients,
            settings,
            clock=time.monotonic,
            observer=observer,
            failures=clients.failures.take,
            waiting=stop.check,
        )
        while not stop.is_requested:
            worker.step()
            if until_idle_s is not None and worker.idle_s() >= until_idle_s:
                break
        worker.close()
    except StopRequested:
        return
    except Exception as error:  # whatever it is, it is told, then raised
        halted(error)
        raise

"""A processor that a plant has no work for: alive and ready until it is asked to end."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tidemill.runtime.probes import serve_probes
from tidemill.runtime.service import Stop

if TYPE_CHECKING:
    from tidemill.runtime.metrics import WorkerMetrics

TURN_S = 0.2


class _Idle:
    """What probes see of it."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def loop_age_s(self) -> float:
        """Return how long ago the loop turned."""
        return self._metrics.loop_age_s()

    def not_ready(self) -> str:
        """Say that it is ready: whatever runs processes shall leave it alone."""
        return ""

    def exposition(self) -> bytes:
        """Return the metrics of a worker that has nothing."""
        return self._metrics.exposition()


def stand_by(
    metrics: WorkerMetrics, *, host: str, port: int, until_idle_s: float | None = None
) -> None:
    """Serve probes and do nothing, until SIGTERM, or for so long as work would be waited for."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    begun = time.monotonic()
    with serve_probes(_Idle(metrics), host=host, port=port):
        while not stop.is_requested:
            now = time.monotonic()
            metrics.turned(now)
            if until_idle_s is not None and now - begun >= until_idle_s:
                return
            time.sleep(TURN_S)

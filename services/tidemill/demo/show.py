"""The demo itself: send, watch, kill a worker, and hold the promise at the end."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from tidemill.demo.mesh import WORKERS, Mesh
from tidemill.demo.screen import Lines, Screen, balance_sheet
from tidemill.demo.simulator import DRIFTING, Simulator
from tidemill.demo.tally import Tally
from tidemill.demo.watching import Watcher
from tidemill.runtime.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DRAIN_WITHIN_S = 60.0
TURN_S = 0.05


class Show:
    """One run of the demo.

    Args:
        seconds: How long events are sent; None means until Ctrl-C.
        rate: Events per second.
        seed: Of the simulated plant.
    """

    def __init__(self, directory: Path, *, seconds: float | None, rate: float, seed: int) -> None:
        self._seconds = seconds
        self._rate = rate
        self._mesh = Mesh(directory)
        self._tally = Tally()
        self._console = Console(stderr=True)
        self._is_stopping = False
        length = seconds or 60.0
        self._kill_at = 0.4 * length
        self._drift_at_s = 0.6 * length
        drift_at = int(self._drift_at_s * rate)
        self._simulator = Simulator(
            seed, self._mesh.schema_id, drift_at=drift_at, step_us=int(1e6 / rate)
        )

    def run(self) -> int:
        """Return 0 if the balance holds and a replay of everything differs in nothing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            self._console.print("Starting Kafka, topics and two learners ...")
            self._mesh.start()
            self._mesh.await_workers()
            self._send_and_watch()
            return self._settle()
        finally:
            self._mesh.close()

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    def _send_and_watch(self) -> None:
        sender = Sender(self._mesh.broker.bootstrap, {})
        watcher = Watcher(self._mesh.broker.bootstrap, self._tally)
        started = time.monotonic()
        readings = self._simulator.readings()
        try:
            with self._screen() as show:
                while not self._is_over(elapsed := time.monotonic() - started):
                    while self._tally.sent < elapsed * self._rate:
                        reading = next(readings)
                        sender.send("sensor.events", key=reading.asset, value=reading.value)
                        self._tally.note_sent(reading)
                    self._happen(elapsed)
                    watcher.poll(TURN_S)
                    show(elapsed)
                sender.finish()
                self._drain(watcher)
                show(time.monotonic() - started)
        finally:
            watcher.close()

    def _is_over(self, elapsed: float) -> bool:
        return self._is_stopping or (self._seconds is not None and elapsed >= self._seconds)

    def _happen(self, elapsed: float) -> None:
        """Let happen what is due: the kill, the drift."""
        self._mesh.check_workers()
        if self._kill_at <= elapsed:
            self._kill_at = float("inf")
            self._mesh.kill_worker(WORKERS[0])
            self._mesh.start_worker(WORKERS[0])
            self._tally.notes.append(f"{elapsed:.0f} s: kill -9 of a learner; started again")
        if self._drift_at_s <= elapsed:
            self._drift_at_s = float("inf")
            self._tally.notes.append(f"{elapsed:.0f} s: {DRIFTING} begins to drift")

    def _drain(self, watcher: Watcher) -> None:
        """Wait until every event has its answer."""
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while self._tally.open > 0 and time.monotonic() < deadline:
            self._mesh.check_workers()
            watcher.poll(TURN_S)

    @contextmanager
    def _screen(self) -> Iterator[Callable[[float], None]]:
        if not self._console.is_terminal:
            yield Lines(self._console, self._tally)
            return
        with Live(console=self._console, auto_refresh=False) as live:
            yield Screen(live, self._tally)

    def _settle(self) -> int:
        """Print the balance, replay everything, and return the exit code."""
        self._mesh.stop()
        print(balance_sheet(self._tally))  # noqa: T201 - a command's answer
        self._console.print("Replaying everything from the topics ...")
        code, said = self._mesh.replay()
        print(said)  # noqa: T201 - a command's answer
        return 0 if self._tally.is_balanced and code == 0 else 1

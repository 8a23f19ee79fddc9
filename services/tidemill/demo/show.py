"""The demo itself: send, watch, kill a worker, and hold the promise at the end."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from tidemill.contracts.targets import LabelTarget
from tidemill.demo.feeding import Feed
from tidemill.demo.happenings import Timeline
from tidemill.demo.joining import Joiner
from tidemill.demo.mesh import EXPLAINER, LEARNERS, Mesh
from tidemill.demo.reasons import ExplanationTally
from tidemill.demo.scores import SCORES
from tidemill.demo.screen import Lines, Screen, balance_sheet, scores_table
from tidemill.demo.tally import Tally
from tidemill.demo.truths import truths_of
from tidemill.demo.watching import Watcher
from tidemill.fold.plans import plan_problems
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tidemill.demo.scenario import Planted, Scenario

DRAIN_WITHIN_S = 120.0
TURN_S = 0.05
# Where no end is given, what is planted comes as in a demo of this length.
USUAL_LENGTH_S = 60.0
FAULT_FROM, FAULT_TO, KILL_AT, KILL_EXPLAINER_AT, DRIFT_AT = 0.2, 0.3, 0.4, 0.5, 0.6


class Show:
    """One run of the demo.

    Args:
        seconds: How long events are sent; None means until Ctrl-C.
        rate: Events per second.
        seed: Of the simulated plant.

    Raises:
        ConfigError: The scenario's definition needs what this version has not.
    """

    def __init__(
        self,
        directory: Path,
        scenario: Scenario,
        *,
        seconds: float | None,
        rate: float,
        seed: int,
    ) -> None:
        self._scenario = scenario
        self._plant = scenario.read()
        problems = plan_problems(self._plant.definition)
        if problems:
            raise ConfigError(problems)
        self._seconds = seconds
        self._rate = rate
        self._mesh = Mesh(directory, scenario, self._plant.definition.plant)
        (self._stream,) = self._plant.definition.streams
        is_explained = self._stream.explanations.which == "all"
        self._tally = Tally(
            SCORES[self._stream.kind],
            truths_of(self._stream),
            ExplanationTally() if is_explained else None,
        )
        self._console = Console(stderr=True)
        self._is_stopping = False
        length_s = seconds or USUAL_LENGTH_S
        self._due = self._acts(length_s)
        readings = rate * length_s
        timeline = Timeline(
            drift_at=int(DRIFT_AT * readings),
            fault_from=int(FAULT_FROM * readings),
            fault_to=int(FAULT_TO * readings),
            step_us=scenario.step_us(rate),
        )
        self._happenings = scenario.simulate(seed, timeline)

    def run(self) -> int:
        """Return 0 if the balance holds and a replay of everything differs in nothing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            self._console.print("Starting Kafka, topics, two learners and an explainer ...")
            self._mesh.start()
            self._mesh.await_workers()
            self._send_and_watch()
            return self._settle()
        finally:
            self._mesh.close()

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    def _acts(self, length_s: float) -> list[tuple[float, Callable[[], str]]]:
        """Return what happens when, in order, each with what is then noted."""
        fault, drift = self._scenario.fault, self._scenario.drift
        acts: list[tuple[float, Callable[[], str]]] = [
            (KILL_AT * length_s, lambda: self._kill(LEARNERS[0], "a learner")),
            (KILL_EXPLAINER_AT * length_s, lambda: self._kill(EXPLAINER, "the explainer")),
            (DRIFT_AT * length_s, _noted(drift)),
        ]
        if fault is not None:
            acts.append((FAULT_FROM * length_s, _noted(fault)))
            acts.append((FAULT_TO * length_s, lambda: f"{fault.asset} is mended"))
        return sorted(acts, key=lambda act: act[0])

    def _kill(self, worker: str, what: str) -> str:
        self._mesh.kill_worker(worker)
        self._mesh.start_worker(worker)
        return f"kill -9 of {what}; started again"

    def _send_and_watch(self) -> None:
        bootstrap = self._mesh.broker.bootstrap
        sender = Sender(bootstrap, {})
        joiner = self._joiner(sender)
        feed = Feed(self._plant, sender, self._tally, joiner)
        watcher = Watcher(bootstrap, self._plant.definition.partitions, self._tally, joiner)
        started = time.monotonic()
        try:
            with self._screen() as show:
                while not self._is_over(elapsed := time.monotonic() - started):
                    feed.send_until(elapsed * self._rate, self._happenings)
                    self._happen(elapsed)
                    watcher.poll(TURN_S)
                    show(elapsed)
                if self._seconds is not None and not self._is_stopping:
                    self._happen(self._seconds)  # also where the machine stood still meanwhile
                for _ in self._drain(sender, watcher):
                    show(time.monotonic() - started)
        finally:
            watcher.close()

    def _joiner(self, sender: Sender) -> Joiner | None:
        target = self._stream.target
        if not isinstance(target, LabelTarget):
            return None
        return Joiner(self._stream, target.ttl_s, self._tally, sender.send)

    def _is_over(self, elapsed: float) -> bool:
        return self._is_stopping or (self._seconds is not None and elapsed >= self._seconds)

    def _happen(self, elapsed: float) -> None:
        """Let happen what is due."""
        self._mesh.check_workers()
        while self._due and self._due[0][0] <= elapsed:
            _, act = self._due.pop(0)
            self._tally.notes.append(f"{elapsed:.0f} s: {act()}")

    def _drain(self, sender: Sender, watcher: Watcher) -> Iterator[None]:
        """Wait until every event has its answer and why, every label is learned or turned away.

        Gives up where nothing comes for two minutes.
        """
        sender.finish()
        progress, deadline = self._tally.progress, time.monotonic() + DRAIN_WITHIN_S
        while not self._tally.is_settled and time.monotonic() < deadline:
            self._mesh.check_workers()
            watcher.poll(TURN_S)
            sender.finish()
            if self._tally.progress != progress:
                progress, deadline = self._tally.progress, time.monotonic() + DRAIN_WITHIN_S
            yield
        yield

    @contextmanager
    def _screen(self) -> Iterator[Callable[[float], None]]:
        if not self._console.is_terminal:
            yield Lines(self._console, self._tally)
            self._console.print(scores_table(self._scenario, self._tally))
            return
        with Live(console=self._console, auto_refresh=False) as live:
            yield Screen(live, self._scenario, self._tally)

    def _settle(self) -> int:
        """Print the balance, replay everything, and return the exit code."""
        self._mesh.stop()
        print(balance_sheet(self._tally))  # noqa: T201 - a command's answer
        self._console.print("Replaying everything from the topics ...")
        code, said = self._mesh.replay()
        print(said)  # noqa: T201 - a command's answer
        return 0 if self._tally.is_balanced and code == 0 else 1


def _noted(planted: Planted) -> Callable[[], str]:
    return lambda: f"{planted.asset} {planted.what}"

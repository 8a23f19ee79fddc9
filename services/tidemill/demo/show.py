"""The demo itself: send, watch, kill workers, and hold the promise at the end."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from tidemill.contracts.targets import LabelTarget
from tidemill.demo.attending import Attendant
from tidemill.demo.feeding import Feed, LooseFeed
from tidemill.demo.happenings import DAY_US, Timeline
from tidemill.demo.mesh import ALERTS, DRIFT, EXPLAINER, FEEDBACK, LABELLER, LEARNERS, Mesh
from tidemill.demo.operators import Operators
from tidemill.demo.questions import QuestionTally
from tidemill.demo.reasons import ExplanationTally
from tidemill.demo.scores import SCORES
from tidemill.demo.screen import Lines, Screen, scores_table
from tidemill.demo.sheet import balance_sheet
from tidemill.demo.shortcut import FeedbackTally, receipt_text
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
FAULT_FROM, FAULT_TO, DRIFT_AT = 0.2, 0.3, 0.6
KILLS = (
    (0.25, DRIFT, "the drift processor"),
    (0.35, ALERTS, "the alerts processor"),
    (0.4, LEARNERS[0], "a learner"),
    (0.45, LABELLER, "the labeller"),
    (0.5, EXPLAINER, "the explainer"),
    (0.55, FEEDBACK, "the feedback processor"),
)
# The last one votes when the feedback processor was just killed.
VOTES_AT = (0.2, 0.23, 0.26, 0.56)
# Labels that waited in vain are given up once event time is twice their ttl ahead: readings of
# some days later end the wait, of each asset enough for two sound ones in its partition.
READINGS_LATER = 6
LATER_US = 3 * DAY_US


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
        (stream,) = self._plant.definition.streams
        self._has_labels = isinstance(stream.target, LabelTarget)
        has_work = {
            "labeller": self._has_labels,
            "feedback": scenario.shortcut is not None,
            "drift": scenario.loose is not None,
            "alerts": scenario.loose is not None,
        }
        awaited = [name for name, is_there in has_work.items() if is_there]
        self._mesh = Mesh(directory, scenario, self._plant.definition.plant, awaited)
        self._console = Console(stderr=True)
        self._is_stopping = False
        self._length_s = seconds or USUAL_LENGTH_S
        self._due = self._acts(self._length_s)
        readings = rate * self._length_s
        timeline = Timeline(
            drift_at=int(DRIFT_AT * readings),
            fault_from=int(FAULT_FROM * readings),
            fault_to=int(FAULT_TO * readings),
            step_us=scenario.step_us(rate),
        )
        self._happenings = scenario.simulate(seed, timeline)
        self._tally = Tally(
            SCORES[stream.kind],
            truths_of(stream),
            ExplanationTally() if stream.explanations.which == "all" else None,
            self._feedback(timeline),
            questions=None if scenario.loose is None else QuestionTally(scenario.loose),
        )
        self._operators: Operators | None = None
        self._attendant: Attendant | None = None

    def run(self) -> int:
        """Return 0 if the balance holds and a replay of everything differs in nothing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            self._console.print("Starting Kafka, topics and the processors ...")
            self._mesh.start()
            self._mesh.await_workers()
            self._send_and_watch()
            return self._settle()
        finally:
            self._mesh.close()

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    def _feedback(self, timeline: Timeline) -> FeedbackTally | None:
        shortcut = self._scenario.shortcut
        if shortcut is None:
            return None
        breaks_us = timeline.time_us(timeline.drift_at)
        return FeedbackTally(shortcut, breaks_us=breaks_us, apart=self._scenario.apart)

    def _acts(self, length_s: float) -> list[tuple[float, Callable[[], str]]]:
        """Return what happens when, in order, each with what is then noted."""
        fault, drift = self._scenario.fault, self._scenario.drift
        acts: list[tuple[float, Callable[[], str]]] = [
            (at * length_s, partial(self._kill, worker, what)) for at, worker, what in KILLS
        ]
        acts.append((DRIFT_AT * length_s, _noted(drift)))
        shortcut = self._scenario.shortcut
        if shortcut is not None:
            votes = zip(VOTES_AT, shortcut.actors, strict=True)
            acts += [(at * length_s, partial(self._vote, actor)) for at, actor in votes]
            acts.append((DRIFT_AT * length_s, lambda: shortcut.breaks))
        loose = self._scenario.loose
        if loose is not None:
            a_reading = length_s / loose.present
            acts.append((loose.begins * a_reading, lambda: f"{loose.asset} {loose.what}"))
            acts.append((loose.ends * a_reading, lambda: f"{loose.asset} is mended"))
        if fault is not None:
            acts.append((FAULT_FROM * length_s, _noted(fault)))
            acts.append((FAULT_TO * length_s, lambda: f"{fault.asset} is mended"))
        return sorted(acts, key=lambda act: act[0])

    def _kill(self, worker: str, what: str) -> str:
        self._mesh.kill_worker(worker)
        self._mesh.start_worker(worker)
        return f"kill -9 of {what}; started again"

    def _vote(self, actor: str) -> str:
        assert self._operators is not None
        return self._operators.vote(actor)

    def _send_and_watch(self) -> None:
        bootstrap = self._mesh.broker.bootstrap
        sender = Sender(bootstrap, {})
        self._staff(sender)
        feed = Feed(self._plant, sender, self._tally)
        others = self._other_feeds(sender)
        partitions = self._plant.definition.partitions
        watcher = Watcher(bootstrap, partitions, self._tally, has_labels=self._has_labels)
        try:
            self._await_past(watcher, others)
            started = time.monotonic()
            with self._screen() as show:
                while not self._is_over(elapsed := time.monotonic() - started):
                    feed.send_until(elapsed * self._rate, self._happenings)
                    for each in others:
                        each.send_until(elapsed)
                    self._happen(elapsed)
                    watcher.poll(TURN_S)
                    self._tell(elapsed)
                    show(elapsed)
                if self._seconds is not None and not self._is_stopping:
                    self._happen(self._seconds)  # also where the machine stood still meanwhile
                for each in others:
                    each.finish()
                if self._has_labels:
                    count = READINGS_LATER * len(self._tally.assets)
                    feed.send_later(count, self._happenings, LATER_US)
                for _ in self._drain(sender, watcher):
                    self._tell(elapsed := time.monotonic() - started)
                    show(elapsed)
        finally:
            watcher.close()

    def _staff(self, sender: Sender) -> None:
        """Have people at hand, where there is something to say."""
        feedback, questions = self._tally.feedback, self._tally.questions
        if feedback is not None:
            self._operators = Operators(sender, feedback)
        if feedback is not None and questions is not None:
            self._attendant = Attendant(sender, feedback, questions)

    def _other_feeds(self, sender: Sender) -> list[LooseFeed]:
        """Return what sends readings of assets beside those that are simulated at the rate."""
        loose = self._scenario.loose
        if loose is None:
            return []
        feed = Feed(self._plant, sender, self._tally)
        return [LooseFeed(feed, loose, self._length_s)]

    def _await_past(self, watcher: Watcher, others: list[LooseFeed]) -> None:
        """Send what is on record of before; wait until it is predicted, and alarms are told."""
        for each in others:
            each.send_until(0.0)
        progress, deadline = self._tally.progress, time.monotonic() + DRAIN_WITHIN_S
        while self._is_past_open() and not self._is_stopping and time.monotonic() < deadline:
            self._mesh.check_workers()
            watcher.poll(TURN_S)
            if self._tally.progress != progress:
                progress, deadline = self._tally.progress, time.monotonic() + DRAIN_WITHIN_S

    def _is_past_open(self) -> bool:
        questions, partitions = self._tally.questions, self._plant.definition.partitions
        is_attended = questions is None or len(questions.attended) == partitions
        return self._tally.open > 0 or not is_attended

    def _is_over(self, elapsed: float) -> bool:
        return self._is_stopping or (self._seconds is not None and elapsed >= self._seconds)

    def _happen(self, elapsed: float) -> None:
        """Let happen what is due."""
        self._mesh.check_workers()
        while self._due and self._due[0][0] <= elapsed:
            _, act = self._due.pop(0)
            self._tally.notes.append(f"{elapsed:.0f} s: {act()}")

    def _tell(self, elapsed: float) -> None:
        """Note the receipts that came, what was asked, and what is said of it."""
        feedback, questions, said = self._tally.feedback, self._tally.questions, []
        while feedback is not None and feedback.news:
            said.append(receipt_text(feedback.news.popleft()))
        while questions is not None and questions.news:
            said.append(questions.news.popleft())
        if self._attendant is not None:
            said += self._attendant.attend()
        self._tally.notes += [f"{elapsed:.0f} s: {text}" for text in said]

    def _drain(self, sender: Sender, watcher: Watcher) -> Iterator[None]:
        """Wait until it is known what became of every event, label and feedback.

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
        self._console.print("Replaying what was said of drift ...")
        again, said = self._mesh.replay("--drift")
        print(said)  # noqa: T201 - a command's answer
        return 0 if self._tally.is_balanced and code == again == 0 else 1


def _noted(planted: Planted) -> Callable[[], str]:
    return lambda: f"{planted.asset} {planted.what}"

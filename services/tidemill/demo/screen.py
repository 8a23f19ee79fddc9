"""The demo on a terminal: rates, errors beside the naive model's, last predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tidemill.demo.label_tally import outcome_text
from tidemill.demo.reasons import ranking_text, reason_text
from tidemill.demo.shortcut import receipt_text
from tidemill.demo.truths import NO_LABEL_YET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.live import Live

    from tidemill.demo.cases import Case
    from tidemill.demo.scenario import Scenario
    from tidemill.demo.tally import Tally

LINE_EVERY_S = 2.0
REASON_EVERY_S = 5.0


class Rate:
    """Predictions per second, over the last second or more."""

    def __init__(self) -> None:
        self._seen = (0.0, 0)
        self._rate = 0.0

    def at(self, elapsed_s: float, predicted: int) -> float:
        """Return the rate, now that so many were predicted."""
        then, count = self._seen
        if elapsed_s - then >= 1.0:
            self._rate = (predicted - count) / (elapsed_s - then)
            self._seen = (elapsed_s, predicted)
        return self._rate


class Reasons:
    """What is told now and then, in words; what was never told yet, at once.

    One explanation, the order of the sensors where it is a new one, one label with what had been
    predicted, and what a broken sensor does.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._next = 0.0
        self._told: set[str] = set()
        self._ranking: object = None

    def at(self, elapsed_s: float, tally: Tally) -> bool:
        """Return whether there is something new to read."""
        found = dict(self._found(tally))
        if not found or (elapsed_s < self._next and found.keys() <= self._told):
            return False
        self.lines = list(found.values())
        self._told |= found.keys()
        self._next = elapsed_s + REASON_EVERY_S
        if tally.explanations is not None:
            self._ranking = tally.explanations.ranking
        return True

    def _found(self, tally: Tally) -> Iterator[tuple[str, str]]:
        reasons, outcome = tally.explanations, tally.labels.last
        if reasons is not None and reasons.last is not None:
            yield "why", f"why {reason_text(reasons.last)}"
            if reasons.ranking is not None and reasons.ranking is not self._ranking:
                yield "order", ranking_text(reasons.ranking)
        if outcome is not None:
            yield "label", f"label of {outcome_text(outcome)}"
        harm = None if tally.feedback is None else tally.feedback.harm()
        if harm is not None:
            yield "harm", harm


class Screen:
    """Shows the tally as tables that renew themselves."""

    def __init__(self, live: Live, scenario: Scenario, tally: Tally) -> None:
        self._live = live
        self._scenario = scenario
        self._tally = tally
        self._rate = Rate()
        self._reasons = Reasons()

    def __call__(self, elapsed_s: float) -> None:
        """Show the tally as it is now."""
        rate = self._rate.at(elapsed_s, self._tally.predicted)
        self._reasons.at(elapsed_s, self._tally)
        head = summary(self._tally, elapsed_s, rate)
        shown = render(self._scenario, self._tally, head, self._reasons.lines)
        self._live.update(shown, refresh=True)


class Lines:
    """Shows the tally as a line now and then, where there is no terminal."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._console = console
        self._tally = tally
        self._rate = Rate()
        self._reasons = Reasons()
        self._next = 0.0
        self._noted = 0

    def __call__(self, elapsed_s: float) -> None:
        """Print what is new, and the state if it is time."""
        for note in self._tally.notes[self._noted :]:
            self._console.print(note, highlight=False, soft_wrap=True)
        self._noted = len(self._tally.notes)
        rate = self._rate.at(elapsed_s, self._tally.predicted)
        if elapsed_s >= self._next:
            self._next = elapsed_s + LINE_EVERY_S
            self._console.print(
                summary(self._tally, elapsed_s, rate), highlight=False, soft_wrap=True
            )
        if self._reasons.at(elapsed_s, self._tally):
            for line in self._reasons.lines:
                self._console.print(line, highlight=False, soft_wrap=True)


def summary(tally: Tally, elapsed_s: float, rate: float) -> str:
    """Return the state of the demo in one line."""
    labels = tally.labels
    late = f"  labels {labels.sent}, learned {labels.learned}" if labels.sent else ""
    feedback = tally.feedback
    heard = f"  feedback {feedback.sent}, answered {len(feedback.final)}" if feedback else ""
    reasons = tally.explanations
    explained = "" if reasons is None else f"  explained {reasons.explained}"
    return (
        f"{elapsed_s:5.0f} s  in {tally.sent}  predicted {tally.predicted}{explained}  "
        f"dead-lettered {tally.dead_letters}  open {tally.open}  {rate:.0f}/s{late}{heard}"
    )


def render(scenario: Scenario, tally: Tally, head: str, reasons: Sequence[str] = ()) -> Group:
    """Return the whole screen."""
    notes = Text("\n".join(tally.notes[-3:]), style="yellow")
    veto = None if tally.feedback is None else tally.feedback.veto
    told = reasons if veto is None else [receipt_text(veto), *reasons]
    why = Text("\n".join(told), style="cyan")
    panel = Panel(
        Group(Text(head, style="bold"), notes, why), title=f"Tidemill demo: {scenario.name}"
    )
    return Group(panel, scores_table(scenario, tally), last_table(tally))


def scores_table(scenario: Scenario, tally: Tally) -> Table:
    """Return each asset's figures beside the naive model's."""
    table = Table(title=scenario.answer, expand=True)
    for name in ("asset", *tally.score.columns):
        is_asset = name == "asset"
        table.add_column(name, justify="left" if is_asset else "right", overflow="fold")
    for name in sorted(tally.assets):
        table.add_row(_marked(scenario, name), *tally.assets[name].cells())
    return table


def _marked(scenario: Scenario, asset: str) -> str:
    if asset == scenario.drift.asset:
        return f"{asset} (drifts)"
    if scenario.loose is not None and asset == scenario.loose.asset:
        return f"{asset} (loose sensor)"
    is_faulty = scenario.fault is not None and asset == scenario.fault.asset
    return f"{asset} (faulty)" if is_faulty else asset


def last_table(tally: Tally) -> Table:
    """Return the last predictions, each beside its truth as far as that is known by now."""
    table = Table(title="Last predictions", expand=True)
    for name in ("event", "asset", "predicted", "truth", "model version", "quality"):
        table.add_column(name, justify="left" if name in {"event", "asset"} else "right")
    for case in reversed(tally.last):
        if case.answer is not None:
            said = tally.score.said(case.answer)
            version, quality = str(case.answer.version), ", ".join(case.answer.quality)
            truth = truth_text(tally, case)
            table.add_row(case.event_id, case.asset, said, truth, version, quality)
    return table


def truth_text(tally: Tally, case: Case) -> str:
    """Return what is true of an event, or that it is not known yet, or that it never will be."""
    if case.truth is not None:
        return tally.score.true(case.truth)
    return NO_LABEL_YET if case.is_awaited else "-"

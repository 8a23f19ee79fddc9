"""The demo on a terminal: rates, errors beside the naive model's, last predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tidemill.demo.reasons import ranking_text, reason_text
from tidemill.demo.truths import NO_LABEL_YET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.live import Live

    from tidemill.demo.cases import Case
    from tidemill.demo.reasons import ExplanationTally
    from tidemill.demo.scenario import Scenario
    from tidemill.demo.tally import LabelTally, Tally

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
    """One explanation now and then, and the order of the sensors where it is a new one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._next = 0.0
        self._told: object = None

    def at(self, elapsed_s: float, tally: ExplanationTally | None) -> bool:
        """Return whether there is something new to read."""
        if tally is None or tally.last is None or elapsed_s < self._next:
            return False
        self._next = elapsed_s + REASON_EVERY_S
        self.lines = [f"why {reason_text(tally.last)}"]
        if tally.ranking is not None and tally.ranking is not self._told:
            self._told = tally.ranking
            self.lines.append(ranking_text(tally.ranking))
        return True


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
        self._reasons.at(elapsed_s, self._tally.explanations)
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
            self._console.print(note)
        self._noted = len(self._tally.notes)
        rate = self._rate.at(elapsed_s, self._tally.predicted)
        if elapsed_s >= self._next:
            self._next = elapsed_s + LINE_EVERY_S
            self._console.print(summary(self._tally, elapsed_s, rate), highlight=False)
        if self._reasons.at(elapsed_s, self._tally.explanations):
            for line in self._reasons.lines:
                self._console.print(line, highlight=False, soft_wrap=True)


def summary(tally: Tally, elapsed_s: float, rate: float) -> str:
    """Return the state of the demo in one line."""
    labels = tally.labels
    late = f"  labels {labels.sent}, learned {labels.learned}" if labels.sent else ""
    reasons = tally.explanations
    explained = "" if reasons is None else f"  explained {reasons.explained}"
    return (
        f"{elapsed_s:5.0f} s  in {tally.sent}  predicted {tally.predicted}{explained}  "
        f"dead-lettered {tally.dead_letters}  open {tally.open}  {rate:.0f}/s{late}"
    )


def render(scenario: Scenario, tally: Tally, head: str, reasons: Sequence[str] = ()) -> Group:
    """Return the whole screen."""
    notes = Text("\n".join(tally.notes[-3:]), style="yellow")
    why = Text("\n".join(reasons), style="cyan")
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


def balance_sheet(tally: Tally) -> str:
    """Return what came in and what became of it."""
    verdict = "balanced" if tally.is_balanced else "NOT balanced"
    return (
        f"Balance: {verdict}\n"
        f"  events in                 {tally.sent:10}\n"
        f"  predicted                 {tally.predicted:10}\n"
        f"  dead-lettered             {tally.dead_letters:10}{_reasons(tally.dead)}\n"
        f"  without an answer         {tally.open:10}\n"
        f"  predicted twice           {tally.doubled:10}"
        f"{_explanations(tally.explanations)}{_labels(tally.labels)}"
    )


def _explanations(reasons: ExplanationTally | None) -> str:
    if reasons is None:
        return ""
    return (
        f"\n  explained                 {reasons.explained:10}\n"
        f"  not explained             {reasons.missing:10}\n"
        f"  explained too often       {reasons.surplus:10}"
    )


def _labels(labels: LabelTally) -> str:
    if not labels.sent:
        return ""
    return (
        f"\n  labels in                 {labels.sent:10}\n"
        f"  learned                   {labels.learned:10}\n"
        f"  not taught                {labels.untaught.total():10}{_reasons(labels.untaught)}\n"
        f"  not learned               {labels.open:10}"
    )


def _reasons(counts: Mapping[str, int]) -> str:
    return "".join(f"\n    {reason:24}{count:10}" for reason, count in sorted(counts.items()))

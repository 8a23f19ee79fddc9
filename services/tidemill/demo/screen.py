"""The demo on a terminal: rates, errors beside the naive model's, last predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tidemill.demo.simulator import DRIFTING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from tidemill.demo.tally import Tally

LINE_EVERY_S = 2.0


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


class Screen:
    """Shows the tally as tables that renew themselves."""

    def __init__(self, live: Live, tally: Tally) -> None:
        self._live = live
        self._tally = tally
        self._rate = Rate()

    def __call__(self, elapsed_s: float) -> None:
        """Show the tally as it is now."""
        rate = self._rate.at(elapsed_s, self._tally.predicted)
        self._live.update(render(self._tally, elapsed_s, rate), refresh=True)


class Lines:
    """Shows the tally as a line now and then, where there is no terminal."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._console = console
        self._tally = tally
        self._rate = Rate()
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


def summary(tally: Tally, elapsed_s: float, rate: float) -> str:
    """Return the state of the demo in one line."""
    return (
        f"{elapsed_s:5.0f} s  in {tally.sent}  predicted {tally.predicted}  "
        f"dead-lettered {tally.dead_letters}  open {tally.open}  {rate:.0f} predictions/s"
    )


def render(tally: Tally, elapsed_s: float, rate: float) -> Group:
    """Return the whole screen."""
    notes = Text("\n".join(tally.notes[-3:]), style="yellow")
    head = Text(summary(tally, elapsed_s, rate), style="bold")
    return Group(Panel(Group(head, notes), title="Tidemill demo"), _assets(tally), _last(tally))


def _assets(tally: Tally) -> Table:
    table = Table(title="Bearing temperature: mean absolute error, degC", expand=True)
    for name in ("asset", "events scored", "model", "naive model", "model / naive"):
        table.add_column(name, justify="left" if name == "asset" else "right")
    for name in sorted(tally.assets):
        asset = tally.assets[name]
        naive = asset.mean_naive_error
        share = f"{asset.mean_error / naive:.0%}" if naive else "-"
        label = f"{name} (drifts)" if name == DRIFTING else name
        table.add_row(label, str(asset.events), f"{asset.mean_error:.2f}", f"{naive:.2f}", share)
    return table


def _last(tally: Tally) -> Table:
    table = Table(title="Last predictions", expand=True)
    for name in ("event", "asset", "predicted", "truth", "model version", "quality"):
        table.add_column(name, justify="left" if name in {"event", "asset"} else "right")
    for shown in reversed(tally.last):
        predicted = "-" if shown.predicted is None else f"{shown.predicted:.2f}"
        truth = "-" if shown.truth is None else f"{shown.truth:.2f}"
        quality = ", ".join(shown.quality)
        table.add_row(shown.event_id, shown.asset, predicted, truth, str(shown.version), quality)
    return table


def balance_sheet(tally: Tally) -> str:
    """Return what came in and what became of it."""
    reasons = "".join(
        f"\n    {reason:24}{count:10}" for reason, count in sorted(tally.dead.items())
    )
    verdict = "balanced" if tally.is_balanced else "NOT balanced"
    return (
        f"Balance: {verdict}\n"
        f"  events in                 {tally.sent:10}\n"
        f"  predicted                 {tally.predicted:10}\n"
        f"  dead-lettered             {tally.dead_letters:10}{reasons}\n"
        f"  without an answer         {tally.open:10}\n"
        f"  predicted twice           {tally.doubled:10}"
    )

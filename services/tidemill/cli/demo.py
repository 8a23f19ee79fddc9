"""`tidemill demo`: the whole mesh on this machine, with a simulated plant."""

from pathlib import Path
from typing import Annotated

import typer

from tidemill.demo.show import Show

DIRECTORY = Path(".tidemill") / "demo"


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Made anew for each demo.", show_default=True)
    ] = DIRECTORY,
    *,
    seconds: Annotated[
        float | None, typer.Option(help="End by itself; otherwise Ctrl-C ends it.", min=1.0)
    ] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=1.0, max=20_000.0)] = 300.0,
    seed: Annotated[int, typer.Option(help="Of the simulated plant.")] = 7,
) -> None:
    """Run Kafka, learners and a simulated plant with a drift; kill a learner; balance and replay.

    Exits 0 only if every event has exactly one prediction or one dead letter, and a replay of
    everything from the topics differs in nothing.
    """
    raise typer.Exit(Show(directory, seconds=seconds, rate=rate, seed=seed).run())

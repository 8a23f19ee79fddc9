"""`tidemill demo`: the whole mesh on this machine, with a simulated plant."""

from pathlib import Path
from typing import Annotated

import typer

from tidemill.demo.scenario import DEFAULT, SCENARIOS, scenario_named
from tidemill.demo.show import Show
from tidemill.fold.plans import plan_problems

DIRECTORY = Path(".tidemill") / "demo"


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Made anew for each demo.", show_default=True)
    ] = DIRECTORY,
    *,
    scenario: Annotated[
        str, typer.Option(help="Which plant is simulated; --list says which there are.")
    ] = DEFAULT,
    listed: Annotated[bool, typer.Option("--list", help="List the scenarios and end.")] = False,
    seconds: Annotated[
        float | None, typer.Option(help="End by itself; otherwise Ctrl-C ends it.", min=1.0)
    ] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=1.0, max=20_000.0)] = 300.0,
    seed: Annotated[int, typer.Option(help="Of the simulated plant.")] = 7,
) -> None:
    """Run Kafka, all processors and a plant with drifts; kill some; balance and replay.

    Exits 0 only if every event has exactly one prediction or one dead letter, every prediction one
    explanation, every label one end, every feedback its final receipt, every question an answer,
    and a replay of everything from the topics differs in nothing.
    """
    if listed:
        typer.echo(scenarios_text())
        return
    chosen = scenario_named(scenario)
    raise typer.Exit(Show(directory, chosen, seconds=seconds, rate=rate, seed=seed).run())


def scenarios_text() -> str:
    """Return a line for each scenario, and what it needs that this version has not."""
    lines = []
    for scenario in SCENARIOS.values():
        mark = " (default)" if scenario.name == DEFAULT else ""
        lines.append(f"{scenario.name:12} {scenario.about}{mark}")
        problems = plan_problems(scenario.read().definition)
        lines += [f"{'':12} does not run yet: {problem}" for problem in problems]
    return "\n".join(lines)

"""Time per event, bytes of a snapshot and time to restore it, of every allowed class.

Run with `tests` on the path: `python -m models.snapshot_table 4000`.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from models.cases import PARAMETERS, stream, task_of
from tidemill.contracts.stream import Feature, Step
from tidemill.models.families import ALLOWED
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import Blueprint, ModelKey, ModelState

if TYPE_CHECKING:
    from collections.abc import Iterator

FEATURES = tuple(Feature(name=f"f{number}") for number in range(8))
HEAD = "| class, as it is by default | us an event | kB after 1/4, 1/2, all | dump, load ms |"


def fresh(name: str) -> ModelState:
    """Return an untaught model of a class with River's parameters, and ours."""
    entry = ALLOWED[name]
    needed = {"anomaly_detector": "anomaly.GaussianScorer", "threshold": 0.95}
    given: dict[str, Any] = {k: v for k, v in needed.items() if k in PARAMETERS[name]}
    steps = [Step(name=entry.needs)] if entry.needs else []
    steps.append(Step(name=name, parameters=given))
    if entry.role == "transformer":
        steps.append(Step(name="linear_model.LinearRegression"))
    blueprint = Blueprint.of("s/champion", steps, FEATURES, target="", seed=1)
    return ModelState.fresh(ModelKey("s", "a", "s/champion"), blueprint)


def row(name: str, samples: int) -> str:
    """Return the line of one class."""
    state, task, sizes = fresh(name), task_of(name, wants_classes=True), []
    spent = 0.0
    for number, case in enumerate(stream(FEATURES, samples), 1):
        started = time.perf_counter()
        task.ask(state.pipeline, case.x)
        task.learn(state.pipeline, case.x, case.as_label(task))
        spent += time.perf_counter() - started
        if number in {samples // 4, samples // 2, samples}:
            sizes.append(f"{len(dump_state(state)) / 1e3:.1f}")
    started = time.perf_counter()
    data = dump_state(state)
    dumped = time.perf_counter()
    load_state(data)
    times = f"{(dumped - started) * 1e3:.1f}, {(time.perf_counter() - dumped) * 1e3:.1f}"
    return f"| {name} | {spent / samples * 1e6:.0f} | {', '.join(sizes)} | {times} |"


def rows(samples: int) -> Iterator[str]:
    """Yield the table, line by line."""
    yield HEAD
    yield "| --- | --- | --- | --- |"
    for name in ALLOWED:
        yield row(name, samples)


if __name__ == "__main__":
    for line in rows(int(sys.argv[1])):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

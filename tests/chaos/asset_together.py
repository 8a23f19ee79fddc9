"""An asset as the drift processor watches it: each sensor by itself, all together, one dial."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

from chaos.asset_streams import chunks, deviation
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.processors.drift.plans import Kind, plans_of
from tidemill.processors.drift.reading import Reading
from tidemill.processors.drift.watched import Watched
from tidemill.testing.plants import START_US, STEP_US, STREAM, sample_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.asset_streams import Habit, Numbers
    from tidemill.processors.drift.plans import Plan
    from tidemill.processors.drift.watched import Said

SENSORS = 50
RUN_LENGTH = 100_000
# Events before a shift: slow signals take so long to be known.
BEFORE = 20_000
_BATCH = 500


class Calm(NamedTuple):
    """What became of calm assets.

    Attributes:
        events: How many came.
        opened: Episodes by kind; all of them are false.
        held: Events that were held for an answer nobody gave.
        silent: Sensors that nothing is promised of at the end, and references refused.
        watched: Signals that can alarm at the end.
    """

    events: int
    opened: Counter[str]
    held: int
    silent: int
    watched: int

    @property
    def rate(self) -> float:
        """False alarms per million events."""
        return self.opened.total() / self.events * 1e6


class Shifted(NamedTuple):
    """What became of one shift: events until an episode, of what kind, whether it names it."""

    delay: int
    kind: str
    is_named: bool
    start_error: int


def plan(sensors: int = SENSORS) -> Plan:
    """Return how such an asset is watched: sensors, all together, predictions; nothing else."""
    stream = {
        "features": {f"s{n}": {} for n in range(sensors)},
        "target": "none",
        "model": {"champion": ["anomaly.HalfSpaceTrees"]},
        "explanations": {"which": "on_request"},
        "drift": {"run_length": RUN_LENGTH},
    }
    return plans_of(parse_definition(sample_definition(stream=stream)))[STREAM]


def fresh(sensors: int = SENSORS) -> Watched:
    """Return an asset of which nothing came yet."""
    return Watched(plan(sensors), "asset", 0)


def told(watched: Watched, rows: Numbers) -> Iterator[Said]:
    """Let events come, a second apart, each with its prediction: the last column."""
    for first in range(0, len(rows), _BATCH):
        at = watched.allowance.events
        part = rows[first : first + _BATCH].tolist()
        times = [(at + n, START_US + (at + n) * STEP_US) for n in range(len(part))]
        yield from watched.take(
            EVENTS,
            [
                Reading(n, *each, values=tuple(row[:-1]))
                for n, (each, row) in enumerate(zip(times, part, strict=True))
            ],
        )
        yield from watched.take(
            PREDICTIONS,
            [
                Reading(n, *each, values=tuple(row[-1:]), structure=0)
                for n, (each, row) in enumerate(zip(times, part, strict=True))
            ],
        )


def is_episode(said: Said) -> bool:
    """Return whether an episode opened."""
    return not said.is_update and said.record["status"] == "OPEN"


def calm(habit: Habit, events: int, seed: list[int]) -> Calm:
    """Watch an asset to which nothing happens."""
    watched = fresh()
    opened: Counter[str] = Counter()
    for rows in chunks(habit, SENSORS + 1, events, seed):
        opened.update(said.record["kind"] for said in told(watched, rows) if is_episode(said))
    sensors = watched.signals[Kind.FEATURE]
    standing = [sensors.standing(n) for n in range(SENSORS)]
    return Calm(
        events,
        opened,
        watched.allowance.held,
        sum(record["status"] == "NOT_STATIONARY" for record in watched.episodes.standing.values()),
        sum(each.is_watched for each in standing),
    )


def shifts(habit: Habit, count: int, after: int, seed: list[int]) -> list[Shifted | None]:
    """Shift so many sensors by a standard deviation, each by itself, in one stream.

    What comes before is the same for all; None where no episode opened after it.
    """
    before = fresh()
    found = []
    rows = chunks(habit, SENSORS + 1, BEFORE + after, seed)
    while before.allowance.events < BEFORE:
        for _ in told(before, next(rows)):
            pass
    later = list(rows)
    for number in range(count):
        sensor = (seed[-1] * count + number) * 7 % SENSORS
        found.append(_shift(deepcopy(before), later, sensor, deviation(habit)))
    return found


def _shift(watched: Watched, later: list[Numbers], sensor: int, by: float) -> Shifted | None:
    for rows in later:
        moved = rows.copy()
        moved[:, sensor] += by
        for said in told(watched, moved):
            if is_episode(said):
                record = said.record
                ranked = record["ranked"]
                return Shifted(
                    (record["detected"] - START_US) // STEP_US - BEFORE,
                    record["kind"],
                    bool(ranked) and ranked[0]["signal"] == f"s{sensor}",
                    abs((record["started"] - START_US) // STEP_US - BEFORE),
                )
    return None

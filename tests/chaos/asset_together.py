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
    from collections.abc import Iterator, Sequence

    from chaos.asset_streams import Habit, Numbers
    from tidemill.processors.drift.episodes import Said
    from tidemill.processors.drift.plans import Plan

SENSORS = 50
RUN_LENGTH = 100_000
_BATCH = 500


class Calm(NamedTuple):
    """What became of a calm asset.

    Attributes:
        opened: Episodes by kind; all of them are false.
        held: Events that were held for an answer nobody gave.
        unpromised: Sensors that nothing was promised of for a while, and references refused.
        watched: Sensors that can alarm by themselves at the end.
    """

    opened: Counter[str]
    held: int
    unpromised: int
    watched: int

    @classmethod
    def sum(cls, each: Sequence[Calm]) -> Calm:
        """Return what became of all of them."""
        return cls(
            sum((calm.opened for calm in each), Counter()),
            sum(calm.held for calm in each),
            sum(calm.unpromised for calm in each),
            sum(calm.watched for calm in each),
        )


class Moves(NamedTuple):
    """Which sensors are shifted, each by itself, and for how many events at most."""

    sensors: Sequence[int]
    after: int


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


def watch(
    habit: Habit, events: int, seed: list[int], moves: Moves
) -> tuple[Calm, list[Shifted | None]]:
    """Watch an asset to which nothing happens, then shift sensors by a standard deviation.

    Each is shifted by itself from where the calm ended; None where no episode opened after it.
    """
    watched = fresh()
    rows = chunks(habit, SENSORS + 1, events + moves.after, seed)
    opened: Counter[str] = Counter()
    unpromised = 0
    while watched.allowance.events < events:
        for said in told(watched, next(rows)):
            if is_episode(said):
                opened[said.record["kind"]] += 1
            unpromised += not said.is_update and said.record["status"] == "NOT_STATIONARY"
    alone = watched.signals[Kind.FEATURE]
    can = sum(alone.standing(n).is_watched for n in range(SENSORS))
    later, by = list(rows), deviation(habit)
    found = [_shift(deepcopy(watched), later, sensor, by) for sensor in moves.sensors]
    return Calm(opened, watched.allowance.held, unpromised, can), found


def _shift(watched: Watched, later: list[Numbers], sensor: int, by: float) -> Shifted | None:
    begin = watched.allowance.events
    for rows in later:
        moved = rows.copy()
        moved[:, sensor] += by
        for said in filter(is_episode, told(watched, moved)):
            record = said.record
            detected, started = (
                (record[name] - START_US) // STEP_US - begin for name in ("detected", "started")
            )
            ranked = record["ranked"]
            is_named = bool(ranked) and ranked[0]["signal"] == f"s{sensor}"
            return Shifted(detected, record["kind"], is_named, abs(started))
    return None

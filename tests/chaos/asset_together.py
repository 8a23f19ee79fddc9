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
    from tidemill.processors.drift.episodes import Record, Said
    from tidemill.processors.drift.plans import Plan

    # Kind, signal, when it was detected.
    Episode = tuple[str, str, int]

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


class Shift(NamedTuple):
    """Which sensor, and how far."""

    sensor: int
    by: float


class Shifted(NamedTuple):
    """What became of one shift.

    Attributes:
        delay: Events until the first episode that the asset would not have had without it.
        kind: Of that episode.
        is_named: Whether it names the sensor first.
        is_first: Whether no false alarm, which would have come in any case, came before it.
        start_error: Events between the shift and where it is said to have begun.
    """

    delay: int
    kind: str
    is_named: bool
    is_first: bool
    start_error: int


class Twin:
    """The same asset without a shift: its episodes are false alarms."""

    def __init__(self, watched: Watched) -> None:
        self._watched = deepcopy(watched)
        self._opened: list[set[Episode]] = []

    def opened(self, number: int, rows: Numbers) -> set[Episode]:
        """Return the episodes that a chunk brings; a new one follows the one before it."""
        if number == len(self._opened):
            found = filter(is_episode, told(self._watched, rows))
            self._opened.append({_episode(said.record) for said in found})
        return self._opened[number]


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
    later, by, twin = list(rows), deviation(habit), Twin(watched)
    found = [_shift(deepcopy(watched), twin, later, Shift(n, by)) for n in moves.sensors]
    return Calm(opened, watched.allowance.held, unpromised, can), found


def _shift(watched: Watched, twin: Twin, later: list[Numbers], shift: Shift) -> Shifted | None:
    begin, is_first = watched.allowance.events, True
    for number, rows in enumerate(later):
        false = twin.opened(number, rows)
        moved = rows.copy()
        moved[:, shift.sensor] += shift.by
        for said in filter(is_episode, told(watched, moved)):
            record = said.record
            if _episode(record) in false:
                is_first = False
                continue
            detected, started = (
                (record[name] - START_US) // STEP_US - begin for name in ("detected", "started")
            )
            ranked = record["ranked"]
            is_named = bool(ranked) and ranked[0]["signal"] == f"s{shift.sensor}"
            return Shifted(detected, record["kind"], is_named, is_first, abs(started))
    return None


def _episode(record: Record) -> Episode:
    return record["kind"], record["signal"], record["detected"]

"""Fifty sensors of an asset: how often a calm one alarms, and who is named when one moves."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chaos.asset_streams import HABITS, chunks, deviation
from chaos.balance import BrokenPromiseError
from chaos.tables import Found, Table
from tidemill.detection.asset import AssetCheck, AssetSettings
from tidemill.detection.asset_state import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.asset_streams import Habit

SENSORS = 50
RUN_LENGTH = 100_000.0
MOST_PER_MILLION = 10.0
LEAST_NAMED = 0.95
CALM = 1_000  # events between the reference and the shift
# Those in which one shift of a standard deviation is for this check to find. Slower sensors need
# memories of thousands of events, and are for detectors of one signal.
NAMED = ("white", "autocorrelation .5", "heavy tails (t, 3)", "half of the variance shared")


class Size(NamedTuple):
    """How much is tried."""

    calm_events: int
    seeds: int
    shifts: int
    after: int
    seed: int


class Shifted(NamedTuple):
    """What became of one shift: events until an episode, who was named, how far off the start."""

    delay: int
    is_named: bool
    start_error: int


def false_alarms(habit: Habit, size: Size) -> tuple[int, int, int]:
    """Return episodes, events watched, and how many references were refused."""
    episodes = refused = events = 0
    for seed in range(size.seeds):
        check = AssetCheck(AssetSettings(SENSORS, run_length=RUN_LENGTH))
        total = check.settings.reference + size.calm_events
        for rows in chunks(habit, SENSORS, total, [size.seed, seed]):
            check.observe(rows)
        episodes += check.episodes
        is_refused = check.status == "NOT_STATIONARY"
        refused += is_refused
        events += 0 if is_refused else size.calm_events
    return episodes, events, refused


def shifted(habit: Habit, size: Size, number: int) -> Shifted | None:
    """Shift one sensor by a standard deviation; None where no episode opened after it."""
    sensor = number * 7 % SENSORS
    check = AssetCheck(AssetSettings(SENSORS, run_length=RUN_LENGTH))
    begin = check.settings.reference + CALM
    at = 0
    for rows in chunks(habit, SENSORS, begin + size.after, [size.seed, 1, number]):
        moved = rows.copy()
        moved[max(0, begin - at) :, sensor] += deviation(habit)
        at += len(rows)
        for change in check.observe(moved).changes:
            if change.status == "OPEN" and change.event >= begin:
                assert change.started is not None
                is_named = change.ranked[0].sensor == sensor
                return Shifted(change.event - begin, is_named, abs(change.started - begin))
    return None


def cost(sensors: int, events: int) -> list[str]:
    """Return what an event costs, and what the state weighs, in words."""
    check = AssetCheck(AssetSettings(sensors))
    rng = np.random.default_rng(sensors)
    reference = check.settings.reference
    check.observe(rng.standard_normal((reference - 1, sensors)))
    learning = dump(check)
    begun = time.process_time()
    check.observe(rng.standard_normal((1, sensors)))
    learned_s = time.process_time() - begun
    check.observe(rng.standard_normal((100 * len(check.blocks), sensors)))
    rows = rng.standard_normal((events, sensors))
    begun = time.process_time()
    for first in range(0, events, 100):
        check.observe(rows[first : first + 100])
    each_us = (time.process_time() - begun) / events * 1e6
    return [
        f"{sensors}",
        f"{len(check.blocks)}",
        f"{each_us:.1f}",
        f"{each_us / sensors:.3f}",
        f"{learned_s:.2f}",
        f"{_weight(learning) / 1024:,.0f}",
        f"{_weight(dump(check)) / 1024:,.0f}",
    ]


def _weight(dumped: object) -> int:
    match dumped:
        case bytes():
            return len(dumped)
        case dict():
            return sum(_weight(each) for each in dumped.values())
        case list():
            return sum(_weight(each) for each in dumped)
        case _:
            return 8


def prove_sensors(size: Size, say: Callable[[str], None]) -> Found:
    """Watch calm streams of every habit, and shifts of one sensor.

    Raises:
        BrokenPromiseError: Calm assets alarm too often, or another sensor is named first.
    """
    calm, wrong = [], []
    for name, habit in HABITS.items():
        episodes, events, refused = false_alarms(habit, size)
        rate = episodes / max(1, events) * 1e6
        calm.append([name, f"{episodes}", f"{events:,}", f"{rate:.1f}", f"{refused}"])
        say(f"calm, {name}: {calm[-1][1:]}")
        if rate > MOST_PER_MILLION:
            wrong.append(f"{name}: {rate:.1f} false alarms per million")
    moved = []
    for name, habit in HABITS.items():
        found = [shifted(habit, size, number) for number in range(size.shifts)]
        moved.append([name, *_named(found)])
        say(f"shifted, {name}: {moved[-1][1:]}")
        named = sum(each is not None and each.is_named for each in found)
        if name in NAMED and named < LEAST_NAMED * size.shifts:
            wrong.append(f"{name}: {named} of {size.shifts} named first")
    if wrong:
        raise BrokenPromiseError("; ".join(wrong))
    return _found(size, calm, moved)


def _named(found: Sequence[Shifted | None]) -> list[str]:
    seen = [each for each in found if each is not None]
    if not seen:
        return [f"0 of {len(found)}", "-", "-", "-"]
    return [
        f"{len(seen)} of {len(found)}",
        f"{sum(each.is_named for each in seen)} of {len(seen)}",
        f"{median(each.delay for each in seen):.0f}",
        f"{median(each.start_error for each in seen):.0f}",
    ]


def _found(size: Size, calm: list[list[str]], moved: list[list[str]]) -> Found:
    figures = {
        "sensors, run length, reference": f"{SENSORS}; {RUN_LENGTH:,.0f}; 5,000 events",
        "held": f"at most {MOST_PER_MILLION:g} per million of every habit; at least "
        f"{LEAST_NAMED} of all shifts named first of: {', '.join(NAMED)}",
    }
    head = ("habit", "episodes", "events", "per million", "references refused")
    then = (
        "habit",
        f"found in {size.after:,} events",
        "named first",
        "median delay",
        "start off by",
    )
    weights = (
        "sensors",
        "blocks",
        "us an event",
        "us a signal",
        "s to learn",
        "KiB",
        "KiB learned",
    )
    return Found(
        figures,
        [
            Table("Calm assets", head, calm),
            Table("One sensor shifted by a standard deviation", then, moved),
            Table(
                "What it costs, in batches of 100 events, on one core",
                weights,
                [cost(sensors, 2_000) for sensors in (2, 10, 50, 500)],
            ),
        ],
    )

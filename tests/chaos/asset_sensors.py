"""Fifty sensors of an asset: how often a calm one alarms, and who is named when one moves."""

from __future__ import annotations

import math
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chaos.asset_streams import HABITS, chunks
from chaos.asset_together import RUN_LENGTH, SENSORS, Calm, Moves, watch
from chaos.balance import BrokenPromiseError
from chaos.tables import Found, Table
from tidemill.detection.asset import AssetCheck, AssetSettings
from tidemill.detection.asset_state import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.asset_streams import Habit
    from chaos.asset_together import Shifted

MOST_PER_MILLION = 10.0
LEAST_NAMED = 0.95
REFERENCE = 5_000
# These are watched as the drift processor does, and one sensor is shifted; the others by the check
# of the asset alone.
WHOLE = (
    "white",
    "autocorrelation .5",
    "autocorrelation .9",
    "autocorrelation .99",
    "heavy tails (t, 3)",
    "half of the variance shared",
)
_KINDS = ("FEATURE", "MULTIVARIATE", "PREDICTION")
ONLY = ("habit", "episodes", "events", "per million", "references refused")
COSTS = (
    "sensors",
    "blocks",
    "us an event",
    "us a sensor",
    "s to fit",
    "of it, ms at one event",
    "KiB, learning",
    "KiB, watching",
)


class Size(NamedTuple):
    """How much is tried; `noise` is what counts of alarms may exceed, in standard errors."""

    calm_events: int
    seeds: int
    shifts: int
    after: int
    seed: int
    noise: float = 0.0


def false_alarms(habit: Habit, size: Size) -> tuple[int, int, int]:
    """Return episodes of the check alone, events watched, and how many references were refused."""
    episodes = refused = events = 0
    for seed in range(size.seeds):
        check = AssetCheck(AssetSettings(SENSORS, run_length=RUN_LENGTH))
        for rows in chunks(habit, SENSORS, size.calm_events, [size.seed, seed]):
            check.observe(rows)
        episodes += check.episodes
        is_refused = check.status == "NOT_STATIONARY"
        refused += is_refused
        events += 0 if is_refused else size.calm_events - REFERENCE
    return episodes, events, refused


def together(habit: Habit, size: Size) -> tuple[Calm, list[Shifted | None]]:
    """Return what became of assets watched as a whole, and of the shifts after."""
    every, found = [], []
    for seed in range(size.seeds):
        first = seed * size.shifts
        sensors = [(first + n) * 7 % SENSORS for n in range(size.shifts)]
        moves = Moves(sensors, size.after)
        each, shifted = watch(habit, size.calm_events, [size.seed, 1, seed], moves)
        every.append(each)
        found += shifted
    return Calm.sum(every), found


def cost(sensors: int, events: int) -> list[str]:
    """Return what an event costs, and what the state weighs, in words."""
    check = AssetCheck(AssetSettings(sensors))
    rng = np.random.default_rng(sensors)
    reference = check.settings.reference
    check.observe(rng.standard_normal((reference - 1, sensors)))
    learning = dump(check)
    waits = []
    for row in rng.standard_normal((100 * len(check.blocks), 1, sensors)):
        begun = time.process_time()
        check.observe(row)
        waits.append(time.process_time() - begun)
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
        f"{sum(waits):.2f}",
        f"{max(waits) * 1e3:.0f}",
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
    calm: list[list[str]] = []
    moved: list[list[str]] = []
    alone: list[list[str]] = []
    wrong: list[str] = []
    for name in WHOLE:
        found, shifted = together(HABITS[name], size)
        events = size.seeds * (size.calm_events - REFERENCE)
        wrong += _too_many(name, found.opened.total(), events, size.noise)
        named = sum(each is not None and each.is_named for each in shifted)
        if named < LEAST_NAMED * len(shifted):
            wrong.append(f"{name}: {named} of {len(shifted)} named first")
        calm.append([name, *_calm(found, events, size)])
        moved.append([name, *_named(shifted)])
        say(f"{name}: {calm[-1][1:]}, shifted: {moved[-1][1:]}")
    for name in (each for each in HABITS if each not in WHOLE):
        episodes, events, refused = false_alarms(HABITS[name], size)
        wrong += _too_many(name, episodes, events, size.noise)
        rate = f"{episodes / max(1, events) * 1e6:.1f}"
        alone.append([name, f"{episodes}", f"{events:,}", rate, f"{refused}"])
        say(f"the check alone, {alone[-1]}")
    if wrong:
        raise BrokenPromiseError("; ".join(wrong))
    return _found(size, calm, moved, alone)


def _too_many(name: str, episodes: int, events: int, noise: float) -> list[str]:
    """Say where alarms are more than asked, and than noise explains."""
    asked = MOST_PER_MILLION * events / 1e6
    if episodes <= asked + noise * math.sqrt(asked):
        return []
    return [f"{name}: {episodes} false alarms in {events} events"]


def _calm(found: Calm, events: int, size: Size) -> list[str]:
    return [
        f"{found.opened.total()}",
        *(f"{found.opened[kind]}" for kind in _KINDS),
        f"{events:,}",
        f"{found.opened.total() / events * 1e6:.1f}",
        f"{found.held / (size.seeds * size.calm_events):.2%}",
        f"{found.unpromised}",
        f"{found.watched / (size.seeds * SENSORS):.1%}",
    ]


def _named(found: Sequence[Shifted | None]) -> list[str]:
    seen = [each for each in found if each is not None]
    named = sum(each.is_named for each in seen)
    if not seen:
        return [f"0 of {len(found)}", "0", "0", "-", "-", "-"]
    return [
        f"{len(seen)} of {len(found)}",
        f"{named} of {len(found)}",
        f"{sum(each.is_named and each.is_first for each in seen)} of {len(found)}",
        f"{sum(each.kind == 'MULTIVARIATE' for each in seen)}",
        f"{median(each.delay for each in seen):.0f}",
        f"{median(each.start_error for each in seen):.0f}",
    ]


def _found(
    size: Size, calm: list[list[str]], moved: list[list[str]], alone: list[list[str]]
) -> Found:
    figures = {
        "sensors, run length, reference": f"{SENSORS}; {RUN_LENGTH:,}; {REFERENCE:,} events",
        "watched": "each sensor by itself, all together, and the predictions, by the drift "
        "processor's own plan and episodes; nobody answers its questions",
        "held": f"at most {MOST_PER_MILLION:g} false alarms per million events of the asset, all "
        f"kinds counted; the sensor named first in {LEAST_NAMED:.0%} of all shifts",
    }
    return Found(
        figures,
        [
            _calm_table(size, calm),
            _moved_table(size, moved),
            Table("Other calm assets, by the check of the asset alone", ONLY, alone),
            Table(
                "What it costs all together, in batches of 100 events, on one core",
                COSTS,
                [cost(sensors, 2_000) for sensors in (2, 10, 50, 500)],
            ),
        ],
    )


def _calm_table(size: Size, rows: list[list[str]]) -> Table:
    about = (
        f"Calm assets, {size.seeds} of {size.calm_events:,} events each. Unpromised: how often "
        "nothing was promised of a sensor for a while; watched: sensors that can alarm by "
        "themselves at the end"
    )
    head = ("habit", "episodes", *_KINDS, "events", "per million", "held", "unpromised", "watched")
    return Table(about, head, rows)


def _moved_table(size: Size, rows: list[list[str]]) -> Table:
    about = (
        f"Then one sensor shifted by a standard deviation, for {size.after:,} events. The first "
        "episode that the same asset does not have without the shift must name it first; beside "
        "it, how often no false alarm came before that either"
    )
    head = (
        "habit",
        "found",
        "named first",
        "before any false alarm",
        "by all together",
        "median delay",
        "start off by",
    )
    return Table(about, head, rows)

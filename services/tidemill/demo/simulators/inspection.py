"""Three moulding presses; at the end of the line each part is found good, rework or scrap."""

from __future__ import annotations

import math
import random
from itertools import count
from typing import TYPE_CHECKING

from tidemill.demo.happenings import DAY_US, EPOCH_US, HOUR_US, Reading
from tidemill.demo.simulators.blemishes import Blemishes
from tidemill.demo.simulators.wandering import Wandering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.happenings import Happening, Timeline

ASSETS = tuple(f"housings/moulding/hall-2/press-{n}" for n in (1, 2, 3))
DRIFTING = ASSETS[1]
FAULTY = ASSETS[0]
BLEMISHES = Blemishes("humidity", "cycle_time", "melt_deviation", 900.0)

TOOLS = {"clip": ("T31",), "cover": ("T11", "T12"), "frame": ("T21", "T22")}
OLD_TOOL = "T22"
CAMPAIGN_US = 2 * HOUR_US


def simulate(seed: int, timeline: Timeline) -> Iterator[Happening]:
    """Yield inspected parts round the presses, for ever.

    Most rework and scrap has a cause: a melt too hot or too cold for the recipe, damp granulate, a
    tool with worn cavities at high pressure. Scrap is rare, 2 to 3 %. After the drift a valve of
    one press leaks and its colder parts become scrap far oftener. The sensor fault is a pressure
    transducer that reads 0 bar.
    """
    rng = random.Random(seed)
    presses = {asset: _Press(rng, asset) for asset in ASSETS}
    for n in count():
        asset = ASSETS[n % len(ASSETS)]
        time_us = timeline.time_us(n)
        record, verdict = presses[asset].mould(
            time_us, leaks=asset == DRIFTING and timeline.is_drifting(n)
        )
        if asset == FAULTY and timeline.is_faulty(n):
            record["pressure"] = 0.0
        reading = Reading(
            "part", f"p-{n}", asset, time_us, {"event_id": f"p-{n}", **record}, verdict
        )
        yield BLEMISHES.on(reading, rng)


class _Press:
    """One press: a recipe for some hours, then the next, each with a tool that fits."""

    def __init__(self, rng: random.Random, asset: str) -> None:
        self._rng = rng
        self._asset = asset
        self._offset_us = rng.randrange(CAMPAIGN_US)
        self._heat = Wandering(rng, sd=2.5, memory=0.8)
        self._damp = Wandering(rng, sd=4.0, memory=0.95)

    def mould(self, time_us: int, *, leaks: bool) -> tuple[dict[str, object], str]:
        """Return the record without its id, and the inspector's verdict."""
        gauss = self._rng.gauss
        campaign = (time_us - EPOCH_US + self._offset_us) // CAMPAIGN_US
        recipe = tuple(TOOLS)[campaign % len(TOOLS)]
        tool = TOOLS[recipe][campaign // len(TOOLS) % len(TOOLS[recipe])]
        off = self._heat.step()
        day = math.sin(2 * math.pi * (time_us % DAY_US) / DAY_US - 2.0)
        humidity = min(95.0, max(5.0, 48 + 8 * day + self._damp.step()))
        pressure = 920 + 3 * off + gauss(0, 18)
        verdict = self._verdict((off, humidity, pressure), tool, leaks)
        record: dict[str, object] = {
            "asset": self._asset,
            "event_time": time_us,
            "recipe": recipe,
            "tool": tool,
            "melt_deviation": off + gauss(0, 0.3),
            "pressure": pressure,
            "cycle_time": 28 + 0.1 * abs(off) + gauss(0, 0.4),
            "humidity": humidity,
            "verdict": verdict,
        }
        return record, verdict

    def _verdict(self, state: tuple[float, float, float], tool: str, leaks: bool) -> str:
        """Draw a verdict; rework and scrap are odds against good."""
        off, humidity, pressure = state
        rework, scrap = 0.004, 0.001
        if off > 4:  # burns
            rework = 4.0
        elif off < -4.5:  # short shots
            scrap = 3.0
        if tool == OLD_TOOL and pressure > 935:  # flash from worn cavities
            rework += 1.0
        if humidity > 62:  # streaks
            rework += 0.5
        if leaks and off < -1:
            scrap += 1.0
        draw = self._rng.random() * (1 + rework + scrap)
        return "good" if draw < 1 else "rework" if draw < 1 + rework else "scrap"

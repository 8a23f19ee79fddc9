"""Four feeders of a works; the load in an hour follows from weather, hour and production plan."""

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

ASSETS = tuple(f"foundry/substation-{s}/feeder-{n}" for s in (1, 2) for n in (1, 2))
DRIFTING = ASSETS[1]
FAULTY = ASSETS[2]
BLEMISHES = Blemishes("outdoor_temp", "reactive", "load", 90_000.0)

AHEAD_US = HOUR_US
PLANS_T_H = (12.0, 20.0, 26.0, 17.0, 23.0)
SHIFT_US = 3 * HOUR_US


def simulate(seed: int, timeline: Timeline) -> Iterator[Happening]:
    """Yield meter readings round the feeders, for ever.

    Production is planned in blocks of three hours, known one block ahead; heating follows the
    weather of the day. After the drift one feeder carries an induction furnace more, 40 kW for
    each ton an hour. The fault is a meter that sends nothing: a gap in which no label comes.
    """
    rng = random.Random(seed)
    feeders = {asset: _Feeder(rng, asset) for asset in ASSETS}
    for n in count():
        asset = ASSETS[n % len(ASSETS)]
        time_us = timeline.time_us(n)
        per_ton = 75.0 if asset == DRIFTING and timeline.is_drifting(n) else 35.0
        record = feeders[asset].read(time_us, per_ton)
        if asset == FAULTY and timeline.is_faulty(n):
            continue
        reading = Reading("feeder", f"l-{n}", asset, time_us, {"event_id": f"l-{n}", **record})
        yield BLEMISHES.on(reading, rng)


class _Feeder:
    """One feeder; its load follows the plan with a lag of some minutes."""

    def __init__(self, rng: random.Random, asset: str) -> None:
        self._rng = rng
        self._asset = asset
        self._offset = rng.randrange(len(PLANS_T_H))
        self._weather = Wandering(rng, sd=2.0, memory=0.995)
        self._noise = Wandering(rng, sd=18.0, memory=0.7)
        self._output = self._plan(EPOCH_US)

    def _plan(self, time_us: int) -> float:
        """Return the production planned for a time, t/h; nights have the smallest block."""
        block = (time_us - EPOCH_US) // SHIFT_US
        is_night = block % (DAY_US // SHIFT_US) in {0, 1, 7}
        return 8.0 if is_night else PLANS_T_H[(block + self._offset) % len(PLANS_T_H)]

    def read(self, time_us: int, per_ton: float) -> dict[str, object]:
        """Return the record without its id."""
        gauss = self._rng.gauss
        angle = 2 * math.pi * (time_us % DAY_US) / DAY_US
        outdoor = 6 + 5 * math.sin(angle - 2.0) + self._weather.step()
        self._output += 0.3 * (self._plan(time_us) - self._output)
        light = 60.0 if math.cos(angle) > 0 else 20.0
        load = 220 + per_ton * self._output + 9 * max(0.0, 18 - outdoor) + light
        load += self._noise.step()
        return {
            "asset": self._asset,
            "metered_at": time_us // 1_000_000,
            "load": load,
            "reactive": 0.42 * load + gauss(0, 12),
            "outdoor_temp": outdoor,
            "planned_output": self._plan(time_us),
            "planned_in_1h": self._plan(time_us + AHEAD_US),
            "day_sin": math.sin(angle),
            "day_cos": math.cos(angle),
        }

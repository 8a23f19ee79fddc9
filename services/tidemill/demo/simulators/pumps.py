"""Six pumps whose bearing temperature follows from other sensors; one drifts, displays mislead."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from tidemill.demo.happenings import Reading
from tidemill.demo.simulators.blemishes import Blemishes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.happenings import Happening, Timeline

ASSETS = tuple(
    f"bottling-east/{area}/pump-{n}" for area in ("filling", "rinsing") for n in (1, 2, 3)
)
DRIFTING = ASSETS[2]
MISTRUSTED = ASSETS[0]
SHORTCUT = "display"
OPERATORS = ("ann", "bela", "carla", "dimitri")
BLEMISHES = Blemishes("ambient", "vibration", "load", 900.0)


def simulate(seed: int, timeline: Timeline) -> Iterator[Happening]:
    """Yield readings round the pumps, for ever.

    The bearing temperature follows load, speed, vibration and ambient temperature linearly with
    noise of 0.5 degC. After the drift one pump's bearing heats four times as much with vibration.
    A display at each pump shows its temperature within 0.2 degC; at the drift all are switched to
    degrees Fahrenheit.
    """
    rng = random.Random(seed)
    displays = random.Random(f"displays {seed}")
    for n in count():
        asset = ASSETS[n % len(ASSETS)]
        is_drifting = asset == DRIFTING and timeline.is_drifting(n)
        reading = _reading(rng, n, asset, (timeline.time_us(n), is_drifting))
        assert isinstance(reading.truth, float)
        shown = reading.truth + displays.gauss(0, 0.2)
        if timeline.is_drifting(n):
            shown = 1.8 * shown + 32
        record = {**reading.record, SHORTCUT: shown}
        yield BLEMISHES.on(replace(reading, record=record), rng)


def _reading(rng: random.Random, n: int, asset: str, state: tuple[int, bool]) -> Reading:
    time_us, is_drifting = state
    phase = 2 * math.pi * n / 5_000
    load = 90 + 40 * math.sin(phase) + rng.gauss(0, 8)
    speed = 1_500 + 6 * load + rng.gauss(0, 60)
    vibration = abs(rng.gauss(4, 1.5))
    ambient = 20 + 6 * math.sin(phase / 3) + rng.gauss(0, 1)
    per_mm = 6.0 if is_drifting else 1.5
    truth = 25 + 0.15 * load + 0.004 * speed + per_mm * vibration + 0.6 * ambient
    truth += rng.gauss(0, 0.5)
    record: dict[str, object] = {
        "event_id": f"r-{n}",
        "asset": asset,
        "event_time": time_us,
        "load": load,
        "speed": speed,
        "vibration": vibration,
        "ambient": ambient,
        "bearing_temp": truth,
    }
    return Reading("pump", f"r-{n}", asset, time_us, record, truth)

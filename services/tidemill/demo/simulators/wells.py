"""A pump in a well that runs evenly, whose vibration sensor comes loose for a while."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tidemill.demo.happenings import EPOCH_US, Reading
from tidemill.demo.simulators.blemishes import Blemishes

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSET = "bottling-east/wells/pump-1"
SENSOR = "vibration"
# What is on record of it before the demo begins: sensors together must know 5,000 events first.
PAST = 5_200
# What comes during the demo, however long that is.
PRESENT = 3_400
LOOSE_FROM, LOOSE_TO = 600, 720
LOOSE_BY = 2.0
STEP_US = 2_000_000
BLEMISHES = Blemishes("ambient", SENSOR, "load", 900.0)


def is_loose(n: int) -> bool:
    """Return whether the sensor is loose at reading `n` of those during the demo."""
    return LOOSE_FROM <= n < LOOSE_TO


def simulate() -> Iterator[Reading]:
    """Yield the readings, first those of the past; the same in every demo.

    The bearing is as warm as that of any other pump with such readings. A loose sensor reads 2 mm/s
    too much; the vibration itself, and so the bearing, is what it was.
    """
    rng = random.Random("a pump in a well")
    for n in range(-PAST, PRESENT):
        yield BLEMISHES.on(_reading(rng, n), rng)


def _reading(rng: random.Random, n: int) -> Reading:
    time_us = EPOCH_US + n * STEP_US
    load = 90 + rng.gauss(0, 8)
    speed = 1_500 + 6 * load + rng.gauss(0, 60)
    vibration = abs(rng.gauss(4, 1.5))
    ambient = 12 + rng.gauss(0, 1)
    truth = 25 + 0.15 * load + 0.004 * speed + 1.5 * vibration + 0.6 * ambient + rng.gauss(0, 0.5)
    event_id = f"w-{n + PAST}"
    record: dict[str, object] = {
        "event_id": event_id,
        "asset": ASSET,
        "event_time": time_us,
        "load": load,
        "speed": speed,
        SENSOR: vibration + (LOOSE_BY if is_loose(n) else 0.0),
        "ambient": ambient,
        "bearing_temp": truth,
        "display": truth + rng.gauss(0, 0.2),
    }
    return Reading("pump", event_id, ASSET, time_us, record, truth)

"""Six fans that nobody labels; one bearing wears out, one accelerometer comes loose."""

from __future__ import annotations

import math
import random
from itertools import count
from typing import TYPE_CHECKING

from tidemill.demo.happenings import DAY_US, Reading
from tidemill.demo.simulators.blemishes import Blemishes
from tidemill.demo.simulators.wandering import Wandering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.happenings import Happening, Timeline

ASSETS = tuple(f"paper-north/drying/section-{s}/fan-{n}" for s in (1, 2) for n in (1, 2, 3))
DRIFTING = ASSETS[2]
FAULTY = ASSETS[4]
BLEMISHES = Blemishes("bearing_temp", "current", "velocity", 2.0)

SPANS = {
    "speed": (800.0, 1_500.0),  # rpm
    "current": (0.0, 60.0),  # A
    "velocity": (0.0, 7.0),  # mm/s, effective
    "envelope": (0.0, 3.0),  # g
    "crest": (2.0, 8.0),  # peak over effective acceleration
    "bearing_temp": (20.0, 90.0),  # degC
}
"""What 0 and 1 of each transmitter's signal stand for."""

CALIBRATION = (0.0, 1.0)
"""What each sensor box sends first: the ends of its transmitters' spans, as at a loop check."""

WORN_AFTER = 1_500
"""Readings of the plant from the first damage until the wear's full effect."""


def simulate(seed: int, timeline: Timeline) -> Iterator[Happening]:
    """Yield readings round the fans, for ever; `truth` says whether a fault was planted.

    After the drift the rolling elements of one bearing spall: impacts (envelope, crest factor)
    rise first, then velocity, last the temperature. The sensor fault is an accelerometer whose
    cable has come loose and crackles: velocity, envelope and crest factor jump about.
    """
    rng = random.Random(seed)
    fans = {asset: _Fan(rng) for asset in ASSETS}
    for n in count():
        asset = ASSETS[n % len(ASSETS)]
        time_us = timeline.time_us(n)
        calibration = n // len(ASSETS)
        wear = 0.0
        if asset == DRIFTING and timeline.is_drifting(n):
            wear = min(1.0, 0.1 + (n - timeline.drift_at) / WORN_AFTER)
        signals = fans[asset].read(time_us, wear)
        is_loose = asset == FAULTY and timeline.is_faulty(n)
        if is_loose:
            signals |= {
                "velocity": rng.uniform(0.0, 6.5),
                "envelope": rng.uniform(0.5, 2.8),
                "crest": rng.uniform(5.0, 8.0),
            }
        shares = _of_span(signals)
        if calibration < len(CALIBRATION):
            shares = dict.fromkeys(SPANS, CALIBRATION[calibration])
        record = {"event_id": f"c-{n}", "asset": asset, "event_time": time_us // 1_000}
        reading = Reading(
            "fan",
            f"c-{n}",
            asset,
            time_us,
            {**record, **shares},
            truth=wear > 0 or is_loose,
        )
        yield BLEMISHES.on(reading, rng)


def _of_span(signals: dict[str, float]) -> dict[str, float]:
    """Return each signal as a share of its transmitter's span, as 4-20 mA carry it."""
    return {name: (signals[name] - low) / (high - low) for name, (low, high) in SPANS.items()}


class _Fan:
    """One fan: speed follows the dryer's demand over the day; all else follows the speed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._demand = Wandering(rng, sd=25.0, memory=0.95)
        self._unbalance = rng.uniform(0.9, 1.2)
        self._temperature = 45.0

    def read(self, time_us: int, wear: float) -> dict[str, float]:
        """Return the signals in their units; `wear` in [0, 1]."""
        gauss = self._rng.gauss
        day = math.sin(2 * math.pi * (time_us % DAY_US) / DAY_US - 2.0)
        speed = 1_180 + 90 * day + self._demand.step()
        share = speed / 1_200
        velocity = 1.8 * self._unbalance * share**2 + 2.5 * wear**2 + abs(gauss(0, 0.08))
        envelope = 0.35 * share + 1.8 * wear + abs(gauss(0, 0.03))
        steady = 24 + 3 * day + 22 * share + 14 * wear**3
        self._temperature += 0.08 * (steady - self._temperature)
        return {
            "speed": speed,
            "current": 31 * share**3 + 0.8 * wear + gauss(0, 0.3),
            "velocity": velocity,
            "envelope": envelope,
            "crest": 3.2 + 3.0 * math.sqrt(wear) * (1 - 0.5 * wear) + gauss(0, 0.12),
            "bearing_temp": self._temperature + gauss(0, 0.2),
        }

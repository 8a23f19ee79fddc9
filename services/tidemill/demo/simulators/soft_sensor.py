"""Four polymer reactors whose viscosity only the laboratory measures, hours later."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from tidemill.demo.happenings import DAY_US, EPOCH_US, HOUR_US, LabResult, Reading
from tidemill.demo.simulators.blemishes import Blemishes
from tidemill.demo.simulators.wandering import Wandering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.happenings import Happening, Timeline

ASSETS = tuple(f"polymer-west/hall-1/line-{line}/reactor-{n}" for line in (1, 2) for n in (1, 2))
DRIFTING = ASSETS[2]
FAULTY = ASSETS[1]
BLEMISHES = Blemishes("jacket_temp", "feed_flow", "temperature", 850.0)

SAMPLED_EVERY = 5
SHARE_LOST = 0.03
SHARE_TOO_LATE = 0.02
FEEDS_KG_H = (900.0, 1_050.0, 1_200.0)
CAMPAIGN_US = 6 * HOUR_US


def simulate(seed: int, timeline: Timeline) -> Iterator[Happening]:
    """Yield readings round the reactors and, in the order of event time, results of samples.

    Every fifth reading of a reactor is sampled; the result comes two to four hours later, now and
    then after more than the day of the definition, and 3 % get lost. After the drift a
    batch of weaker catalyst makes one reactor's product a third more viscous at equal readings.
    The sensor fault is a pressure transmitter that keeps its last value.
    """
    rng = random.Random(seed)
    reactors = {asset: _Reactor(rng, asset) for asset in ASSETS}
    due: list[tuple[int, int, LabResult]] = []
    for n in count():
        time_us = timeline.time_us(n)
        while due and due[0][0] <= time_us:
            yield heapq.heappop(due)[2]
        asset = ASSETS[n % len(ASSETS)]
        is_drifting = asset == DRIFTING and timeline.is_drifting(n)
        is_stuck = asset == FAULTY and timeline.is_faulty(n)
        record, viscosity = reactors[asset].read(time_us, is_drifting, is_stuck)
        reading = Reading("reactor", f"s-{n}", asset, time_us, {"event_id": f"s-{n}", **record})
        is_sampled = n // len(ASSETS) % SAMPLED_EVERY == 0 and rng.random() >= SHARE_LOST
        sent = BLEMISHES.on(replace(reading, is_sampled=is_sampled), rng)
        if sent.is_sampled:
            result = _result(rng, sent, viscosity)
            heapq.heappush(due, (result.time_us, n, result))
        yield sent


def _result(rng: random.Random, sampled: Reading, viscosity: float) -> LabResult:
    hours = rng.uniform(25, 30) if rng.random() < SHARE_TOO_LATE else rng.triangular(2, 4, 2.5)
    measured = round(viscosity * (1 + rng.gauss(0, 0.01)), 1)
    return LabResult(
        sampled.event_id, sampled.asset, sampled.time_us + int(hours * HOUR_US), measured
    )


class _Reactor:
    """One reactor; its temperature follows feed and cooling water, its pressure the temperature."""

    def __init__(self, rng: random.Random, asset: str) -> None:
        self._rng = rng
        self._asset = asset
        self._phase = rng.uniform(0, CAMPAIGN_US)
        self._heat = Wandering(rng, sd=1.5, memory=0.9)
        self._catalyst = Wandering(rng, sd=0.08, memory=0.95)
        self._feed = Wandering(rng, sd=20.0, memory=0.8)
        self._pressure = 0.0

    def read(
        self, time_us: int, is_drifting: bool, is_stuck: bool
    ) -> tuple[dict[str, object], float]:
        """Return the record without its id, and the viscosity in mPa.s that nobody sees yet."""
        gauss = self._rng.gauss
        campaign = int((time_us - EPOCH_US + self._phase) // CAMPAIGN_US)
        water = 16 + 3 * math.sin(2 * math.pi * (time_us % DAY_US) / DAY_US - 2.0)
        feed = FEEDS_KG_H[campaign % len(FEEDS_KG_H)] + self._feed.step()
        temperature = 78 + 0.012 * (feed - 1_050) + 0.3 * (water - 16) + self._heat.step()
        catalyst = 2.0 + self._catalyst.step()
        jacket = temperature - 0.02 * feed * (1 + 0.05 * (catalyst - 2.0)) + gauss(0, 0.2)
        if not is_stuck:
            self._pressure = 3.2 * math.exp(0.022 * (temperature - 78)) + gauss(0, 0.02)
        log_viscosity = math.log(45) - 0.035 * (temperature - 78) + 0.25 * (feed - 1_050) / 1_050
        log_viscosity -= 0.6 * (catalyst - 2.0)
        viscosity = math.exp(log_viscosity) * (1.35 if is_drifting else 1.0)
        record: dict[str, object] = {
            "asset": self._asset,
            "event_time": time_us,
            "temperature": temperature + gauss(0, 0.1),
            "jacket_temp": jacket,
            "pressure": self._pressure,
            "feed_flow": feed,
            "catalyst_flow": catalyst,
        }
        return record, viscosity

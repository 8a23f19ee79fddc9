"""A seeded plant: several pumps, one of which drifts, and the faults that plants send."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastavro import parse_schema, schemaless_writer

from tidemill.contracts.codec import plain_times, wire_prefix
from tidemill.demo.plant import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSETS = tuple(
    f"bottling-east/{area}/pump-{n}" for area in ("filling", "rinsing") for n in (1, 2, 3)
)
DRIFTING = ASSETS[2]

EPOCH_US = 1_767_225_600_000_000  # 2026-01-01
SHARE_MISSING = 0.01
SHARE_NOT_FINITE = 0.004
SHARE_OUT_OF_RANGE = 0.004
SHARE_UNDECODABLE = 0.002


@dataclass(frozen=True, slots=True)
class Reading:
    """One event as it is sent. `truth` is its bearing temperature in degC, None if undecodable."""

    event_id: str
    asset: str
    value: bytes
    truth: float | None


class Simulator:
    """Sends readings round the pumps, for ever.

    The bearing temperature follows load, speed, vibration and ambient temperature linearly with
    noise of 0.5 degC. From `drift_at` events on, the drifting pump's bearing heats four times as
    much with vibration.

    Args:
        seed: Equal seeds give equal readings.
        schema_id: The locked id of the plant's record.
        drift_at: Number of the event from which on one pump drifts.
        step_us: Event time between two readings.
    """

    def __init__(self, seed: int, schema_id: int, *, drift_at: int, step_us: int) -> None:
        self._rng = random.Random(seed)
        self._prefix = wire_prefix(schema_id)
        self._schema = parse_schema(plain_times(SCHEMA))
        self._drift_at = drift_at
        self._step_us = step_us

    def readings(self) -> Iterator[Reading]:
        """Yield readings without end."""
        n = 0
        while True:
            yield self._reading(n, ASSETS[n % len(ASSETS)])
            n += 1

    def _reading(self, n: int, asset: str) -> Reading:
        rng = self._rng
        phase = 2 * math.pi * n / 5_000
        load = 90 + 40 * math.sin(phase) + rng.gauss(0, 8)
        speed = 1_500 + 6 * load + rng.gauss(0, 60)
        vibration = abs(rng.gauss(4, 1.5))
        ambient = 20 + 6 * math.sin(phase / 3) + rng.gauss(0, 1)
        per_mm = 6.0 if asset == DRIFTING and n >= self._drift_at else 1.5
        truth = 25 + 0.15 * load + 0.004 * speed + per_mm * vibration + 0.6 * ambient
        truth += rng.gauss(0, 0.5)
        record = {
            "event_id": f"r-{n}",
            "asset": asset,
            "event_time": EPOCH_US + n * self._step_us,
            "load": load,
            "speed": speed,
            "vibration": vibration,
            "ambient": ambient,
            "bearing_temp": truth,
        }
        return self._as_sent(record, truth)

    def _as_sent(self, record: dict[str, object], truth: float) -> Reading:
        event_id, asset = str(record["event_id"]), str(record["asset"])
        draw = self._rng.random()
        if draw < SHARE_UNDECODABLE:
            return Reading(event_id, asset, self._prefix + b"\xff broken", None)
        for share, fault in (
            (SHARE_MISSING, {"ambient": None}),
            (SHARE_NOT_FINITE, {"vibration": math.nan}),
            (SHARE_OUT_OF_RANGE, {"load": 900.0}),
        ):
            draw -= share
            if draw < SHARE_UNDECODABLE:
                record.update(fault)
                break
        stream = io.BytesIO()
        schemaless_writer(stream, self._schema, record)
        return Reading(event_id, asset, self._prefix + stream.getvalue(), truth)

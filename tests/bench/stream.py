"""The input: seeded events of 20 assets, as bytes, and what plain River predicts for them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import fastavro

from bench.peers.job import EVENT_SCHEMA, FEATURES, HEADER, build_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSETS = tuple(f"site/area/line/machine-{number:02d}" for number in range(20))
PARTITIONS = 4
EVENT_ID = 1_500_001_000  # the first id of a plant's lock file
SEED = 3
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
STEP_US = 50_000
NOISE = 0.1


class Reading(NamedTuple):
    """One event before it is encoded; `x` in the order of the schema."""

    number: int
    asset: str
    x: dict[str, float]
    y: float

    @property
    def event_id(self) -> str:
        """Name the event; unique in the stream."""
        return f"event-{self.number:07d}"


class Encoded(NamedTuple):
    """One event as it is produced."""

    partition: int
    key: bytes
    value: bytes


def build_readings(events: int) -> Iterator[Reading]:
    """Yield the first `events` readings of the one seeded stream, the assets in turn."""
    random_numbers = random.Random(SEED)
    weights = {asset: [random_numbers.gauss(0, 1) for _ in FEATURES] for asset in ASSETS}
    for number in range(events):
        asset = ASSETS[number % len(ASSETS)]
        values = [random_numbers.gauss(0, 1) for _ in FEATURES]
        y = sum(w * v for w, v in zip(weights[asset], values, strict=True))
        y += random_numbers.gauss(0, NOISE)
        yield Reading(number, asset, dict(zip(FEATURES, values, strict=True)), y)


def encode_readings(events: int) -> list[Encoded]:
    """Return the first `events` readings in wire format, each with its asset's partition."""
    schema = fastavro.parse_schema(EVENT_SCHEMA)
    encoded = []
    for reading in build_readings(events):
        stream = io.BytesIO()
        stream.write(HEADER.pack(0, EVENT_ID))
        record = {
            "event_id": reading.event_id,
            "asset": reading.asset,
            "event_time": START_US + reading.number * STEP_US,
            **reading.x,
            "y": reading.y,
        }
        fastavro.schemaless_writer(stream, schema, record)
        partition = ASSETS.index(reading.asset) % PARTITIONS
        encoded.append(Encoded(partition, reading.asset.encode(), stream.getvalue()))
    return encoded


@dataclass(frozen=True, slots=True)
class Reference:
    """What a plain River loop predicts for the first events of one asset, by event id."""

    asset: str
    values: dict[str, float]


def build_reference(events: int, first: int) -> Reference:
    """Predict and learn the first `first` events of the first asset, without any engine."""
    asset = ASSETS[0]
    pipeline = build_pipeline()
    values: dict[str, float] = {}
    for reading in build_readings(min(events, first * len(ASSETS))):
        if reading.asset == asset:
            values[reading.event_id] = pipeline.predict_one(reading.x)
            pipeline.learn_one(reading.x, reading.y)
    return Reference(asset, values)

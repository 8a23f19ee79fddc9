"""The demo's plant: its definition and its own Avro record."""

from __future__ import annotations

PLANT = "bottling-east"
PARTITIONS = 4
STREAM = "pump"
RECORD = "plant.PumpReading"

DEFINITION = f"""\
plant: {PLANT}
partitions: {PARTITIONS}
schemas: ./avro
streams:
  {STREAM}:
    event: {RECORD}
    asset: asset
    time: event_time
    id: event_id
    features:
      load: {{unit: kW, range: [0, 200]}}
      speed: {{unit: rpm, range: [0, 4000]}}
      vibration: {{unit: mm/s, range: [0, 50]}}
      ambient: {{unit: degC, range: [-20, 60]}}
    target:
      field: {{name: bearing_temp, kind: regression}}
    model:
      champion: [preprocessing.StandardScaler, linear_model.LinearRegression]
"""

SCHEMA = {
    "type": "record",
    "name": "PumpReading",
    "namespace": "plant",
    "doc": "One reading of one pump, as its controller sends it.",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "asset", "type": "string"},
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "load", "type": ["null", "double"], "doc": "kW", "default": None},
        {"name": "speed", "type": ["null", "double"], "doc": "rpm", "default": None},
        {"name": "vibration", "type": ["null", "double"], "doc": "mm/s", "default": None},
        {"name": "ambient", "type": ["null", "double"], "doc": "degC", "default": None},
        {"name": "bearing_temp", "type": ["null", "double"], "doc": "degC", "default": None},
    ],
}

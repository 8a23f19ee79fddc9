"""A plant's folder on disk, for tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidemill.runtime.locking import lock_records

if TYPE_CHECKING:
    from pathlib import Path

MICROS = {"type": "long", "logicalType": "timestamp-micros"}
TEXT = """\
plant: works
partitions: 4
schemas: ./avro
streams:
  press:
    event: plant.Press
    asset: asset
    time: time
    id: event_id
    features:
      force: {range: [0, 100]}
      count: {}
      recipe: {kind: nominal}
    target:
      label: {name: scrap, kind: binary, classes: [0, 1], ttl: 8h}
    model:
      champion: [tree.HoeffdingTreeClassifier]
"""
FIELDS: list[dict[str, Any]] = [  # Any: Avro schemas in JSON
    {"name": "asset", "type": "string"},
    {"name": "time", "type": MICROS},
    {"name": "event_id", "type": "string"},
    {"name": "force", "type": ["null", "double"], "default": None},
    {"name": "count", "type": ["null", "long"], "default": None},
    {"name": "recipe", "type": ["null", "string"], "default": None},
]
PRESS = {"type": "record", "name": "Press", "namespace": "plant", "fields": FIELDS}


def write_plant(
    folder: Path, text: str = TEXT, *records: dict[str, Any], lock: bool = True
) -> Path:
    """Write a definition and its records (by default `PRESS`); return the definition's path."""
    avro = folder / "avro"
    avro.mkdir(parents=True, exist_ok=True)
    for record in records or (PRESS,):
        (avro / f"{record['name']}.avsc").write_text(json.dumps(record), "utf-8")
    (folder / "plant.yaml").write_text(text, "utf-8")
    if lock:
        lock_records(avro)
    return folder / "plant.yaml"

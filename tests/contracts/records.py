"""Records of an imagined plant, for tests."""

from __future__ import annotations

from typing import Any

from tidemill.contracts.definition import PlantDefinition, parse_definition

NULL_DOUBLE = ["null", "double"]
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def record(**fields: Any) -> dict[str, Any]:  # Any: Avro schemas in JSON
    """Return the record `plant.Reading`; a tuple gives type and default."""
    return {
        "type": "record",
        "name": "Reading",
        "namespace": "plant",
        "fields": [
            {"name": name, "type": kind[0], "default": kind[1]}
            if isinstance(kind, tuple)
            else {"name": name, "type": kind}
            for name, kind in fields.items()
        ],
    }


def plant(target: str = "ahead: {field: x, after: 1}", **parts: str) -> PlantDefinition:
    """Return a plant whose one stream reads `plant.Reading`."""
    given = {"asset": "asset", "time": "time", "features": "{x: {}}", **parts}
    lines = "\n".join(f"    {key}: {value}" for key, value in given.items())
    return parse_definition(
        "plant: p\npartitions: 4\nschemas: ./avro\nstreams:\n  s:\n    event: plant.Reading\n"
        f"{lines}\n    target: {{{target}}}\n"
        "    model: {champion: [linear_model.LinearRegression]}\n"
    )

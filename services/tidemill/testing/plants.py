"""A small sample plant for tests: its definition, its records, its updates, as bytes."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_writer

from tidemill.contracts.codec import codec, plain_times, wire_prefix
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.id_lock import PLANT_IDS_START
from tidemill.fold.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STREAM = "pump"
FEATURES = ("vibration", "temperature", "flow")
RECORD_ID = PLANT_IDS_START
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
STEP_US = 1_000_000

LINEAR = ("preprocessing.StandardScaler", "linear_model.LinearRegression")
LOGISTIC = ("preprocessing.StandardScaler", "linear_model.LogisticRegression")

RECORD: dict[str, object] = {
    "type": "record",
    "name": "PumpReading",
    "namespace": "plant",
    "fields": [
        {"name": "asset", "type": "string"},
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "event_id", "type": "string"},
        *({"name": name, "type": ["null", "double"], "default": None} for name in FEATURES),
        {"name": "wear", "type": ["null", "double"], "default": None},
        {"name": "is_faulty", "type": ["null", "boolean"], "default": None},
    ],
}

_PARSED = parse_schema(plain_times(RECORD))

TARGETS: Mapping[str, Mapping[str, object]] = {
    "regression": {"name": "wear", "kind": "regression"},
    "binary": {"name": "is_faulty", "kind": "binary", "classes": [False, True]},
}


def sample_definition(
    champion: Sequence[str | Mapping[str, object]] = LINEAR,
    *,
    kind: str = "regression",
    challengers: Mapping[str, Sequence[str | Mapping[str, object]]] | None = None,
    partitions: int = 2,
    memory: str = "8MiB",
    stream: Mapping[str, object] | None = None,
) -> str:
    """Return the text of the sample plant's definition.

    Args:
        champion: The pipeline, as `plant.yaml` writes it.
        kind: regression (of `wear`) or binary (of `is_faulty`).
        challengers: Further pipelines by name.
        partitions: Of every topic.
        memory: The budget of one model.
        stream: Other keys of the stream, or other values for its keys.
    """
    model = {
        "champion": list(champion),
        "challengers": {name: list(steps) for name, steps in (challengers or {}).items()},
        "memory": memory,
    }
    pump = {
        "event": "plant.PumpReading",
        "asset": "asset",
        "time": "event_time",
        "id": "event_id",
        "features": {
            "vibration": {"unit": "mm/s"},
            "temperature": {"unit": "degC", "range": [-1000, 1000]},
            "flow": {},
        },
        "target": {"field": TARGETS[kind]},
        "model": model,
        **(stream or {}),
    }
    plant = {
        "plant": "sample",
        "partitions": partitions,
        "schemas": "./avro",
        "streams": {STREAM: pump},
    }
    return json.dumps(plant)


def sample_terms(
    champion: Sequence[str | Mapping[str, object]] = LINEAR,
    *,
    kind: str = "regression",
    challengers: Mapping[str, Sequence[str | Mapping[str, object]]] | None = None,
    partitions: int = 2,
    memory: str = "8MiB",
    stream: Mapping[str, object] | None = None,
) -> Terms:
    """Return the sample plant's terms; arguments as in `sample_definition`."""
    text = sample_definition(
        champion,
        kind=kind,
        challengers=challengers,
        partitions=partitions,
        memory=memory,
        stream=stream,
    )
    return Terms(parse_definition(text), {RECORD_ID: RECORD})


def event_value(
    asset: str, number: int, x: Mapping[str, float | None], y: float | bool | None = None
) -> bytes:
    """Return one sensor event in wire format.

    Args:
        asset: Which asset.
        number: Names the event `e<number>` and sets its time, a second apart.
        x: Features by name; those left out are null.
        y: A truth value goes to `is_faulty`, a number to `wear`.
    """
    record: dict[str, object] = {
        "asset": asset,
        "event_time": START_US + number * STEP_US,
        "event_id": f"e{number}",
        **x,
    }
    if y is not None:
        record["is_faulty" if isinstance(y, bool) else "wear"] = y
    stream = io.BytesIO(wire_prefix(RECORD_ID))
    stream.seek(0, io.SEEK_END)
    schemaless_writer(stream, _PARSED, record)
    return stream.getvalue()


def update_value(
    asset: str,
    cause: int,
    x: Mapping[str, float | str | bool | None],
    label: float | bool | str | None,
    **fields: Any,  # Any: the values of an Avro record
) -> bytes:
    """Return one `EXAMPLE` update in wire format.

    Args:
        asset: Which asset.
        cause: Offset in `plant.labels` of what completed the example.
        x: Features by name.
        label: The answer.
        fields: Any other field of `Update`, in place of its default.
    """
    record: dict[str, object] = {
        "update_id": f"u{cause}",
        "cause": {"topic": "plant.labels", "partition": 0, "offset": cause, "index": 0},
        "asset": asset,
        "stream": STREAM,
        "kind": "EXAMPLE",
        "features": dict(x),
        "label": label,
        "origin": "label",
        "time": START_US + cause * STEP_US,
        **fields,
    }
    return codec("Update").encode(record)

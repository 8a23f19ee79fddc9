"""The plant of the proofs: its definition, its records, and their bytes."""

from __future__ import annotations

import io
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from fastavro import parse_schema, schemaless_writer

from chaos.data import LOOP, LOOP_FEATURES, POWER, POWER_FEATURES
from tidemill.contracts.codec import codec, plain_times, wire_prefix
from tidemill.contracts.id_lock import LOCK_FILE, PLANT_IDS_START, lock_ids, lock_text
from tidemill.contracts.topics import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from chaos.data import Row

NAME = "proof"
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
STEP_US = 1_000_000

FEATURES = {POWER: POWER_FEATURES, LOOP: LOOP_FEATURES}
TARGETS = {POWER: "class", LOOP: "flow"}
CLASSES = ("0", "1")

SCALED = "preprocessing.StandardScaler"
CLASSIFIER = "tree.HoeffdingTreeClassifier"
REGRESSOR = "tree.HoeffdingTreeRegressor"

# In one stream the tree serves, in the other the linear model does.
MODELS: Mapping[str, Mapping[str, Any]] = {  # Any: River's parameters
    POWER: {
        "champion": [SCALED, "linear_model.LogisticRegression"],
        "challengers": {"tree": [CLASSIFIER]},
    },
    LOOP: {
        "champion": [REGRESSOR],
        "challengers": {"line": [SCALED, "linear_model.LinearRegression"]},
    },
}


def _record(stream: str) -> dict[str, Any]:  # Any: an Avro schema
    target = "int" if stream == POWER else "double"
    return {
        "type": "record",
        "name": stream.capitalize(),
        "namespace": "proof",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "asset", "type": "string"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            *(
                {"name": name, "type": ["null", "double"], "default": None}
                for name in FEATURES[stream]
            ),
            {"name": TARGETS[stream], "type": ["null", target], "default": None},
        ],
    }


RECORDS = {stream: _record(stream) for stream in FEATURES}
LOCK = lock_ids({}, RECORDS.values(), PLANT_IDS_START)
IDS = {schema["name"].lower(): schema_id for schema_id, schema in LOCK.items()}
_PARSED = {stream: parse_schema(plain_times(schema)) for stream, schema in RECORDS.items()}


@dataclass(frozen=True, slots=True)
class PlantText:
    """What differs between the plants of the proofs; `memory` is the budget of one model."""

    partitions: int = 4
    memory: str = "8MiB"
    models: Mapping[str, Any] = field(default_factory=lambda: MODELS)  # Any: as in MODELS

    def definition(self) -> str:
        """Return the text of `plant.yaml`."""
        streams = {stream: self._stream(stream) for stream in FEATURES}
        plant = {"plant": NAME, "partitions": self.partitions, "schemas": "./avro"}
        return json.dumps({**plant, "streams": streams}, indent=1)

    def _stream(self, stream: str) -> dict[str, Any]:  # Any: a part of the definition
        target: dict[str, Any] = {"name": TARGETS[stream], "kind": "regression"}  # Any: as above
        if stream == POWER:
            target |= {"kind": "binary", "classes": [0, 1]}
        return {
            "event": f"proof.{stream.capitalize()}",
            "asset": "asset",
            "time": "at",
            "id": "id",
            "features": {name: {} for name in FEATURES[stream]},
            "target": {"field": target},
            "model": {**self.models[stream], "memory": self.memory},
        }

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write definition, records, lock and a signing key; return definition and key file."""
        return write_plant(folder, self.definition(), LOCK)


class Plant(Protocol):
    """What a mesh is told of its plant."""

    @property
    def partitions(self) -> int:
        """Of every topic."""

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write all that a learner reads; return definition and key file."""


def write_plant(
    folder: Path,
    definition: str,
    lock: Mapping[int, dict[str, Any]],  # Any: Avro schemas
) -> tuple[Path, Path]:
    """Write definition, records, lock and a signing key; return definition and key file."""
    schemas = folder / "avro"
    schemas.mkdir(parents=True)
    for schema in lock.values():
        (schemas / f"{schema['name'].lower()}.avsc").write_text(json.dumps(schema), "utf-8")
    (schemas / LOCK_FILE).write_text(lock_text(lock), "utf-8")
    key = folder / "signing.key"
    key.write_text(secrets.token_hex(32), "ascii")
    key.chmod(0o600)
    path = folder / "plant.yaml"
    path.write_text(definition, "utf-8")
    return path, key


def event_id(number: int) -> str:
    """Return the id of the event with this number."""
    return f"e{number}"


def event_fields(row: Row, number: int) -> dict[str, Any]:  # Any: the values of an Avro record
    """Return the fields of a row as the plant's record names them."""
    return {
        "id": event_id(number),
        "asset": row.asset,
        "at": START_US + number * STEP_US,
        **dict(zip(FEATURES[row.stream], row.x, strict=True)),
        TARGETS[row.stream]: int(row.y) if row.stream == POWER else row.y,
    }


def event_value(row: Row, number: int) -> bytes:
    """Return one sensor event in wire format."""
    stream = io.BytesIO(wire_prefix(IDS[row.stream]))
    stream.seek(0, io.SEEK_END)
    schemaless_writer(stream, _PARSED[row.stream], event_fields(row, number))
    return stream.getvalue()


def example_value(row: Row, *, cause: tuple[int, int], model: str | None, weight: float) -> bytes:
    """Return one `EXAMPLE` update in wire format, as a label would have caused it.

    Args:
        cause: Partition and offset of that label.
        model: Which model learns it; None means all of the stream.
    """
    partition, offset = cause
    return codec("Update").encode(
        {
            "update_id": f"u{partition}-{offset}",
            "cause": {"topic": LABELS, "partition": partition, "offset": offset, "index": 0},
            "asset": row.asset,
            "stream": row.stream,
            "model": model,
            "kind": "EXAMPLE",
            "features": dict(zip(FEATURES[row.stream], row.x, strict=True)),
            "label": CLASSES[int(row.y)] if row.stream == POWER else row.y,
            "weight": weight,
            "origin": "label",
            "time": START_US + offset * STEP_US,
        }
    )


def model_names(models: Mapping[str, Any], stream: str) -> Sequence[str]:  # Any: as in MODELS
    """Return the names of a stream's models, champion first."""
    challengers = sorted(models[stream].get("challengers", {}))
    return [f"{stream}/champion", *(f"{stream}/{name}" for name in challengers)]

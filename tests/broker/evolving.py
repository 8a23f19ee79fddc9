"""A plant whose record changes while it runs: its versions, their bytes, and plain River."""

from __future__ import annotations

import io
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema, schemaless_writer
from river import linear_model, preprocessing

from chaos.plant import NAME, START_US, STEP_US, write_plant
from tidemill.contracts.codec import plain_times, wire_prefix
from tidemill.contracts.id_lock import PLANT_IDS_START

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Schema = dict[str, Any]  # Any: an Avro schema in JSON

FEATURES = ("load", "temperature", "flow")
EVENT = "evolving.Mill"
PARTITIONS = 2
ASSETS = tuple(f"mill/{number}" for number in range(PARTITIONS))


def _sensor(name: str, kind: str, **more: object) -> Schema:
    return {"name": name, "type": ["null", kind], "default": None, **more}


def _version(*sensors: Schema) -> Schema:
    fields = [
        {"name": "id", "type": "string"},
        {"name": "asset", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        _sensor("wear", "double"),
    ]
    return {
        "type": "record",
        "name": "Mill",
        "namespace": "evolving",
        "fields": [*fields, *sensors],
    }


_BURDEN = _sensor("burden", "double", aliases=["load"])

FIRST = _version(_sensor("load", "double"), _sensor("temperature", "int"), _sensor("flow", "float"))
# In the order in which plants come to them; each reads what those before it wrote.
LATER: Mapping[str, Schema] = {
    "a sensor added": _version(*FIRST["fields"][4:], _sensor("humidity", "double")),
    "a sensor removed": _version(_sensor("load", "double"), _sensor("temperature", "int")),
    "a sensor renamed": _version(_BURDEN, _sensor("temperature", "int")),
    "int to long": _version(_BURDEN, _sensor("temperature", "long")),
    "long to double": _version(_BURDEN, _sensor("temperature", "double")),
}


def definition(champion: object = None) -> str:
    """Return the text of `plant.yaml`."""
    steps = ["preprocessing.StandardScaler", "linear_model.LinearRegression"]
    stream = {
        "event": EVENT,
        "asset": "asset",
        "time": "at",
        "id": "id",
        "features": {name: {} for name in FEATURES},
        "target": {"field": {"name": "wear", "kind": "regression"}},
        "model": {"champion": champion or steps},
    }
    plant = {"plant": NAME, "partitions": PARTITIONS, "schemas": "./avro"}
    return json.dumps({**plant, "streams": {"mill": stream}})


@dataclass(frozen=True, slots=True)
class EvolvingPlant:
    """The plant's files as they are at first; see `chaos.plant.Plant`."""

    partitions: int = PARTITIONS

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write all that a learner reads; return definition and key file."""
        return write_plant(folder, definition(), {PLANT_IDS_START: FIRST})


class Reading(NamedTuple):
    """What a mill's sensors and its laboratory say; `x` under the definition's names."""

    number: int
    x: Mapping[str, float]
    wear: float

    @property
    def partition(self) -> int:
        """Where it is written."""
        return self.number % PARTITIONS

    @property
    def asset(self) -> str:
        """Whose it is."""
        return ASSETS[self.partition]


def readings(seed: int) -> Iterator[Reading]:
    """Yield readings without end."""
    rng = random.Random(seed)
    number = 0
    while True:
        load, temperature = rng.uniform(0, 9), rng.randrange(20, 90)
        flow = rng.randrange(64) / 8  # a float holds it exactly
        x = {"load": load, "temperature": float(temperature), "flow": flow}
        yield Reading(number, x, 0.5 * load + 0.01 * temperature - flow + rng.gauss(0, 0.1))
        number += 1


class Writer:
    """Writes as one version of the record says."""

    def __init__(self, schema_id: int, schema: Schema) -> None:
        self._prefix = wire_prefix(schema_id)
        self._parsed = parse_schema(plain_times(schema))
        # By the definition's name, how the sensor is called here.
        self._called = {
            name: field["name"]
            for field in schema["fields"]
            for name in (field["name"], *field.get("aliases", ()))
            if name in FEATURES
        }
        whole = (["null", "int"], ["null", "long"])
        self._whole = {field["name"] for field in schema["fields"] if field["type"] in whole}

    def value(self, reading: Reading) -> bytes:
        """Return a reading in wire format."""
        sensors = {called: reading.x[name] for name, called in self._called.items()}
        record = {
            "id": f"e{reading.number}",
            "asset": reading.asset,
            "at": START_US + reading.number * STEP_US,
            "wear": reading.wear,
            **{n: int(v) if n in self._whole else v for n, v in sensors.items()},
        }
        stream = io.BytesIO(self._prefix)
        stream.seek(0, io.SEEK_END)
        schemaless_writer(stream, self._parsed, record)
        return stream.getvalue()

    def seen(self, reading: Reading) -> dict[str, float]:
        """Return what a model may see of it."""
        return {name: reading.x[name] for name in FEATURES if name in self._called}


class PlainRiver:
    """One model per mill, as anyone would write it."""

    def __init__(self) -> None:
        self._models = {
            asset: preprocessing.StandardScaler() | linear_model.LinearRegression()
            for asset in ASSETS
        }

    def say_and_learn(self, reading: Reading, x: dict[str, float]) -> float:
        """Return a prediction, then learn."""
        model = self._models[reading.asset]
        said: float = model.predict_one(x)
        model.learn_one(x, reading.wear)
        return said

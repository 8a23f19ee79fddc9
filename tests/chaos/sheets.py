"""Plants of any number of streams, each described by a sheet: its fields, models and options."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema, schemaless_writer

from chaos.feeding import Outgoing
from chaos.inputs import Seats
from chaos.plant import NAME, START_US, STEP_US, event_id, write_plant
from tidemill.contracts.codec import plain_times, wire_prefix
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.id_lock import PLANT_IDS_START, lock_ids
from tidemill.contracts.topics import EVENTS
from tidemill.fold.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

ANSWER = "answer"
AVRO_KINDS = {"regression": "double", "binary": "int", "multiclass": "string"}

X = dict[str, Any]  # Any: numbers and texts, None where nothing was read


class Reading(NamedTuple):
    """One row: of which sheet and asset, its features in order, and the answer."""

    sheet: str
    asset: str
    x: X
    y: Any = None  # Any: a number, 0 or 1, or the name of a class


@dataclass(frozen=True, slots=True)
class Sheet:
    """One stream of a plant.

    Attributes:
        kind: Of the answer, which stands in the event; None asks for anomalies.
        model: As the definition has it: champion, challengers, repeat.
        features: Settings of single features.
        options: Further keys of the stream.
        order: Of the features; numbers before the rest if it is not given.
    """

    name: str
    numbers: Sequence[str]
    model: Mapping[str, Any]  # Any: River's parameters
    kind: str | None = "regression"
    nominal: Sequence[str] = ()
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # Any: as above
    options: Mapping[str, Any] = field(default_factory=dict)  # Any: as above
    order: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All features, in the order in which models see them."""
        return tuple(self.order) or (*self.numbers, *self.nominal)

    @property
    def record(self) -> dict[str, Any]:  # Any: an Avro schema
        """The plant's own record."""
        types = {**dict.fromkeys(self.numbers, "double"), **dict.fromkeys(self.nominal, "string")}
        if self.kind is not None:
            types[ANSWER] = AVRO_KINDS[self.kind]
        return {
            "type": "record",
            "name": self.name.capitalize(),
            "namespace": "proof",
            "fields": [
                {"name": "id", "type": "string"},
                {"name": "asset", "type": "string"},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
                *(
                    {"name": name, "type": ["null", kind], "default": None}
                    for name, kind in types.items()
                ),
            ],
        }

    def stream(self, memory: str) -> dict[str, Any]:  # Any: a part of the definition
        """Return the stream as the definition has it; `memory` is the budget of one model."""
        features: dict[str, dict[str, Any]] = {name: {} for name in self.numbers}  # Any: as above
        features |= {name: {"kind": "nominal"} for name in self.nominal}
        target: dict[str, Any] = {"name": ANSWER, "kind": self.kind}  # Any: as above
        if self.kind == "binary":
            target["classes"] = [0, 1]
        return {
            "event": f"proof.{self.name.capitalize()}",
            "asset": "asset",
            "time": "at",
            "id": "id",
            "features": {
                name: {**features[name], **self.features.get(name, {})} for name in self.names
            },
            "target": "none" if self.kind is None else {"field": target},
            "model": {**self.model, "memory": memory},
            **self.options,
        }


@dataclass(frozen=True)
class SheetPlant:
    """A plant with a stream for each sheet; `memory` is the budget of one model."""

    sheets: Sequence[Sheet]
    partitions: int = 4
    memory: str = "64MiB"

    def definition(self) -> str:
        """Return the text of `plant.yaml`."""
        streams = {sheet.name: sheet.stream(self.memory) for sheet in self.sheets}
        plant = {"plant": NAME, "partitions": self.partitions, "schemas": "./avro"}
        return json.dumps({**plant, "streams": streams}, indent=1)

    @cached_property
    def lock(self) -> dict[int, dict[str, Any]]:  # Any: Avro schemas
        """The records by schema id."""
        return lock_ids({}, [sheet.record for sheet in self.sheets], PLANT_IDS_START)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write definition, records, lock and a signing key; return definition and key file."""
        return write_plant(folder, self.definition(), self.lock)

    def terms(self) -> Terms:
        """Return what a fold works under, without any broker."""
        return Terms(parse_definition(self.definition()), self.lock)

    @cached_property
    def _writers(self) -> dict[str, tuple[bytes, Any]]:  # Any: a schema as fastavro parsed it
        return {
            schema["name"].lower(): (wire_prefix(number), parse_schema(plain_times(schema)))
            for number, schema in self.lock.items()
        }

    def value(self, reading: Reading, number: int, *, after_us: int = 0) -> bytes:
        """Return one sensor event in wire format; `after_us` is added to its time."""
        prefix, schema = self._writers[reading.sheet]
        stream = io.BytesIO(prefix)
        stream.seek(0, io.SEEK_END)
        event = {
            "id": event_id(number),
            "asset": reading.asset,
            "at": START_US + number * STEP_US + after_us,
            **reading.x,
        }
        if reading.y is not None:
            event[ANSWER] = reading.y
        schemaless_writer(stream, schema, event)
        return stream.getvalue()

    def events(self, readings: Iterable[Reading]) -> Iterator[Outgoing]:
        """Yield readings as sensor events, numbered from 0, the assets dealt over partitions."""
        seats = Seats(self.partitions)
        for number, reading in enumerate(readings):
            key = reading.asset.encode()
            yield Outgoing(EVENTS, seats.of(reading.asset), key, self.value(reading, number))

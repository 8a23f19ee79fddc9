"""Readings as the plant's gateway sends them: its own Avro records in wire format."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fastavro import parse_schema, schemaless_writer

from tidemill.contracts.codec import plain_times, wire_prefix
from tidemill.contracts.id_lock import locked_id
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from tidemill.contracts.codec import JsonSchema
    from tidemill.demo.happenings import Reading
    from tidemill.runtime.plant_files import Plant


class Encoder:
    """Encodes the readings of one plant with its locked ids."""

    def __init__(self, plant: Plant) -> None:
        self._by_stream = {
            stream.name: _writer(plant, stream.event) for stream in plant.definition.streams
        }

    def encode(self, reading: Reading) -> bytes:
        """Return the bytes that are sent for a reading."""
        prefix, schema = self._by_stream[reading.stream]
        if reading.is_broken:
            return prefix + b"\xff broken"
        stream = io.BytesIO()
        schemaless_writer(stream, schema, reading.record)
        return prefix + stream.getvalue()


def _writer(plant: Plant, event: str) -> tuple[bytes, JsonSchema]:
    schema = plant.schemas[event]
    schema_id = locked_id(plant.writer_schemas, schema)
    if schema_id is None:
        msg = f"{event} must have a locked id, `read_plant` let it pass without"
        raise InvariantError(msg)
    return wire_prefix(schema_id), parse_schema(plain_times(schema))

"""Confluent's wire format and our own records in it."""

from __future__ import annotations

import io
import json
import re
import struct
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError

from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = 0
PREFIX = struct.Struct(">bI")

# What fastavro lets through when bytes are not what the schema says, or what the newest holds.
DECODE_ERRORS = (
    EOFError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    AttributeError,
    RecursionError,
    SchemaResolutionError,
    StopIteration,
    struct.error,
)

_ADDRESS = re.compile(r" from <[^>]*>")

JsonSchema = Any  # an Avro schema in JSON is a str, list or dict, nested


def wire_prefix(schema_id: int) -> bytes:
    """Return the five bytes that precede a value written with `schema_id`."""
    return PREFIX.pack(MAGIC, schema_id)


def schema_id_of(value: bytes | None) -> int:
    """Return the schema id in front of `value`.

    Raises:
        InvalidRecordError: No value, too short, or not in wire format.
    """
    if value is None or len(value) < PREFIX.size:
        found = "no value" if value is None else f"{len(value)} bytes"
        raise InvalidRecordError(
            DeadLetterReason.UNDECODABLE, f"a value must start with 5 bytes of prefix, was {found}"
        )
    magic, schema_id = PREFIX.unpack_from(value)
    if magic != MAGIC:
        raise InvalidRecordError(
            DeadLetterReason.UNDECODABLE, f"the first byte must be 0, was {value[0]}"
        )
    return int(schema_id)


def plain_times(schema: JsonSchema) -> JsonSchema:
    """Return `schema` without logical types: times stay integers, which is exact and faster."""
    if isinstance(schema, list):
        return [plain_times(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: plain_times(part) if key in {"type", "items", "values", "fields"} else part
        for key, part in schema.items()
        if key != "logicalType"
    }


def read_exactly(value: bytes, writer: JsonSchema, reader: JsonSchema | None) -> Any:  # Any: Avro
    """Decode all bytes behind the prefix.

    Raises:
        InvalidRecordError: The bytes are not one value of `writer`, or bytes remain.
    """
    stream = io.BytesIO(value)
    stream.seek(PREFIX.size)
    try:
        record = schemaless_reader(stream, writer, reader)
    except DECODE_ERRORS as error:
        raise InvalidRecordError(
            DeadLetterReason.UNDECODABLE, f"the bytes must be one record, {_described(error)}"
        ) from error
    if stream.tell() != len(value):
        raise InvalidRecordError(
            DeadLetterReason.UNDECODABLE,
            f"the record must end with the value, {len(value) - stream.tell()} bytes remain",
        )
    return record


def _described(error: Exception) -> str:
    """Return what a decoder says, without addresses in memory: equal records, equal words."""
    return f"found {type(error).__name__}: {_ADDRESS.sub('', str(error))}"


@dataclass(frozen=True, slots=True)
class Codec:
    """One of our own records: encodes with its locked id, decodes what any locked id wrote."""

    schema_id: int
    schema: JsonSchema
    writers: Mapping[int, JsonSchema]

    def encode(self, record: Mapping[str, object], *, as_id: int | None = None) -> bytes:
        """Return `record` in wire format; times are integer microseconds.

        Args:
            as_id: A locked id of this record, to write what an older release wrote; by default
                the newest.
        """
        schema_id = self.schema_id if as_id is None else as_id
        schema = self.schema if as_id is None else self.writers[as_id]
        stream = io.BytesIO(wire_prefix(schema_id))
        stream.seek(PREFIX.size)
        schemaless_writer(stream, schema, record)
        return stream.getvalue()

    def decode(self, value: bytes | None) -> dict[str, Any]:  # Any: the values of an Avro record
        """Return the record in `value`.

        Raises:
            InvalidRecordError: Not wire format, an id unknown here, or bytes that do not fit.
        """
        schema_id = schema_id_of(value)
        assert value is not None
        writer = self.writers.get(schema_id)
        if writer is None:
            raise InvalidRecordError(
                DeadLetterReason.UNKNOWN_SCHEMA,
                f"the schema id must be one of {sorted(self.writers)}, was {schema_id}",
            )
        reader = None if schema_id == self.schema_id else self.schema
        record: dict[str, Any] = read_exactly(value, writer, reader)
        return record


def record_name(schema: JsonSchema) -> str:
    """Return the full name of a record schema."""
    namespace = schema.get("namespace", "")
    name = str(schema["name"])
    return name if "." in name or not namespace else f"{namespace}.{name}"


@cache
def our_lock() -> dict[int, JsonSchema]:
    """Return our own schemas by locked id."""
    text = (resources.files("tidemill") / "schemas" / "ids.lock.json").read_text("utf-8")
    return {int(key): schema for key, schema in json.loads(text)["ids"].items()}


@cache
def codec(name: str) -> Codec:
    """Return the codec of our record `tidemill.<name>`, writing with its newest locked id."""
    writers = {
        schema_id: parse_schema(plain_times(schema))
        for schema_id, schema in our_lock().items()
        if record_name(schema) == f"tidemill.{name}"
    }
    newest = max(writers)
    return Codec(newest, writers[newest], writers)

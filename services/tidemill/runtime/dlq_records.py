"""The records of one topic, read and written by any of their writer schemas, never resolved."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_writer
from fastavro.validation import ValidationError, validate

from tidemill.contracts.avro import kind_of
from tidemill.contracts.codec import (
    DECODE_ERRORS,
    plain_times,
    read_exactly,
    record_name,
    schema_id_of,
    wire_prefix,
)
from tidemill.contracts.events import time_unit
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.codec import JsonSchema
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import StreamDefinition

Values = dict[str, Any]  # Any: Avro values
_WHOLE = frozenset({"int", "long"})
_REAL = frozenset({"float", "double"})


class UnfixableError(Exception):
    """A record that cannot become what it should be; the text says why."""


class TopicRecords:
    """Every schema that records of one topic may have been written with.

    Args:
        schemas: By id.
        definition: Says which fields carry asset, time and id; None for records of our own.
    """

    def __init__(
        self, schemas: Mapping[int, JsonSchema], definition: PlantDefinition | None = None
    ) -> None:
        self.schemas = {each: schema for each, schema in schemas.items() if "fields" in schema}
        self._parsed = {each: parse_schema(plain_times(s)) for each, s in self.schemas.items()}
        self._definition = definition

    def name(self, schema_id: int | None) -> str | None:
        """Return the full name of the record that an id stands for."""
        schema = self.schemas.get(-1 if schema_id is None else schema_id)
        return None if schema is None else record_name(schema)

    def newest(self, name: str) -> int | None:
        """Return the newest id of a record."""
        return max((each for each in self.schemas if self.name(each) == name), default=None)

    @property
    def names(self) -> list[str]:
        """Full names of all records."""
        return sorted({record_name(schema) for schema in self.schemas.values()})

    def fields(self, name: str | None = None) -> set[str]:
        """Return the fields that any version of a record has; of all records without a name."""
        return {
            field["name"]
            for schema in self.schemas.values()
            if name in {None, record_name(schema)}
            for field in schema["fields"]
        }

    def stream(self, schema_id: int | None) -> StreamDefinition | None:
        """Return the stream that claims a record."""
        name = self.name(schema_id)
        if name is None or self._definition is None:
            return None
        return self._definition.stream_for(name)

    def unit(self, schema_id: int, field: str) -> str:
        """Return the unit of a time: s, ms, us or ns."""
        stream = self.stream(schema_id)
        is_time = stream is not None and stream.time.field == field
        otherwise = stream.time.unit if stream is not None and is_time else None
        return time_unit(self.schemas[schema_id], field, otherwise or "us")

    def read(self, value: bytes | None) -> tuple[int | None, Values | None]:
        """Return the id in front of a value and its record, as far as they can be read."""
        try:
            schema_id = schema_id_of(value)
        except InvalidRecordError:
            return None, None
        assert value is not None
        try:
            return schema_id, self.read_as(value, schema_id)
        except UnfixableError:
            return schema_id, None

    def read_as(self, value: bytes, schema_id: int, *, has_prefix: bool = True) -> Values:
        """Return the record in `value` as this schema has it, whatever id stands in front.

        Raises:
            UnfixableError: The bytes are none of it.
        """
        if schema_id not in self._parsed:
            msg = f"the schema id must be one of {sorted(self._parsed)}, was {schema_id}"
            raise UnfixableError(msg)
        framed = value if has_prefix else wire_prefix(schema_id) + value
        try:
            values: Values = read_exactly(framed, self._parsed[schema_id], None)
        except InvalidRecordError as error:
            raise UnfixableError(str(error)) from error
        return values

    @staticmethod
    def read_json(value: bytes) -> Values:
        """Return the record in a value that is JSON.

        Raises:
            UnfixableError: It is not one object.
        """
        try:
            found = json.loads(value)
        except (ValueError, RecursionError) as error:
            msg = f"the value must be JSON, found {error}"
            raise UnfixableError(msg) from error
        if not isinstance(found, dict):
            msg = f"the value must be a JSON object, was {type(found).__name__}"
            raise UnfixableError(msg)
        return found

    def write(self, values: Values, schema_id: int) -> bytes:
        """Return a record in wire format.

        Raises:
            UnfixableError: It does not fit the schema.
        """
        schema, parsed = self.schemas[schema_id], self._parsed[schema_id]
        known = [field["name"] for field in schema["fields"]]
        strange = sorted(values.keys() - set(known))
        if strange:
            names = f"{record_name(schema)} (id {schema_id}: {', '.join(known)})"
            msg = f"{', '.join(strange)} must be of {names}; rename, drop, or name another write_as"
            raise UnfixableError(msg)
        fitted = {
            field["name"]: _fitted(values[field["name"]], field["type"])
            for field in schema["fields"]
            if field["name"] in values
        }
        stream = io.BytesIO(wire_prefix(schema_id))
        stream.seek(0, io.SEEK_END)
        try:
            validate(fitted, parsed, raise_errors=True, strict=False)
            schemaless_writer(stream, parsed, fitted)
        except (ValidationError, *DECODE_ERRORS) as error:
            msg = f"must fit {record_name(schema)} (id {schema_id}), found {_said(error)}"
            raise UnfixableError(msg) from error
        return stream.getvalue()


def _said(error: Exception) -> str:
    return " ".join(str(error).split())


def _fitted(value: object, schema: JsonSchema) -> object:
    """Return a number as the type that its field has, where nothing is lost."""
    branches = schema if isinstance(schema, list) else [schema]
    kinds = {kind_of(branch) for branch in branches}
    if isinstance(value, int) and not isinstance(value, bool) and not kinds & _WHOLE:
        is_exact = kinds & _REAL and abs(value) <= 1 << 53
        return float(value) if is_exact else value
    if isinstance(value, float) and not kinds & _REAL and kinds & _WHOLE and value.is_integer():
        return int(value)
    return value

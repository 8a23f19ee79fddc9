"""Sensor events: the plant's own Avro records, read as the definition says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema

from tidemill.contracts.codec import (
    JsonSchema,
    plain_times,
    read_exactly,
    record_name,
    schema_id_of,
    wire_prefix,
)
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import StreamDefinition

# Microseconds of 0001-01-01 and 10000-01-01: what a calendar can show.
EARLIEST_US = -62_135_596_800_000_000
LATEST_US = 253_402_300_800_000_000

# Bytes of UTF-8: names stand in every prediction, ledger entry and snapshot.
LONGEST_NAME = 512


class Event(NamedTuple):
    """One sensor event, its fields as the plant wrote them."""

    stream: StreamDefinition
    asset: str
    time_us: int
    event_id: str | None
    values: dict[str, Any]  # Any: Avro values


class _Writer(NamedTuple):
    """How one writer schema of one stream is read; `aliases` are other names of its fields."""

    stream: StreamDefinition
    schema: JsonSchema
    reader: JsonSchema | None
    numerator: int
    denominator: int
    aliases: tuple[tuple[str, str], ...]


class EventReader:
    """Reads events of all streams of a plant. Pure: knows only the schemas it was given.

    Args:
        definition: The plant.
        schemas: Writer schemas by id. The newest id of a record is what its fields are read as.
    """

    def __init__(self, definition: PlantDefinition, schemas: Mapping[int, JsonSchema]) -> None:
        self._schemas = dict(schemas)
        self._by_prefix: dict[bytes, _Writer] = {}
        for schema_id, schema in self._schemas.items():
            stream = definition.stream_for(record_name(schema))
            if stream is not None:
                self._by_prefix[wire_prefix(schema_id)] = self._writer(schema_id, stream)

    def _writer(self, schema_id: int, stream: StreamDefinition) -> _Writer:
        schema = self._schemas[schema_id]
        newest_id = max(i for i, s in self._schemas.items() if record_name(s) == stream.event)
        newest = self._schemas[newest_id]
        reader = None if newest_id == schema_id else parse_schema(plain_times(newest))
        numerator, denominator = _ratio(stream.time.unit or time_unit(newest, stream.time.field))
        aliases = tuple(
            (alias, field["name"])
            for field in newest["fields"]
            for alias in field.get("aliases", ())
        )
        plain = parse_schema(plain_times(schema))
        return _Writer(stream, plain, reader, numerator, denominator, aliases)

    def read(self, value: bytes | None) -> Event:
        """Decode one event.

        Raises:
            InvalidRecordError: Not one event of one stream of this plant; the reason says why.
        """
        writer = self._by_prefix.get(value[:5]) if value is not None else None
        if writer is None:
            raise self._unclaimed(schema_id_of(value))
        assert value is not None
        values = read_exactly(value, writer.schema, writer.reader)
        for alias, name in writer.aliases:
            values[alias] = values[name]
        stream = writer.stream
        asset = values.get(stream.asset)
        if type(asset) is not str or not asset:
            raise InvalidRecordError(
                DeadLetterReason.CONTRACT,
                f"{stream.asset} must name the asset, was {asset!r}",
            )
        check_name(asset, stream.asset)
        time_us = self._time(writer, values)
        event_id = None if stream.id is None else self._event_id(stream.id, values)
        return Event(stream, asset, time_us, event_id, values)

    @staticmethod
    def _time(writer: _Writer, values: dict[str, Any]) -> int:  # Any: Avro values
        field = writer.stream.time.field
        ticks = values.get(field)
        if type(ticks) is not int:
            raise InvalidRecordError(
                DeadLetterReason.CONTRACT, f"{field} must be the event's time, was {ticks!r}"
            )
        time_us = ticks * writer.numerator // writer.denominator
        if not EARLIEST_US <= time_us < LATEST_US:
            raise InvalidRecordError(
                DeadLetterReason.DOMAIN,
                f"{field} must lie in the years 1 to 9999, was {time_us} microseconds",
            )
        return time_us

    @staticmethod
    def _event_id(field: str, values: dict[str, Any]) -> str:  # Any: Avro values
        found = values.get(field)
        if found is None or found == "":
            raise InvalidRecordError(
                DeadLetterReason.CONTRACT, f"{field} must be the event's id, was {found!r}"
            )
        event_id = str(found)
        check_name(event_id, field)
        return event_id

    def _unclaimed(self, schema_id: int) -> InvalidRecordError:
        known = self._schemas.get(schema_id)
        if known is None:
            return InvalidRecordError(
                DeadLetterReason.UNKNOWN_SCHEMA,
                f"the schema id must be one of {sorted(self._schemas)}, was {schema_id}",
            )
        return InvalidRecordError(
            DeadLetterReason.CONTRACT,
            f"a record must belong to a stream of the definition, {record_name(known)} does not",
        )


def check_name(name: str, field: str) -> None:
    """Hold the name of an asset or event to what all our records can carry.

    Raises:
        InvalidRecordError: More than 512 bytes of UTF-8.
    """
    if len(name) * 4 > LONGEST_NAME and len(name.encode()) > LONGEST_NAME:
        size = len(name.encode())
        raise InvalidRecordError(
            DeadLetterReason.CONTRACT,
            f"{field} must have at most {LONGEST_NAME} bytes, was {name[:40]!r}... of {size}",
        )


def time_unit(schema: JsonSchema, field: str) -> str:
    """Return the unit of a timestamp field of a record schema; microseconds where it says none."""
    for entry in schema["fields"]:
        if field in (entry["name"], *entry.get("aliases", ())):
            kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
            for kind in kinds:
                if isinstance(kind, dict) and kind.get("logicalType") == "timestamp-millis":
                    return "ms"
    return "us"


def _ratio(unit: str) -> tuple[int, int]:
    return {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}[unit]

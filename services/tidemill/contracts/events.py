"""Sensor events: the plant's own Avro records, read as the definition says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema

from tidemill.contracts.avro import field_of, logical_type, without_null
from tidemill.contracts.codec import (
    PREFIX,
    JsonSchema,
    plain_times,
    read_exactly,
    record_name,
    schema_id_of,
    wire_prefix,
)
from tidemill.contracts.hot import flat_reader
from tidemill.contracts.renames import Names
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.hot import FlatReader
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
    """How one writer schema of one stream is read; `renamed` are other names and their fields."""

    stream: StreamDefinition
    schema: JsonSchema
    numerator: int
    denominator: int
    renamed: tuple[tuple[str, str], ...]
    flat: FlatReader | None


class EventReader:
    """Reads events of all streams of a plant. Pure: knows only the schemas it was given.

    Each event is read as it was written. Versions of a record stand side by side: none changes how
    the records of another are read, but that aliases in any of them name its fields.

    Args:
        definition: The plant.
        schemas: Writer schemas by id.
    """

    def __init__(self, definition: PlantDefinition, schemas: Mapping[int, JsonSchema]) -> None:
        self._schemas = dict(schemas)
        self._by_prefix: dict[bytes, _Writer] = {}
        for stream in definition.streams:
            versions = {n: s for n, s in schemas.items() if record_name(s) == stream.event}
            names = Names(versions[n] for n in sorted(versions))
            for schema_id, schema in versions.items():
                self._by_prefix[wire_prefix(schema_id)] = _writer(stream, schema, names)

    def read(self, value: bytes | None) -> Event:
        """Decode one event.

        Raises:
            InvalidRecordError: Not one event of one stream of this plant; the reason says why.
        """
        writer = self._by_prefix.get(value[:5]) if value is not None else None
        if writer is None:
            raise self._unclaimed(schema_id_of(value))
        assert value is not None
        flat = writer.flat
        plain = None if flat is None else flat.read(value, PREFIX.size)
        values = read_exactly(value, writer.schema, None) if plain is None else plain
        for name, field in writer.renamed:
            values[name] = values[field]
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


def _writer(stream: StreamDefinition, schema: JsonSchema, names: Names) -> _Writer:
    renamed = names.renamed(schema)
    field = dict(renamed).get(stream.time.field, stream.time.field)
    numerator, denominator = _ratio(time_unit(schema, field, stream.time.unit or "us"))
    plain = parse_schema(plain_times(schema))
    return _Writer(stream, plain, numerator, denominator, renamed, flat_reader(plain))


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


def time_unit(schema: JsonSchema, field: str, otherwise: str = "us") -> str:
    """Return the unit of a timestamp field of a record schema, or `otherwise` if it says none."""
    found = field_of(schema, field)
    logical = None if found is None else logical_type(without_null(found["type"]))
    return {"timestamp-millis": "ms", "timestamp-micros": "us"}.get(logical or "", otherwise)


def _ratio(unit: str) -> tuple[int, int]:
    return {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}[unit]

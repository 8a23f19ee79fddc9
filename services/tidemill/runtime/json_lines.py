"""Records as JSON: what a person or a program reads where Kafka holds bytes."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema

from tidemill.contracts.codec import plain_times, read_exactly, schema_id_of
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from datetime import time as datetime_time

    from tidemill.contracts.codec import JsonSchema
    from tidemill.kernel.records import Headers, Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JsonLines:
    """Writes messages as lines of JSON.

    A value is decoded by the schema it names, its unions unwrapped, its times ISO 8601 in UTC.
    A double is written so that reading it gives the same double; NaN and the infinities, which
    JSON has not, are the strings "NaN", "Infinity" and "-Infinity". Bytes are hex. A dead letter,
    and a value that cannot be decoded, is hex as a whole. Keys and header values are text where
    they are UTF-8, otherwise hex.

    Args:
        schema: Returns the schema with an id, or None where nobody knows it.
    """

    def __init__(self, schema: Callable[[int], JsonSchema | None]) -> None:
        self._schema = schema
        self._parsed: dict[int, tuple[JsonSchema, ...]] = {}

    def line(self, message: Message) -> str:
        """Return one message, on one line and without its end."""
        document = {
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "timestamp": iso_time(message.timestamp_ms),
            "key": text_or_hex(message.key),
            "value": self._value(message),
            "headers": header_texts(message.headers),
        }
        return json.dumps(document, allow_nan=False, separators=(",", ":"))

    def _value(self, message: Message) -> object:
        value = message.value
        if value is None:
            return None
        if message.topic.endswith(SUFFIX):
            return value.hex()
        try:
            schemas = self._known(schema_id_of(value))
        except InvalidRecordError:
            return value.hex()
        for schema in schemas:
            try:
                return as_json(read_exactly(value, schema, None))
            except InvalidRecordError:
                continue
        return value.hex()

    def _known(self, schema_id: int) -> tuple[JsonSchema, ...]:
        """Return a schema in the ways to read it: times as times, or as the integers they are.

        The second serves a time that is outside the years 1 to 9999.
        """
        if schema_id not in self._parsed:
            found = self._schema(schema_id)
            ways = () if found is None else (found, plain_times(found))
            self._parsed[schema_id] = tuple(parse_schema(way) for way in ways)
        return self._parsed[schema_id]


def as_json(value: Any) -> object:  # Any: what an Avro reader returns
    """Return a decoded value as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(key): as_json(part) for key, part in value.items()}
        case list() | tuple():
            return [as_json(part) for part in value]
    return _iso(value) if hasattr(value, "isoformat") else str(value)


def iso_time(milliseconds: int) -> str | None:
    """Return a Kafka timestamp in ISO 8601, UTC; None where the record has none."""
    if milliseconds < 0:
        return None
    return _iso(_EPOCH + timedelta(milliseconds=milliseconds))


def iso_micros(microseconds: int) -> str:
    """Return an event time in ISO 8601, UTC."""
    return _iso(_EPOCH + timedelta(microseconds=microseconds))


def text_or_hex(data: bytes | None) -> str | None:
    """Return bytes as text where they are UTF-8, otherwise as hex."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.hex()


def header_texts(headers: Headers) -> dict[str, str | list[str | None] | None]:
    """Return headers by name; a name that stands there repeatedly has a list."""
    texts: dict[str, list[str | None]] = {}
    for name, value in headers:
        texts.setdefault(name, []).append(text_or_hex(value))
    return {name: each[0] if len(each) == 1 else list(each) for name, each in texts.items()}


def _iso(moment: date | datetime_time) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

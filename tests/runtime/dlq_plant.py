"""The sample plant's records in several versions, and dead letters of them."""

from __future__ import annotations

import io
from typing import Any

from fastavro import parse_schema, schemaless_writer

from tidemill.contracts.codec import plain_times, wire_prefix
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Headers, Message
from tidemill.runtime.dlq_letters import Letter, read_letter
from tidemill.runtime.dlq_records import TopicRecords
from tidemill.testing.plants import RECORD, RECORD_ID, START_US, sample_definition

OLD_ID = RECORD_ID - 1
"""An older version: temperature as text under its German name, id and asset optional."""

_NULL_TEXT = {"type": ["null", "string"], "default": None}
TEXT_RECORD: dict[str, Any] = {  # Any: an Avro schema
    "type": "record",
    "name": "PumpReading",
    "namespace": "plant",
    "fields": [
        {"name": "asset", **_NULL_TEXT},
        {"name": "event_time", "type": "long"},
        {"name": "event_id", **_NULL_TEXT},
        {"name": "temperatur", **_NULL_TEXT},
        {"name": "wear", "type": ["null", "double"], "default": None},
    ],
}
SCHEMAS: dict[int, Any] = {RECORD_ID: RECORD, OLD_ID: TEXT_RECORD}  # Any: as above
FIELDS = {"asset": "north/1", "event_time": START_US, "event_id": "e1"}


def records() -> TopicRecords:
    return TopicRecords(SCHEMAS, parse_definition(sample_definition()))


def encoded(schema_id: int, **fields: object) -> bytes:
    stream = io.BytesIO(wire_prefix(schema_id))
    stream.seek(0, io.SEEK_END)
    parsed = parse_schema(plain_times(SCHEMAS[schema_id]))
    schemaless_writer(stream, parsed, {**FIELDS, **fields})
    return stream.getvalue()


def decoded(value: bytes | None) -> dict[str, Any]:  # Any: Avro values
    _, values = records().read(value)
    assert values is not None
    return values


def letter_message(
    value: bytes | None,
    reason: str = "contract",
    *,
    partition: int = 0,
    offset: int = 0,
    headers: Headers = (),
    topic: str = EVENTS,
) -> Message:
    """Return a dead letter made of a record that stood at `offset`."""
    source = Message(topic, partition, offset, b"north/1", value, headers)
    error = InvalidRecordError(DeadLetterReason(reason), "why")
    emit = dead_letter(source, error, "learner")
    return Message(emit.topic, partition, 0, emit.key, emit.value, emit.headers)


def letter(
    value: bytes | None, reason: str = "contract", **options: Any
) -> Letter:  # Any: as above
    return read_letter(letter_message(value, reason, **options))

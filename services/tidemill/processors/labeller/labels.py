"""Labels: read, checked, and as they wait."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from tidemill.contracts.codec import codec
from tidemill.contracts.events import EARLIEST_US, LATEST_US, check_name
from tidemill.contracts.pending import Held, case_of
from tidemill.contracts.topics import LABELS
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Collection

    from tidemill.processors.labeller.streams import LabelStream, Record

_LETTER = parse_schema(
    {
        "type": "record",
        "name": "Letter",
        "fields": [
            {"name": "partition", "type": "int"},
            {"name": "offset", "type": "long"},
            {"name": "timestamp_ms", "type": "long"},
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "value", "type": ["null", "bytes"]},
            {
                "name": "headers",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Header",
                        "fields": [
                            {"name": "name", "type": "string"},
                            {"name": "value", "type": ["null", "bytes"]},
                        ],
                    },
                },
            },
        ],
    }
)


class ReadLabel(NamedTuple):
    """A label: its record, and what the store is told of it."""

    record: Record
    held: Held


class LabelReader:
    """Reads labels of one plant.

    Args:
        streams: Those whose labels come apart from their events; at least one.
    """

    def __init__(self, streams: Collection[LabelStream]) -> None:
        self._streams = tuple(streams)
        self._by_time = any(stream.joins_by_time for stream in streams)
        self._by_id = any(not stream.joins_by_time for stream in streams)

    def read(self, message: Message) -> ReadLabel:
        """Return the label in a record.

        Raises:
            InvalidRecordError: It is none of this plant; the reason says why.
        """
        record = codec("Label").decode(message.value)
        asset, time_us = record["asset"], record["time"]
        if not asset:
            raise _contract("asset must name the asset, was empty")
        check_name(asset, "asset")
        check_name(record["event_id"], "event_id")
        if record["revision"] < 0:
            raise _domain(f"revision must be at least 0, was {record['revision']}")
        if not EARLIEST_US <= time_us < LATEST_US:
            raise _domain(f"time must lie in the years 1 to 9999, was {time_us} microseconds")
        held = Held(
            self._case(record),
            record["revision"],
            message.offset,
            time_us,
            self._texts(record["value"]),
            pack(message),
        )
        return ReadLabel(record, held)

    def _case(self, record: Record) -> bytes:
        event_id = record["event_id"]
        if event_id and not self._by_id:
            raise _contract(
                "event_id must be empty where streams join by [asset, time], was "
                f"{event_id[:60]!r}; the label's time is the event's then"
            )
        if not event_id and not self._by_time:
            raise _contract("event_id must name the event, was empty")
        return case_of(record["asset"], event_id, None if event_id else record["time"])

    def _texts(self, value: object) -> dict[str, str]:
        """Return the value as each stream reads it that can."""
        wrong, texts = _domain("a label must be of some stream"), {}
        for stream in self._streams:
            try:
                texts[stream.name] = stream.text(value)
            except InvalidRecordError as error:
                wrong = error
        if not texts:
            raise wrong
        return texts


def pack(message: Message) -> bytes:
    """Return a label as it waits: whole, for it may end as a dead letter."""
    stream = io.BytesIO()
    headers = [{"name": name, "value": value} for name, value in message.headers]
    record: dict[str, Any] = {**message._asdict(), "headers": headers}  # Any: Avro values
    schemaless_writer(stream, _LETTER, record)
    return stream.getvalue()


def unpack(letter: bytes) -> Message:
    """Return the record that `pack` was given."""
    record: Any = schemaless_reader(io.BytesIO(letter), _LETTER, None)  # Any: Avro values
    record["headers"] = tuple((each["name"], each["value"]) for each in record["headers"])
    return Message(LABELS, **record)


def _contract(message: str) -> InvalidRecordError:
    return InvalidRecordError(DeadLetterReason.CONTRACT, message)


def _domain(message: str) -> InvalidRecordError:
    return InvalidRecordError(DeadLetterReason.DOMAIN, message)

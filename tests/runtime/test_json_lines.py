"""Records as JSON lines, as the contracts promise them."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.codec import codec, our_lock, plain_times, wire_prefix
from tidemill.kernel.records import Message
from tidemill.runtime.json_lines import JsonLines

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Reading",
    "namespace": "plant",
    "fields": [
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "x", "type": ["null", "double", "string"]},
        {"name": "raw", "type": ["null", "bytes"]},
        {"name": "more", "type": {"type": "map", "values": ["null", "double"]}},
    ],
}
EMPTY: dict[str, object] = {"at": None, "x": None, "raw": None, "more": {}}


def value(**fields: object) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(plain_times(SCHEMA)), {**EMPTY, **fields})
    return wire_prefix(7) + stream.getvalue()


def document(data: bytes | None, topic: str = "sensor.events", **fields: Any) -> dict[str, Any]:
    message = Message(topic, 3, 41, **{"key": b"north/1", "value": data, **fields})
    line = JsonLines({7: SCHEMA, **our_lock()}.get).line(message)
    assert "\n" not in line
    decoded: dict[str, Any] = json.loads(line, parse_constant=refuse_constant)
    return decoded


def refuse_constant(text: str) -> None:
    pytest.fail(f"{text} is no JSON")


def test_a_line_names_the_position_time_key_value_and_headers() -> None:
    found = document(
        value(x=1.5), headers=(("traceparent", b"00-1"),), timestamp_ms=1_767_225_600_250
    )

    assert found == {
        "topic": "sensor.events",
        "partition": 3,
        "offset": 41,
        "timestamp": "2026-01-01T00:00:00.250000Z",
        "key": "north/1",
        "value": {"at": None, "x": 1.5, "raw": None, "more": {}},
        "headers": {"traceparent": "00-1"},
    }


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_comes_back_to_the_last_bit(x: float) -> None:
    assert document(value(x=x))["value"]["x"] == x


@pytest.mark.parametrize(
    ("x", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_what_json_has_not_is_a_string(x: float, text: str) -> None:
    found = document(value(x=x, more={"y": x}))["value"]

    assert (found["x"], found["more"]) == (text, {"y": text})


def test_times_are_iso_8601_and_bytes_hex() -> None:
    found = document(value(at=1_767_225_600_000_001, raw=b"\x00\xff"))["value"]

    assert found["at"] == "2026-01-01T00:00:00.000001Z"
    assert found["raw"] == "00ff"


def test_a_time_beyond_the_calendar_stays_the_integer_it_is() -> None:
    assert document(value(at=1 << 62))["value"]["at"] == 1 << 62


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x00", b"text", wire_prefix(8) + b"\x00", wire_prefix(7) + b"\x02", value() + b"!"],
    ids=["empty", "short", "no-prefix", "unknown-id", "cut", "too-long"],
)
def test_what_cannot_be_decoded_is_hex(data: bytes) -> None:
    assert document(data)["value"] == data.hex()


def test_a_dead_letter_is_hex_even_where_it_could_be_decoded() -> None:
    assert document(value(x=1.0), "sensor.events.dlq")["value"] == value(x=1.0).hex()


def test_a_tombstone_is_null() -> None:
    assert document(None, key=None)["value"] is None


def test_keys_and_headers_that_are_no_text_are_hex_and_repeated_headers_a_list() -> None:
    headers = (("a", b"\xff"), ("b", b"1"), ("b", b"2"))
    found = document(None, key=b"\xfe", headers=headers)

    assert found["key"] == "fe"
    assert found["headers"] == {"a": "ff", "b": ["1", "2"]}


def test_our_own_records_are_known() -> None:
    label = {"event_id": "e1", "asset": "a", "value": True, "time": 0, "source": "lab"}
    encoded = codec("Label").encode({**label, "revision": 0, "selection": None})

    assert document(encoded, "plant.labels")["value"]["time"] == "1970-01-01T00:00:00Z"

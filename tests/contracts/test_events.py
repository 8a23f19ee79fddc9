"""Whatever bytes come: an event of the plant, or a dead letter with a reason."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.codec import codec, plain_times
from tidemill.contracts.events import EventReader
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.testing.plants import RECORD, RECORD_ID, event_value, sample_terms

TERMS = sample_terms()
READER = EventReader(TERMS.definition, TERMS.schemas)
VALUE = event_value("site/a", 7, {"vibration": 1.5, "temperature": 2.0, "flow": None}, 3.0)


def reason_of(value: bytes | None, reader: EventReader = READER) -> DeadLetterReason:
    with pytest.raises(InvalidRecordError) as caught:
        reader.read(value)
    return caught.value.reason


def test_an_event_is_read_as_the_definition_says() -> None:
    event = READER.read(VALUE)

    assert (event.asset, event.event_id) == ("site/a", "e7")
    assert event.time_us == 1_767_225_607_000_000
    assert event.values["vibration"] == 1.5
    assert event.values["flow"] is None


@given(st.binary(max_size=80))
def test_random_bytes_are_undecodable_or_unknown(value: bytes) -> None:
    assert reason_of(value) in {DeadLetterReason.UNDECODABLE, DeadLetterReason.UNKNOWN_SCHEMA}


@given(st.binary(max_size=200))
def test_random_bytes_behind_a_known_id_never_do_anything_but_raise_or_read(tail: bytes) -> None:
    value = struct.pack(">bI", 0, RECORD_ID) + tail
    with suppress(InvalidRecordError):
        assert READER.read(value).asset


@given(st.integers(0, len(VALUE) - 1), st.integers(0, 7))
def test_a_flipped_bit_never_escapes_as_another_error(byte: int, bit: int) -> None:
    flipped = bytearray(VALUE)
    flipped[byte] ^= 1 << bit
    with suppress(InvalidRecordError):
        assert READER.read(bytes(flipped)).asset


@pytest.mark.parametrize("cut", range(len(VALUE)))
def test_an_event_cut_short_is_undecodable(cut: int) -> None:
    assert reason_of(VALUE[:cut]) == DeadLetterReason.UNDECODABLE


def test_bytes_behind_the_record_are_undecodable() -> None:
    assert reason_of(VALUE + b"\0") == DeadLetterReason.UNDECODABLE


def test_no_value_is_undecodable() -> None:
    assert reason_of(None) == DeadLetterReason.UNDECODABLE


def test_an_id_that_nobody_locked_is_an_unknown_schema() -> None:
    value = struct.pack(">bI", 0, 77) + VALUE[5:]
    assert reason_of(value) == DeadLetterReason.UNKNOWN_SCHEMA


def test_a_record_that_no_stream_claims_breaks_the_contract() -> None:
    other = {**RECORD, "name": "ValveReading"}
    reader = EventReader(TERMS.definition, {**TERMS.schemas, 9: other})
    value = struct.pack(">bI", 0, 9) + VALUE[5:]
    assert reason_of(value, reader) == DeadLetterReason.CONTRACT


def test_an_event_without_asset_breaks_the_contract() -> None:
    assert reason_of(event_value("", 1, {})) == DeadLetterReason.CONTRACT


@pytest.mark.parametrize("asset", ["a" * 513, "\u00e9" * 257])
def test_an_asset_too_long_for_our_records_breaks_the_contract(asset: str) -> None:
    value = event_value(asset, 1, {})
    assert reason_of(value) == DeadLetterReason.CONTRACT
    assert READER.read(event_value(asset[:256], 1, {})).asset == asset[:256]


def test_an_id_too_long_for_our_records_breaks_the_contract() -> None:
    assert reason_of(named("e" * 513)) == DeadLetterReason.CONTRACT
    assert READER.read(named("e" * 512)).event_id == "e" * 512


def named(event_id: str) -> bytes:
    """Return an event of this id."""
    stream = io.BytesIO(struct.pack(">bI", 0, RECORD_ID))
    stream.seek(0, io.SEEK_END)
    record = {"asset": "a", "event_time": 1, "event_id": event_id}
    schemaless_writer(stream, parse_schema(plain_times(RECORD)), record)
    return stream.getvalue()


def test_an_event_is_read_as_it_was_written_whatever_the_newest_record_has_room_for() -> None:
    def with_mode(symbols: str) -> dict[str, object]:
        mode = {"type": "enum", "name": "Mode", "symbols": list(symbols)}
        fields = [*RECORD["fields"], {"name": "mode", "type": mode}]  # type: ignore[misc]  # a list
        return {**RECORD, "fields": fields}

    older, newer = with_mode("ABC"), with_mode("AB")
    reader = EventReader(TERMS.definition, {RECORD_ID: older, RECORD_ID + 1: newer})
    stream = io.BytesIO(struct.pack(">bI", 0, RECORD_ID))
    stream.seek(0, io.SEEK_END)
    record = {"asset": "a", "event_time": 1, "event_id": "e", "mode": "C"}
    schemaless_writer(stream, parse_schema(plain_times(older)), record)

    assert reader.read(stream.getvalue()).values["mode"] == "C"


def test_a_renamed_field_is_known_by_both_names() -> None:
    newer = {
        **RECORD,
        "fields": [
            {**field, "name": "tremor", "aliases": ["vibration"]}
            if field["name"] == "vibration"
            else field
            for field in RECORD["fields"]  # type: ignore[attr-defined]  # a list, in JSON
        ],
    }
    reader = EventReader(TERMS.definition, {RECORD_ID: RECORD, RECORD_ID + 1: newer})

    assert reader.read(VALUE).values["vibration"] == 1.5
    stream = io.BytesIO(struct.pack(">bI", 0, RECORD_ID + 1))
    stream.seek(0, io.SEEK_END)
    record = {"asset": "a", "event_time": 1, "event_id": "e", "tremor": 2.5}
    schemaless_writer(stream, parse_schema(plain_times(newer)), record)
    assert reader.read(stream.getvalue()).values["vibration"] == 2.5


@pytest.mark.parametrize("name", ["Update", "LedgerEntry", "Snapshot"])
@given(tail=st.binary(max_size=120))
def test_our_own_records_decode_or_raise(name: str, tail: bytes) -> None:
    value = struct.pack(">bI", 0, codec(name).schema_id) + tail
    with suppress(InvalidRecordError):
        assert isinstance(codec(name).decode(value), dict)

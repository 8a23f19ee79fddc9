"""What runs for every event gives the same in Python and compiled."""

from __future__ import annotations

import io
import math

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.contracts import hot
from tidemill.contracts.codec import PREFIX, plain_times, read_exactly
from tidemill.contracts.hot import floats_within, plain_floats_within, plain_varint, varint
from tidemill.testing.plants import RECORD, event_value

needs_compiled = pytest.mark.skipif(
    varint is plain_varint, reason="the package was installed without a compiler: Python runs"
)
NAMES = ("a", "b", "c")
BOUNDS = (("a", -1.0, 1.0), ("b", -1e50, 1e50), ("c", 0.0, 0.0))
values = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        NAMES,
        st.floats(-1.5, 1.5)
        | st.sampled_from(
            [0.0, -0.0, 1.0, -1.0, math.nan, math.inf, 1e50, 2e50, None, 1, True, "1"]
        ),
    ),
)


@needs_compiled
@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_are_the_same_bytes(number: int) -> None:
    assert varint(number) == plain_varint(number)


@needs_compiled
@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_a_number_beyond_64_bits_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        varint(number)


@needs_compiled
@given(values)
def test_the_same_values_are_plainly_within_bounds_in_the_same_order(
    found: dict[str, object],
) -> None:
    fast, plain = floats_within(found, BOUNDS), plain_floats_within(found, BOUNDS)
    assert fast == plain
    assert (fast is None) or list(fast) == list(NAMES)


@given(values)
def test_what_is_plainly_within_bounds_is_a_float_and_keeps_them(found: dict[str, object]) -> None:
    kept = hot.plain_floats_within(found, BOUNDS)
    well = all(
        type(found.get(name)) is float and low <= found[name] <= high  # type: ignore[operator]  # a float
        for name, low, high in BOUNDS
    )
    assert (kept is not None) == well


KINDS: dict[str, st.SearchStrategy[object]] = {
    "string": st.text(max_size=20),
    "long": st.integers(-(1 << 63), (1 << 63) - 1),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "double": st.floats(),
    "float": st.floats(width=32),
    "boolean": st.booleans(),
}


@st.composite
def written(draw: st.DrawFn) -> tuple[dict[str, object], bytes]:
    """Draw a record's schema, and bytes that were one of it before some were changed."""
    fields: list[object] = []
    record: dict[str, object] = {}
    for n in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        null = draw(st.sampled_from([None, 0, 1]))
        types: object = {"type": kind} if draw(st.booleans()) else kind
        if null is not None:
            types = ["null", types] if null == 0 else [types, "null"]
        fields.append({"name": f"f{n}", "type": types})
        is_null = null is not None and draw(st.booleans())
        record[f"f{n}"] = None if is_null else draw(KINDS[kind])
    schema: dict[str, object] = {"type": "record", "name": "R", "fields": fields}
    stream = io.BytesIO(bytes(PREFIX.size))
    stream.seek(PREFIX.size)
    schemaless_writer(stream, parse_schema(schema), record)
    value = bytearray(stream.getvalue())
    for at in draw(st.lists(st.integers(PREFIX.size, len(value)), max_size=3)):
        match draw(st.sampled_from(["flip", "cut", "add"])):
            case "flip" if at < len(value):
                value[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del value[at:]
            case "add":
                value += draw(st.binary(max_size=3))
    return schema, bytes(value)


@needs_compiled
@settings(max_examples=600)
@given(written())
def test_a_record_read_plainly_is_what_the_general_decoder_reads(
    drawn: tuple[dict[str, object], bytes],
) -> None:
    schema, value = drawn
    reader = hot.flat_reader(schema)
    assert reader is not None
    found = reader.read(value, PREFIX.size)
    if found is not None:
        expected = read_exactly(value, parse_schema(schema), None)
        assert repr(found) == repr(expected)


@needs_compiled
def test_what_a_plant_sends_is_read_plainly() -> None:
    schema = plain_times(RECORD)
    reader = hot.flat_reader(schema)
    value = event_value("north/1", 7, {"vibration": 1.5, "flow": None}, 2.0)
    assert reader is not None
    assert reader.read(value, PREFIX.size) == read_exactly(value, parse_schema(schema), None)
    assert reader.read(value + b"\0", PREFIX.size) is None


@pytest.mark.parametrize(
    "kind", ["bytes", ["null", "long", "string"], {"type": "array", "items": "long"}, ["long"]]
)
def test_other_records_are_left_to_the_general_decoder(kind: object) -> None:
    assert (
        hot.flat_reader({"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]})
        is None
    )

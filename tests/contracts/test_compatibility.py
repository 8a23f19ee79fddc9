"""FULL_TRANSITIVE, held to what fastavro really reads, and to what was released."""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from tidemill.contracts.compatibility import backward_problems, compatibility_problems
from tidemill.runtime.locking import own_problems

from .records import MICROS, record

ENUM_AB = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
ENUM_ABC = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}
ENUM_DEFAULT = {**ENUM_AB, "default": "A"}
FIXED_4 = {"type": "fixed", "name": "F", "size": 4}
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "int"}]}
INNER_MORE = {
    "type": "record",
    "name": "Inner",
    "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 3}],
}
INNER_REQUIRED = {
    "type": "record",
    "name": "Inner",
    "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}],
}

# reader, writer, a value written, whether the reader can read what the writer wrote
CASES: list[tuple[Any, Any, Any, bool]] = [
    ("long", "int", 7, True),
    ("int", "long", 7, False),
    ("double", "float", 0.5, True),
    ("float", "double", 0.5, False),
    ("double", "int", 7, True),
    ("float", "long", 7, True),
    ("string", "bytes", b"x", True),
    ("bytes", "string", "x", True),
    ("string", "int", 7, False),
    ("boolean", "int", 1, False),
    (["null", "double"], "double", 0.5, True),
    (["null", "double"], "int", 7, True),
    ("double", ["null", "double"], None, False),
    (["null", "double", "string"], ["null", "double"], 0.5, True),
    (["null", "double"], ["null", "double", "string"], "x", False),
    (ENUM_ABC, ENUM_AB, "A", True),
    (ENUM_AB, ENUM_ABC, "C", False),
    (ENUM_DEFAULT, ENUM_ABC, "C", True),
    (FIXED_4, {**FIXED_4, "size": 5}, b"12345", False),
    (FIXED_4, FIXED_4, b"1234", True),
    ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}, [1], True),
    ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}, ["x"], False),
    ({"type": "map", "values": "double"}, {"type": "map", "values": "int"}, {"k": 1}, True),
    ({"type": "map", "values": "int"}, {"type": "map", "values": "string"}, {"k": "x"}, False),
    ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}, {"k": 1}, False),
    (INNER, INNER_MORE, {"a": 1, "b": 2}, True),
    (INNER_MORE, INNER, {"a": 1}, True),
    (INNER_REQUIRED, INNER, {"a": 1}, False),
    (["null", INNER_MORE], ["null", INNER], {"a": 1}, True),
    (["null", INNER_REQUIRED], ["null", INNER], {"a": 1}, False),
]


@pytest.mark.parametrize(("reader", "writer", "value", "fits"), CASES)
def test_the_rules_agree_with_a_real_reader(
    reader: object, writer: object, value: object, *, fits: bool
) -> None:
    problems = backward_problems(record(x=reader), record(x=writer))

    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(record(x=writer)), {"x": value})
    stream.seek(0)
    try:
        schemaless_reader(stream, parse_schema(record(x=writer)), parse_schema(record(x=reader)))
    except Exception:  # noqa: BLE001 - fastavro raises many kinds; any of them is a refusal
        really = False
    else:
        really = True
    assert (problems == []) == fits
    assert really == fits, problems


def test_a_field_may_come_and_go_with_a_default_only() -> None:
    before = record(x="double")
    optional = record(x="double", y=(["null", "double"], None))
    required = record(x="double", y="double")

    assert compatibility_problems(optional, [before]) == []
    assert compatibility_problems(before, [optional]) == []
    assert compatibility_problems(required, [before]) == [
        "plant.Reading.y: must have a default, records without the field exist"
    ]
    assert compatibility_problems(before, [required]) == [
        "an older reader: plant.Reading.y: must have a default, records without the field exist"
    ]


def test_compatible_with_the_last_is_not_compatible_with_all() -> None:
    first, second, third = record(x="int"), record(), record(x=("string", ""))

    assert backward_problems(third, second) == []
    assert backward_problems(second, first) == []
    assert compatibility_problems(third, [second, first])


def test_an_alias_lets_a_new_reader_read_an_old_field() -> None:
    before, after = record(vib=("double", 0.0)), record(vibration=("double", 0.0))
    after["fields"][0]["aliases"] = ["vib"]

    assert backward_problems(record(vibration="double"), before) != []
    assert backward_problems(after, before) == []


def test_an_alias_of_the_record_lets_it_be_renamed() -> None:
    renamed = {**record(x="int"), "name": "Measurement"}

    assert backward_problems(renamed, record(x="int")) != []
    assert backward_problems({**renamed, "aliases": ["Reading"]}, record(x="int")) == []


def test_a_time_may_not_change_its_unit_silently() -> None:
    millis = {"type": "long", "logicalType": "timestamp-millis"}

    (forth, back) = compatibility_problems(record(t=millis), [record(t=MICROS)])
    assert "must keep the logical type of long (timestamp-micros)" in forth
    assert "must keep the logical type of long (timestamp-millis)" in back


def test_a_record_that_holds_itself_is_compared_once() -> None:
    def tree(extra: object) -> dict[str, object]:
        return record(x=extra, below=["null", "plant.Reading"])

    assert compatibility_problems(tree("int"), [tree("int")]) == []
    assert backward_problems(tree("string"), tree("int")) != []


def test_our_schemas_fit_everything_that_was_released() -> None:
    with resources.as_file(resources.files("tidemill") / "schemas") as folder:
        assert own_problems(Path(folder)) == []


def test_a_released_schema_that_no_longer_fits_or_is_gone_is_named(tmp_path: Path) -> None:
    history = tmp_path / "history" / "0.1.0"
    history.mkdir(parents=True)
    (tmp_path / "Reading.avsc").write_text(json.dumps(record(x="string")))
    (history / "Reading.avsc").write_text(json.dumps(record(x="int")))
    (history / "Gone.avsc").write_text(json.dumps({**record(x="int"), "name": "Gone"}))

    problems = own_problems(tmp_path)

    assert any("plant.Gone: must stay, 0.1.0 was released with it" in p for p in problems)
    assert any(p.startswith("plant.Reading.x") and "released in 0.1.0" in p for p in problems)
    assert any("must have a locked id" in p for p in problems)

"""Names of fields over the versions of a record, and events read side by side."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from fastavro import parse_schema, schemaless_writer

from tidemill.contracts.codec import plain_times, wire_prefix
from tidemill.contracts.events import EventReader
from tidemill.contracts.renames import Names
from tidemill.testing.plants import RECORD, START_US, sample_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema = dict[str, Any]  # Any: an Avro schema in JSON


def record(**fields: list[str]) -> Schema:
    """Return a record of fields with their aliases."""
    listed = [{"name": name, "aliases": aliases} for name, aliases in fields.items()]
    return {"type": "record", "name": "R", "fields": listed}


def test_a_rename_is_followed_both_ways_and_over_several_versions() -> None:
    versions = [record(a=[]), record(b=["a"]), record(c=["b"])]
    names = Names(versions)

    assert [dict(names.renamed(version)) for version in versions] == [
        {"b": "a", "c": "a"},
        {"a": "b", "c": "b"},
        {"a": "c", "b": "c"},
    ]


def test_a_name_that_a_version_uses_itself_is_that_field() -> None:
    names = Names([record(a=[]), record(b=["a"], a=[])])
    assert names.renamed(record(b=["a"], a=[])) == ()


def test_two_fields_that_were_one_are_not_each_other() -> None:
    split = record(inner=["temperature"], outer=["temperature"])
    half = record(inner=["temperature"])
    names = Names([record(temperature=[]), split, half])

    assert dict(names.renamed(record(temperature=[]))) == {
        "inner": "temperature",
        "outer": "temperature",
    }
    assert names.renamed(split) == (("temperature", "inner"),)
    assert names.renamed(half) == (("temperature", "inner"),)


def test_names_that_go_round_in_a_circle_come_to_an_end() -> None:
    names = Names([record(a=["b"]), record(b=["a"]), record(d=["a"])])
    assert names.renamed(record(c=[])) == ()


def changed(name: str, /, **field: object) -> Schema:
    """Return the sample record with one field changed, or left out if nothing is said of it."""
    fields: Any = RECORD["fields"]
    kept = [f if f["name"] != name else ({**f, **field} if field else None) for f in fields]
    return {**RECORD, "fields": [f for f in kept if f is not None]}


def value(schema_id: int, schema: Schema, **sensors: object) -> bytes:
    stream = io.BytesIO(wire_prefix(schema_id))
    stream.seek(0, io.SEEK_END)
    written = {"asset": "a", "event_time": START_US, "event_id": "e", **sensors}
    schemaless_writer(stream, parse_schema(plain_times(schema)), written)
    return stream.getvalue()


def reader(schemas: Mapping[int, Schema]) -> EventReader:
    return EventReader(sample_terms().definition, schemas)


def test_a_version_that_comes_changes_nothing_about_records_of_another() -> None:
    before, event = reader({5: RECORD}), value(5, RECORD, vibration=1.5, flow=2.5)
    for other in (changed("flow"), changed("flow", default=7.0, type=["double", "null"])):
        for other_id in (3, 9):
            assert reader({5: RECORD, other_id: other}).read(event) == before.read(event)


@pytest.mark.parametrize("default", [7.0, None])
def test_a_sensor_that_the_writer_did_not_have_is_missing_whatever_its_default(
    default: float | None,
) -> None:
    later = changed("flow", default=default, type=["double", "null"])
    without = changed("flow")
    values = reader({5: without, 6: later}).read(value(5, without, vibration=1.5)).values
    assert values.get("flow") is None


@pytest.mark.parametrize(
    ("kind", "ticks"), [("timestamp-millis", START_US // 1000), ("timestamp-micros", START_US)]
)
def test_each_version_tells_the_time_in_its_own_unit(kind: str, ticks: int) -> None:
    other = changed("event_time", name="at", aliases=["event_time"])
    other["fields"][1]["type"] = {"type": "long", "logicalType": kind}
    read = reader({5: RECORD, 6: other})

    assert read.read(value(6, other, at=ticks)).time_us == START_US
    assert read.read(value(5, RECORD)).time_us == START_US

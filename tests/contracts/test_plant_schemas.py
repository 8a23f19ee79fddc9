"""The plant's records must carry what the definition reads."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.contracts.plant_schemas import check_records

from .records import MICROS, NULL_DOUBLE, plant, record

GOOD = {"asset": "string", "time": MICROS, "x": "double"}


def check(
    fields: dict[str, Any], target: str = "ahead: {field: x, after: 1}", **p: str
) -> list[str]:
    schema = record(**fields)
    return check_records(plant(target, **p), {"plant.Reading": schema})


@pytest.mark.parametrize(
    "kind",
    ["double", "float", "int", "long", NULL_DOUBLE, ["double", "null"], {"type": "double"}],
)
def test_numbers_of_every_type_are_features(kind: object) -> None:
    assert check({**GOOD, "x": kind}) == []


@pytest.mark.parametrize(
    "kind",
    [
        "string",
        "boolean",
        "int",
        ["null", "string"],
        {"type": "enum", "name": "E", "symbols": ["A"]},
    ],
)
def test_texts_enums_and_whole_numbers_are_nominal_features(kind: object) -> None:
    features = "{x: {}, r: {kind: nominal}}"
    assert check({**GOOD, "r": kind}, features=features) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"asset": "int"}, "streams.s.asset: asset must be string (null allowed), was int"),
        ({"time": "string"}, "streams.s.time: time must be long (null allowed), was string"),
        (
            {"time": "long"},
            "streams.s.time: must have a unit (s, ms, us, ns), time is a plain long",
        ),
        (
            {"x": "string"},
            "streams.s.features.x: x must be double or float or int or long or boolean",
        ),
        ({"x": ["double", "string"]}, "streams.s.features.x: x must be double"),
        ({"x": {"type": "array", "items": "double"}}, "was array"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(fields: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in check({**GOOD, **fields}))


def test_a_missing_field_is_named_beside_those_there_are() -> None:
    assert check({"asset": "string", "time": MICROS, "y": "double"}) == [
        "streams.s.features.x: must be a field of Reading (asset, time, y), was x",
        "streams.s.target.ahead.field: must be a field of Reading (asset, time, y), was x",
    ]


def test_a_plain_long_with_a_unit_is_a_time() -> None:
    assert check({**GOOD, "time": "long"}, time="{field: time, unit: ns}") == []


def test_a_unit_that_contradicts_the_record_is_refused() -> None:
    assert check(GOOD, time="{field: time, unit: us}") == []
    assert check(GOOD, time="{field: time, unit: ms}") == [
        "streams.s.time.unit: must be left out or be us for timestamp-micros, was ms"
    ]


def test_an_unknown_event_is_refused_beside_those_there_are() -> None:
    assert check_records(plant(), {"plant.Other": record()}) == [
        "streams.s.event: must be one of the plant's records, plant.Other"
    ]


@pytest.mark.parametrize(
    ("kind", "target", "problem"),
    [
        ("double", "field: {name: y, kind: regression}", None),
        ("string", "field: {name: y, kind: regression}", "y must be double or float or int"),
        ("boolean", "field: {name: y, kind: binary, classes: [false, true]}", None),
        ("boolean", "field: {name: y, kind: binary, classes: [0, 1]}", "was 0"),
        ("int", "field: {name: y, kind: binary, classes: [0, 1]}", None),
        ("int", "field: {name: y, kind: binary, classes: [low, high]}", "was low"),
        ("double", "field: {name: y, kind: multiclass}", "y must be boolean or int"),
        ("string", "field: {name: y, kind: multiclass}", None),
    ],
)
def test_the_targets_type_must_fit_its_kind(kind: str, target: str, problem: str | None) -> None:
    found = check({**GOOD, "y": kind}, target)

    assert (problem is None and found == []) or any(str(problem) in each for each in found)


def test_classes_of_an_enum_must_be_its_symbols() -> None:
    enum = {"type": "enum", "name": "E", "symbols": ["GOOD", "BAD"]}
    fields = {**GOOD, "y": enum}

    assert check(fields, "field: {name: y, kind: binary, classes: [GOOD, BAD]}") == []
    assert check(fields, "field: {name: y, kind: binary, classes: [GOOD, UGLY]}") == [
        "streams.s.target.field.classes: must be classes that y can hold, was UGLY"
    ]


def test_a_removed_sensor_is_missing_and_no_problem() -> None:
    before, now = record(**GOOD), record(asset="string", time=MICROS, z="double")
    definition = plant(target="ahead: {field: z, after: 1}")

    assert check_records(definition, {"plant.Reading": now}, [before]) == []
    assert len(check_records(definition, {"plant.Reading": now})) == 1


def test_a_renamed_sensor_is_found_by_its_alias() -> None:
    now = record(**{**GOOD, "vibration": "double"})
    now["fields"] = [field for field in now["fields"] if field["name"] != "x"]
    now["fields"][-1]["aliases"] = ["x"]

    assert check_records(plant(), {"plant.Reading": now}) == []


EMPTY = {"type": "record", "name": "Empty", "fields": []}


@pytest.mark.parametrize(
    "items",
    [
        "null",
        EMPTY,
        {"type": "fixed", "name": "F", "size": 0},
        {"type": "record", "name": "R", "fields": [{"name": "n", "type": EMPTY}]},
    ],
)
def test_lists_of_items_that_take_no_bytes_are_refused(items: object) -> None:
    listed = {"type": "map", "values": ["null", {"type": "array", "items": items}]}
    (problem,) = check({**GOOD, "l": listed})
    assert "items of an array must take at least a byte" in problem


@pytest.mark.parametrize("items", ["double", ["null", "null"], {"type": "array", "items": "int"}])
def test_lists_of_anything_else_are_right(items: object) -> None:
    assert check({**GOOD, "l": {"type": "array", "items": items}}) == []


def test_a_record_that_holds_itself_is_refused_and_one_used_twice_is_not() -> None:
    tree = {"type": "record", "name": "T", "fields": [{"name": "n", "type": ["null", "T"]}]}
    (problem,) = check({**GOOD, "t": tree})
    assert "plant.T must not hold itself" in problem
    pair = {"type": "record", "name": "P", "fields": [{"name": "n", "type": "int"}]}
    assert check({**GOOD, "t": pair, "u": "P"}) == []


def test_an_older_record_that_swells_is_refused_too() -> None:
    older = record(**{**GOOD, "l": {"type": "array", "items": "null"}})
    assert len(check_records(plant(), {"plant.Reading": record(**GOOD)}, [older])) == 1


def test_an_id_is_a_text_or_a_whole_number() -> None:
    assert check({**GOOD, "n": "long"}, id="n") == []
    assert check({**GOOD, "n": "double"}, id="n") == [
        "streams.s.id: n must be string or int or long (null allowed), was double"
    ]


@pytest.mark.parametrize(
    ("stated", "unit", "is_refused"),
    [("mm/s", "mm/s", False), ("mm/s", "", False), ("", "mm/s", False), ("mm/s", "in/s", True)],
)
def test_a_unit_must_be_what_every_version_of_the_record_says(
    stated: str, unit: str, is_refused: bool
) -> None:
    schema = record(**GOOD)
    older = record(**GOOD)
    for field in older["fields"]:
        if field["name"] == "x" and stated:
            field["unit"] = stated
    features = f"{{x: {{unit: {unit}}}}}" if unit else "{x: {}}"
    found = check_records(plant(features=features), {"plant.Reading": schema}, [older])

    assert bool(found) is is_refused
    if is_refused:
        assert "streams.s.features.x.unit: must be mm/s" in found[0]

"""Cells become Avro values exactly, or say why not."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.targets import LabelTarget
from tidemill.runtime.csv_values import (
    label_value,
    micros_of,
    parse_ticks,
    parser_for,
    ticks_of,
)

ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("double", "0.1", 0.1),
        ("double", "-inf", -math.inf),
        (["null", "float"], "2.5", 2.5),
        ("long", "9223372036854775807", 2**63 - 1),
        ("int", "1.0", 1),
        ("int", "1e3", 1000),
        ("boolean", "True", True),
        ("boolean", "0", False),
        ("boolean", "0.0", False),
        ("string", " as it is ", " as it is "),
        (ENUM, " B", "B"),
        (MILLIS, "1970-01-01T00:00:01.5Z", 1500),
        (MILLIS, "1500", 1500),
    ],
)
def test_a_cell_becomes_a_value_of_its_type(kind: object, cell: str, value: object) -> None:
    parse = parser_for(kind)
    assert parse is not None

    found = parse(cell)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_value_and_not_a_missing_one() -> None:
    parse = parser_for("double")
    assert parse is not None
    assert math.isnan(float(parse("nan")))


@pytest.mark.parametrize(
    ("kind", "cell", "problem"),
    [
        ("double", "1,5", "must be a number"),
        ("int", "2147483648", "must fit 32 bits"),
        ("long", "9223372036854775808", "must fit 64 bits"),
        ("long", "1.5", "must be a whole number"),
        ("long", "nan", "must be a whole number"),
        ("float", "1e39", "must fit a float of 32 bits"),
        ("boolean", "2", "must be true or false"),
        (ENUM, "C", "must be one of A, B"),
        (MILLIS, "yesterday", "must be ISO 8601 or a number since 1970"),
        (MILLIS, "nan", "must be a time"),
    ],
)
def test_a_cell_of_another_type_is_refused(kind: object, cell: str, problem: str) -> None:
    parse = parser_for(kind)
    assert parse is not None

    with pytest.raises(ValueError, match=problem):
        parse(cell)


@pytest.mark.parametrize("kind", [{"type": "array", "items": "int"}, "bytes", ["int", "string"]])
def test_some_types_cannot_stand_in_a_cell(kind: object) -> None:
    assert parser_for(kind) is None


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("2020-03-09 10:14:33", 1583748873),
        ("2020-03-09T10:14:33Z", 1583748873),
        ("2020-03-09T11:14:33+01:00", 1583748873),
        ("2020-03-09", 1583712000),
        ("1583748873", 1583748873),
        ("1583748873.9", 1583748873),
        ("-0.5", -1),
    ],
)
def test_times_are_iso_8601_in_utc_or_numbers_rounded_to_the_past(cell: str, seconds: int) -> None:
    assert parse_ticks(cell, "s") == seconds


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda d: d.replace(tzinfo=UTC)),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_every_time_survives_in_its_unit(moment: datetime, unit: str) -> None:
    exact_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    step = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}[unit]

    ticks = parse_ticks(moment.isoformat(), unit)
    assert ticks == ticks_of(exact_us, unit)
    assert micros_of(ticks, unit) == exact_us - exact_us % step


@pytest.mark.parametrize(
    ("kind", "classes", "cell", "value"),
    [
        ("regression", None, "1.5", 1.5),
        ("binary", ("0", "1"), "1.0", "1"),
        ("binary", ("0", "1"), "0", "0"),
        ("binary", ("false", "true"), "1", True),
        ("binary", ("false", "true"), "False", False),
        ("binary", ("no", "yes"), " yes ", "yes"),
        ("multiclass", None, "2.0", "2"),
        ("multiclass", None, "jam", "jam"),
    ],
)
def test_labels_are_numbers_booleans_or_the_keys_of_classes(
    kind: str, classes: tuple[str, str] | None, cell: str, value: object
) -> None:
    target = LabelTarget.model_validate(
        {"name": "y", "kind": kind, "ttl_s": 1.0, "classes": classes}
    )

    found = label_value(cell, target)
    assert found == value
    assert type(found) is type(value)


def test_a_label_that_is_no_class_is_refused() -> None:
    target = LabelTarget(name="y", kind="binary", ttl_s=1.0, classes=("0", "1"))

    with pytest.raises(ValueError, match="must be one of the classes 0, 1, was '2'"):
        label_value("2", target)

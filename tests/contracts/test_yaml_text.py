"""YAML as plants write it: version 1.2's scalars, every key once."""

from __future__ import annotations

import math

import pytest

from tidemill.contracts.yaml_text import load_yaml
from tidemill.kernel.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("010", "010"),
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("7", 7),
        ("-0", 0),
        ("true", True),
        ("~", None),
        ("", None),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
    ],
)
def test_scalars_mean_what_version_1_2_says(text: str, value: object) -> None:
    found, doubled = load_yaml(f"a: {text}")

    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)
    assert doubled == []


def test_infinity_and_nan_have_a_dot() -> None:
    found, _ = load_yaml("[.inf, -.inf, .nan, inf]")

    assert found[:2] == [math.inf, -math.inf]  # type: ignore[index]  # it is a list
    assert math.isnan(found[2])  # type: ignore[index]  # as above
    assert found[3] == "inf"  # type: ignore[index]  # as above


def test_an_anchor_may_be_used_again() -> None:
    found, doubled = load_yaml("a: &x [1]\nb: *x\nc: {<<: {d: 1}, d: 2}")

    assert found == {"a": [1], "b": [1], "c": {"d": 2}}
    assert doubled == []


def test_every_doubled_key_is_named_with_its_lines() -> None:
    _, doubled = load_yaml("a: 1\nb: {c: 1, c: 2}\na: [{d: 1}, {d: 1, d: 2}]")

    assert doubled == [
        "b.c: must be given once, was given on lines 2 and 2",
        "a: must be given once, was given on lines 1 and 3",
        "a[1].d: must be given once, was given on lines 3 and 3",
    ]


def test_a_syntax_error_names_line_and_column() -> None:
    with pytest.raises(ConfigError, match="line 2, column"):
        load_yaml("a: 1\nb: [")


def test_a_python_object_is_refused() -> None:
    with pytest.raises(ConfigError):
        load_yaml("a: !!python/object/apply:os.getcwd []")

"""Feedback as people write it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.feedback_lines import moment_us, read_file, read_options

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = {"kind": "RIGHT", "event_id": "e1", "actor": "anna", "role": "operator"}
CORRECTED = {**RIGHT, "kind": "CORRECTED", "value": 1.0}
PLACE = {"topic": "sensor.events", "partition": 0, "offset": 7}


def read(folder: Path, *documents: object) -> list[dict[str, Any]]:
    path = folder / "F.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in documents), "utf-8-sig")
    return [draft.fields for draft in read_file(path)]


def problem(folder: Path, **fields: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, {**CORRECTED, **fields})
    (text,) = caught.value.problems
    return text.removeprefix(f"{folder / 'F.jsonl'}, line 1: ")


def test_a_line_says_what_was_given_and_null_is_not_given(tmp_path: Path) -> None:
    given = {**CORRECTED, "value": 3, "event": PLACE, "comment": None, "selection": 1}

    (found,) = read(tmp_path, {**given, "time": "2026-01-01T00:00:00.000001Z"})

    assert found == {
        **CORRECTED,
        "value": 3.0,
        "event": PLACE,
        "selection": 1.0,
        "time": 1_767_225_600_000_001,
    }
    assert type(found["value"]) is type(found["selection"]) is float


@pytest.mark.parametrize("value", [True, False, 0.1, "jam", -0.0])
def test_a_value_keeps_its_kind(tmp_path: Path, value: object) -> None:
    (found,) = read(tmp_path, {**CORRECTED, "value": value})

    assert (type(found["value"]), repr(found["value"])) == (type(value), repr(value))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("colour", "red", "colour: must be a field of Feedback (feedback_id, kind, event_id, ev"),
        ("comment", 3, "comment: must be a text that is not empty, was 3"),
        ("comment", "", "comment: must be a text that is not empty, was ''"),
        ("comment", ["x" * 200], "comment: must be a text that is not empty, was ['xxxx"),
        ("comment", "\ud800", "comment: must be a text that UTF-8 can hold, was '\\ud800'"),
        ("value", "\ud800", "value: must be a text that UTF-8 can hold, was '\\ud800'"),
        ("value", [1], "value: must be a finite number, true, false or a text, was [1]"),
        ("value", float("nan"), "value: must be a finite number, was nan"),
        ("value", 10**400, "value: must be a finite number, was 1000000"),
        ("selection", True, "selection: must be a finite number, was True"),
        ("selection", "0.5", "selection: must be a finite number, was '0.5'"),
        ("time", "noon", "time: must be a time in ISO 8601 such as 2026-01-31T06:00:00Z, was 'n"),
        ("time", 1.5, "time: must be a time in ISO 8601 such as 2026-01-31T06:00:00Z, was 1.5"),
        ("event", "e", 'event: must be {"topic": ..., "partition": 0, "offset": 0}, was \'e\''),
        ("event", {**PLACE, "x": 1}, 'event: must be {"topic": ..., "partition": 0, "offset": 0'),
        ("event", {**PLACE, "offset": True}, 'event: must be {"topic": ..., "partition": 0, "of'),
    ],
)
def test_what_a_field_cannot_hold_is_said(
    tmp_path: Path, name: str, given: object, said: str
) -> None:
    assert problem(tmp_path, **{name: given}).startswith(said)


def test_a_file_must_be_there_and_hold_something(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n \n")
    (tmp_path / "latin").write_bytes(b"\xff")
    for name, said in (("none", "--file: must"), ("latin", "--file: must"), ("empty", "must hold")):
        with pytest.raises(ConfigError, match=said):
            read_file(tmp_path / name)


def test_options_are_named_as_they_are_typed() -> None:
    with pytest.raises(ConfigError) as caught:
        read_options({"kind": "RETRACT", "actor": None, "role": "operator", "until": "x"})

    assert [text.split(":")[0] for text in caught.value.problems] == [
        "--until", "--actor", "--target",
    ]  # fmt: skip


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.integers(-12, 12),
)
def test_a_time_is_the_same_moment_in_every_zone(moment: datetime, hours: int) -> None:
    us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    assert moment_us(moment.astimezone(timezone(timedelta(hours=hours))).isoformat()) == us
    assert moment_us(moment.replace(tzinfo=None).isoformat()) == us
    assert moment_us(us) == us


def test_a_kind_that_was_typed_in_small_letters_is_that_kind() -> None:
    draft = read_options({"kind": "retract", "target_id": "f1", "actor": "a", "role": "operator"})

    assert draft.fields["kind"] == "RETRACT"

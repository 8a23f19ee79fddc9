"""Rules that mend dead letters: what each does, and what each refuses."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tidemill.contracts.codec import wire_prefix
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.dlq_fix import Fix, Mended
from tidemill.runtime.dlq_fix_document import ACTIONS, parse_rules
from tidemill.runtime.dlq_fix_problems import check_rules
from tidemill.runtime.dlq_records import UnfixableError
from tidemill.testing.plants import RECORD_ID, START_US

from .dlq_plant import FIELDS, OLD_ID, decoded, encoded, letter, records


def fix(*rules: dict[str, Any]) -> Fix:  # Any: YAML
    text = json.dumps({"rules": rules})
    parsed, known = parse_rules(text) if rules else [], records()
    check_rules(parsed, known)
    return Fix(parsed, known)


def mended(value: bytes | None, *rules: dict[str, Any], reason: str = "contract") -> Mended:
    return fix(*rules).apply(letter(value, reason))


def after(rule: dict[str, Any], **fields: object) -> dict[str, Any]:  # Any: Avro values
    return decoded(mended(encoded(RECORD_ID, **fields), rule).value)


def refused(*rules: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        fix(*rules)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("rule", "was", "now"),
    [
        ({"default": {"flow": 1.5}}, None, 1.5),
        ({"default": {"flow": 1.5}}, 2.0, 2.0),
        ({"set": {"flow": 3}}, 2.0, 3.0),
        ({"scale": {"flow": 0.1}}, 125.0, 12.5),
        ({"scale": {"flow": {"factor": 2, "offset": -1}}}, 3.0, 5.0),
        ({"scale": {"flow": 2}}, math.inf, math.inf),
        ({"scale": {"flow": 2}}, None, None),
        ({"clamp": {"flow": [0, 10]}}, 11.0, 10.0),
        ({"clamp": {"flow": [0, None]}}, -1.0, 0.0),
        ({"clamp": {"flow": [0, 10]}}, 5.0, 5.0),
        ({"blank": {"flow": [0, 10]}}, 10.5, None),
        ({"blank": {"flow": [0, 10]}}, math.nan, None),
        ({"blank": {"flow": [0, 10]}}, 10.0, 10.0),
        ({"convert": {"flow": {"from": "kPa", "to": "bar"}}}, 250.0, 2.5),
    ],
)
def test_an_action_changes_a_number(
    rule: dict[str, Any], was: float | None, now: float | None
) -> None:
    assert after(rule, flow=was)["flow"] == now


def test_a_unit_is_converted_to_that_of_the_definition_and_rounded_once() -> None:
    assert after({"convert": {"temperature": "degF"}}, temperature=212.0)["temperature"] == 100.0
    assert after({"convert": {"temperature": "K"}}, temperature=273.15)["temperature"] == 0.0


def test_a_class_is_mapped_and_others_stay() -> None:
    rule = {"map": {"is_faulty": {"true": False}}}

    assert after(rule, is_faulty=True)["is_faulty"] is False
    assert after(rule, is_faulty=None)["is_faulty"] is None
    assert mended(encoded(RECORD_ID, is_faulty=False), rule).changes == ()


def test_an_old_record_of_text_is_renamed_read_as_numbers_and_written_as_the_newest() -> None:
    value = encoded(OLD_ID, temperatur=" 21,5 ", wear=1.0)
    rules = (
        {"number": {"temperatur": ","}},
        {"rename": {"temperatur": "temperature"}},
        {"write_as": RECORD_ID},
    )

    done = mended(value, *rules)

    assert done.value is not None
    assert done.value[:5] == wire_prefix(RECORD_ID)
    assert decoded(done.value)["temperature"] == 21.5
    assert decoded(done.value)["event_id"] == "e1"
    assert [(c.what, c.before, c.after) for c in done.changes] == [
        ("temperatur", " 21,5 ", 21.5),
        ("rename", "temperatur", "temperature"),
        ("write_as", OLD_ID, RECORD_ID),
    ]


@pytest.mark.parametrize("text", ["1.234,5", "1_0", "warm", ""])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    rule = {"number": {"temperatur": ","}}
    with pytest.raises(UnfixableError, match=r"rules\[0\].number.temperatur: must be a number"):
        mended(encoded(OLD_ID, temperatur=text), rule)


@pytest.mark.parametrize(
    ("unit", "was", "ticks"),
    [("s", START_US // 1_000_000, START_US), ("ms", START_US // 1000, START_US), ("us", 5, 5)],
)
def test_a_time_in_another_unit_becomes_the_fields(unit: str, was: int, ticks: int) -> None:
    assert after({"time": {"event_time": unit}}, event_time=was)["event_time"] == ticks


def test_bytes_under_a_wrong_id_are_read_by_the_one_that_is_named() -> None:
    good = encoded(RECORD_ID, flow=1.0)
    wrong = wire_prefix(77) + good[5:]

    assert mended(wrong, {"read_as": RECORD_ID}, reason="unknown-schema").value == good
    plain = {"read_as": {"schema": RECORD_ID, "prefix": False}}
    assert mended(good[5:], plain, reason="undecodable").value == good


def test_a_record_that_can_be_read_is_read_otherwise_only_if_its_id_is_named() -> None:
    value = encoded(OLD_ID, temperatur=None)

    assert mended(value, {"read_as": RECORD_ID}).changes == ()
    asked = {"when": {"schema": OLD_ID}, "read_as": RECORD_ID}
    with pytest.raises(UnfixableError, match="read_as: the bytes must be one record"):
        mended(value, asked)


def test_json_becomes_the_newest_record() -> None:
    text = {**FIELDS, "event_time": "2026-01-01T00:00:00Z", "temp": 20, "note": "x"}
    rules = (
        {"read_as": {"json": "plant.PumpReading"}},
        {"rename": {"temp": "temperature"}},
        {"drop": ["note"]},
        {"time": {"event_time": "iso"}},
    )

    values = decoded(mended(json.dumps(text).encode(), *rules, reason="undecodable").value)

    assert (values["event_time"], values["temperature"]) == (START_US, 20.0)


@pytest.mark.parametrize("value", [None, b"", b"\x00\x01", b"[1]", b"{"])
def test_what_cannot_be_read_is_refused_and_without_a_rule_stays_as_it_is(
    value: bytes | None,
) -> None:
    assert mended(value) == Mended(value, ())
    with pytest.raises(UnfixableError, match="read_as: "):
        mended(value, {"read_as": {"json": "plant.PumpReading"}}, reason="undecodable")


@pytest.mark.parametrize(
    "when",
    [
        {"reason": "domain"},
        {"schema": OLD_ID},
        {"key": "north/2"},
    ],
)
def test_a_rule_whose_condition_does_not_hold_changes_nothing(when: dict[str, Any]) -> None:
    value = encoded(RECORD_ID)

    assert mended(value, {"when": when, "set": {"flow": 1.0}}) == Mended(value, ())
    holds = {"reason": "contract", "schema": RECORD_ID, "key": "north/1"}
    holding = {"when": {**holds, "event": "plant.PumpReading"}, "set": {"flow": 1.0}}
    assert mended(value, holding).changes


def test_what_no_rule_changes_stays_the_same_bytes() -> None:
    value = encoded(RECORD_ID, flow=1.0)

    assert mended(value, {"default": {"flow": 2.0}}) == Mended(value, ())


def test_an_event_keeps_its_id_and_one_without_gets_one() -> None:
    with pytest.raises(UnfixableError, match="event_id must stay the event's id 'e1'"):
        mended(encoded(RECORD_ID), {"set": {"event_id": "e2"}})
    done = mended(encoded(OLD_ID, event_id=None), {"default": {"event_id": "e9"}})
    assert decoded(done.value)["event_id"] == "e9"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"set": {"flow": "fast"}}, "must fit plant.PumpReading"),
        ({"set": {"is_faulty": "no"}}, "must fit plant.PumpReading"),
        ({"set": {"event_time": 1.5}}, "must fit plant.PumpReading"),
        ({"set": {"event_time": True}}, "must fit plant.PumpReading"),
        ({"set": {"asset": None}}, "must fit plant.PumpReading"),
        ({"rename": {"flow": "temperatur"}}, "rename, drop, or name another write_as"),
        ({"rename": {"flow": "vibration"}}, "vibration must be free for flow"),
        ({"scale": {"event_id": 2}}, "must be a number, was 'e1'"),
        ({"scale": {"flow": 1e308}}, "must stay a finite number"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(rule: dict[str, Any], said: str) -> None:
    value = encoded(RECORD_ID, flow=1e300, vibration=1.0)
    with pytest.raises(UnfixableError, match=said):
        mended(value, rule)


def test_the_records_that_each_rule_changed_are_counted() -> None:
    made = fix({"default": {"flow": 1.0}}, {"set": {"wear": 2.0}})
    for flow in (None, 3.0, None):
        made.apply(letter(encoded(RECORD_ID, flow=flow)))

    assert made.used == {"rules[0].default": 2, "rules[1].set": 3}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "rules[0]: must have exactly one action of read_as, rename, drop, default, set"),
        ({"drop": ["flow"], "write_as": RECORD_ID}, "was drop and write_as"),
        ({"sett": {"flow": 1}}, "rules[0].sett: must not be here: unknown key"),
        ({"set": {"flwo": 1}}, "set.flwo: must be a field of any record of this topic"),
        ({"set": {"flwo": 1}}, "did you mean flow?"),
        ({"rename": {"flow": "speed"}}, "rules[0].rename.speed: must be a field"),
        ({"clamp": {"flow": [3, 1]}}, "must be [low, high] with low < high"),
        ({"number": {"flow": ";"}}, "must be the decimal separator"),
        ({"time": {"event_time": "hours"}}, "rules[0].time.event_time"),
        ({"convert": {"flow": "l/s"}}, "convert.flow.to: must be given"),
        ({"convert": {"temperature": "bar"}}, "must name two units of one dimension"),
        ({"convert": {"temperature": "Fahrenheit"}}, "must be one of %, 1, A, Hz"),
        ({"write_as": 7}, "write_as: must be a schema id of this topic"),
        ({"read_as": 7}, "read_as: must be a schema id of this topic"),
        ({"read_as": {}}, "must name a schema id or {json: full name of a record}, was neither"),
        ({"read_as": {"json": "plant.X"}}, "read_as.json: must be one of plant.PumpReading"),
        ({"when": {"reason": "bad"}, "drop": ["flow"]}, "when.reason: must be one of undecodable"),
        ({"when": {"event": "plant.X"}, "drop": ["flow"]}, "when.event must be one of"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place(rule: dict[str, Any], said: str) -> None:
    assert said in refused(rule)


def test_every_problem_is_named_at_once_and_reading_comes_first() -> None:
    said = refused({"drop": ["flow"]}, {"read_as": RECORD_ID}, {"write_as": 7})

    assert "rules[1].read_as: must come before every rule that changes what was read" in said
    assert "rules[2].write_as" in said


@pytest.mark.parametrize("text", ["", "[]", "rules: []", "rule: []", "a: {"])
def test_a_file_that_holds_no_rules_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_rules(text)


def test_the_rules_shown_in_the_documentation_are_rules_and_show_every_action() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    (shown,) = re.findall(r"```yaml\n(rules:.*?)```", text, re.DOTALL)

    parsed = parse_rules(shown)

    assert len(parsed) == shown.count("\n  - ")
    assert all(re.search(rf"\b{action}: ", shown) for action in ACTIONS)

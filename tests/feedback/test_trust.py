"""Whose word counts: rules by property, and a simulation with noise."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.stage import LABELLED, Stage, definition_text
from tidemill.processors.feedback.doubting import differ
from tidemill.processors.feedback.trust import Limits, weight_of

OPERATORS = {**LABELLED, "feedback": {"roles": ["operator"], "veto_needs": "operator"}}
SENSORS = ("vibration", "temperature", "flow")
KINDS = ("IRRELEVANT", "MISSING", "WRONG_DIRECTION", "RIGHT", "CORRECTED")
ACTORS = tuple("abcdefghij")


@given(st.dictionaries(st.sampled_from(ACTORS), st.integers(1, 50), min_size=1))
def test_nobody_weighs_more_than_all_others_together(votes: dict[str, int]) -> None:
    counted = Counter(votes)
    largest = max(votes.values())
    others = sum(votes.values()) - largest

    assert weight_of(counted, Limits()) == others + min(largest, others)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_answers_differ_both_ways_or_not_at_all(one: float, other: float) -> None:
    assert differ(one, other) == differ(other, one)
    assert not differ(one, one)


def test_rounding_makes_no_difference() -> None:
    assert not differ(1.0, 1.0 + 1e-12)
    assert differ(1.0, 1.001)
    assert differ("a", "b")
    assert differ(1.0, "1.0")
    assert differ(math.inf, 5.0)
    assert not differ(5.0, 5.1, 0.2)
    assert differ(5.0, 5.3, 0.2)


def vetoed(seed: int, count: int = 200, noise: float = 0.3) -> set[str]:
    """Return the sensors that feedback of ten people vetoes, part of which is noise."""
    dice = random.Random(seed)
    stage = Stage(text=definition_text(OPERATORS))
    found: set[str] = set()
    for number in range(count):
        kind, feature = "IRRELEVANT", "flow"
        if dice.random() < noise:
            kind, feature = dice.choice(KINDS), dice.choice(SENSORS)
        known: dict[str, object] = {"actor": dice.choice(ACTORS), "event_id": f"e{number % 100}"}
        if kind in KINDS[:3]:
            known["feature"] = feature
        if kind == "CORRECTED":
            known["value"] = dice.choice(("ok", "jam"))
        said = stage.say(f"f{number}", kind, **known)
        found |= {u["feature"] for u in said.updates if u["kind"] == "VETO"}
    return found


@pytest.mark.parametrize("noise", [0.3])
def test_with_three_in_ten_at_random_the_right_sensor_is_vetoed_and_no_other(noise: float) -> None:
    found = [vetoed(seed, noise=noise) for seed in range(20)]

    assert all("flow" in each for each in found)
    assert sum(each == {"flow"} for each in found) >= 19

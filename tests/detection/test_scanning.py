"""The scan against brute force: every start tried, every sum added afresh."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.detection import layout as at
from tidemill.detection.learning import fresh
from tidemill.detection.stepping import advance

values = st.lists(st.floats(-3.4, 3.4).map(lambda v: round(v, 3)), min_size=2, max_size=60)


def scanned(given_values: list[float], sides: float) -> float:
    """Return the statistic of the level after the values, standardised as they are."""
    rows = np.zeros((1, at.WIDTH))
    for c in at.CHANNELS:
        rows[0, c + at.SIDES] = sides if c in {at.LEVEL, at.SPREAD} else 1.0
    fresh(rows[0])
    rows[0, at.KNOWN], rows[0, at.PER_SCALE], rows[0, at.NEXT_FIT] = 2.0, 1.0, math.inf
    stamps = np.arange(float(len(given_values)))
    advance(rows, np.array([given_values]), stamps, np.zeros(1, dtype=np.intp))
    return float(rows[0, at.LEVEL + at.STAT])


def tried(given_values: list[float], *, upward: bool) -> tuple[float, float]:
    """Return the largest gain in half the squared errors of any one start, and its age."""
    best, age = 0.0, math.inf
    n, mean = len(given_values), math.fsum(given_values) / len(given_values)
    for start in range(1, n):
        before = math.fsum(given_values[:start]) / start
        after = math.fsum(given_values[start:]) / (n - start)
        if upward and after <= before:
            continue
        gain = start * (before - mean) ** 2 + (n - start) * (after - mean) ** 2
        if 0.5 * gain > best:
            best, age = 0.5 * gain, n - start
    return best, age


def check_scan(given_values: list[float], *, upward: bool) -> None:
    """Hold the scan against brute force; the strongest start may be too young to count."""
    expected, age = tried(given_values, upward=upward)
    found = scanned(given_values, 1.0 if upward else 3.0)
    if age < at.YOUNGEST:
        assert found <= expected * (1.0 + 1e-9) + 1e-9
    else:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(values)
def test_no_start_is_stronger_than_what_the_scan_finds(given_values: list[float]) -> None:
    check_scan(given_values, upward=False)


@given(values)
def test_upward_only_rises_count(given_values: list[float]) -> None:
    check_scan(given_values, upward=True)


@pytest.mark.parametrize(("count", "is_seen"), [(1, False), (3, False), (4, True), (6, True)])
def test_fewer_than_four_values_are_no_change(count: int, is_seen: bool) -> None:
    calm, changed = [0.1, -0.1] * 20, [3.4] * count
    expected, age = tried(calm + changed, upward=False)
    assert age == count
    assert (scanned(calm + changed, 3.0) == pytest.approx(expected, rel=1e-9)) is is_seen


@settings(max_examples=20)
@given(st.integers(0, 1_000))
def test_where_starts_had_to_be_left_out_little_is_lost(seed: int) -> None:
    ramp = np.linspace(-3.0, 3.0, 400) + 1e-4 * np.random.default_rng(seed).normal(size=400)
    exact, _ = tried(ramp.tolist(), upward=False)
    found = scanned(ramp.tolist(), 3.0)
    assert 0.97 * exact <= found <= exact * (1.0 + 1e-9)

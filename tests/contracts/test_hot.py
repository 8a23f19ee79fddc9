"""What runs for every event gives the same in Python and compiled."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts import hot
from tidemill.contracts.hot import floats_within, plain_floats_within, plain_varint, varint

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

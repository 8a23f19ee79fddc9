"""Rows that are kept while a reference is learned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.asset_cases import calm
from tidemill.detection.asset_kept import FIRST, Kept


@given(st.lists(st.integers(1, 99), max_size=5))
def test_rows_come_back_however_they_were_cut(cuts: list[int]) -> None:
    rows = 1e6 + calm(100)
    kept = Kept(100, 4)
    for part in np.split(rows, sorted(set(cuts))):
        kept.add(part)
    assert kept.all() == pytest.approx(rows, abs=1e-6)
    whole = Kept(100, 4)
    whole.add(rows)
    assert kept.all().tobytes() == whole.all().tobytes()


def test_a_first_value_far_out_takes_no_precision_from_the_others() -> None:
    rows = calm(100)
    rows[0] = 1e300
    rows[1:9, 1] = np.nan
    rows[2, 2] = -np.inf
    kept = Kept(100, 4)
    kept.add(rows)
    found = kept.all()
    assert not np.isfinite(found[0]).any()
    assert found[1:] == pytest.approx(rows[1:], abs=1e-5, nan_ok=True)


def test_the_middle_is_that_of_the_first_rows_that_are_given() -> None:
    rows = calm(100)
    rows[:FIRST, 3] = np.nan
    kept = Kept(100, 4)
    kept.add(rows[: FIRST - 1])
    assert not kept.middle.any()
    kept.add(rows[FIRST - 1 :])
    assert kept.middle.tolist() == [*np.median(rows[:FIRST, :3], axis=0).tolist(), 0.0]

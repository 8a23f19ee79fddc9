"""One pass over rows: plain and compiled to the last bit, and by the book."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.asset_cases import broken, calm
from tidemill.detection import asset_passes
from tidemill.detection.asset_passes import Frozen, Moving, advance, plain, plain_product, product
from tidemill.detection.asset_reference import Learning, learn

MEMORY = (1 / 4, 1 / 16)


def learned(sensors: int, lags: int) -> tuple[Frozen, asset_passes.Numbers]:
    rows = calm(300, sensors)
    if sensors > 2:
        rows[:, 1] = 7.0
    found, past = learn(rows, Learning(300, lags, 0.003, MEMORY, 1_000.0, 1.0))
    return found.frozen, past


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 1_000), st.booleans())
def test_the_compiled_pass_equals_the_plain_one_in_every_bit(
    sensors: int, lags: int, seed: int, counting: bool
) -> None:
    frozen, past = learned(sensors, lags)
    rows = broken(calm(40, sensors, seed=seed + 2), seed)
    ends = []
    for way in (advance, plain):
        moving, out = Moving(sensors, lags, 2), np.zeros((40, 6))
        moving.start(past)
        way(rows, frozen, moving, out, counting=counting)
        ends.append([out.tobytes(), *(each.tobytes() for each in moving.copies())])
    assert ends[0] == ends[1]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_a_product_is_summed_term_by_term(n: int, m: int, p: int) -> None:
    rng = np.random.default_rng([n, m, p])
    left, right = rng.standard_normal((n, m)) * 1e8, rng.standard_normal((m, p))
    expected = np.zeros((n, p))
    for t in range(n):
        for i in range(p):
            for j in range(m):
                expected[t, i] += left[t, j] * right[j, i]
    out = np.empty((n, p))
    plain_product(left, right, out)
    assert out.tobytes() == expected.tobytes()
    assert product(left, right).tobytes() == expected.tobytes()


def test_statistics_are_what_matrices_say() -> None:
    frozen, past = learned(4, 2)
    rows = calm(60, 4, seed=5)
    rows[7, 2] = np.nan
    moving, out = Moving(4, 2, 2), np.zeros((60, 6))
    moving.start(past)
    advance(rows, frozen, moving, out, counting=False)

    before, z, y, e = past, np.zeros((2, 4)), np.zeros((2, 4)), np.ones(2)
    lam = np.array(MEMORY).reshape(-1, 1)
    for row, line in zip(rows, out, strict=True):
        foreseen = frozen.coef[0] + before.ravel() @ frozen.coef[1:]
        x = np.where(np.isnan(row), foreseen, (row - frozen.center) * frozen.inverse)
        r = np.clip(x - foreseen, -frozen.reach, frozen.reach)
        w, d = r @ frozen.white, r @ frozen.alone
        z, y = (1 - lam) * z + lam * w, (1 - lam) * y + lam * d
        e = (1 - lam[:, 0]) * e + lam[:, 0] * (w @ w) * frozen.share
        assert line[0::3] == pytest.approx((z * z * frozen.per_white).sum(axis=1) * frozen.share)
        assert line[1::3] == pytest.approx((y * y * frozen.per_alone).max(axis=1))
        assert line[2::3] == pytest.approx(e)
        before = np.stack([x, before[0]])


def test_sums_are_of_what_is_remembered() -> None:
    frozen, past = learned(2, 1)
    moving, out = Moving(2, 1, 2), np.zeros((1, 6))
    moving.start(past)
    expected = np.zeros((2, 9))
    for row in calm(20, 2, seed=9):
        advance(row.reshape(1, -1), frozen, moving, out, counting=True)
        e, g = moving.energy, float(moving.w @ moving.w) * frozen.share
        rest = np.stack([e, e * e, e * e * e, np.full(2, g), np.full(2, g * g)], axis=1)
        expected += np.concatenate([moving.white**2, moving.alone**2, rest], axis=1)
    assert moving.sums == pytest.approx(expected)


def test_without_a_compiler_the_plain_pass_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tidemill.detection._asset", None)
    monkeypatch.delattr("tidemill.detection._asset", raising=False)
    assert asset_passes._compiled() is None

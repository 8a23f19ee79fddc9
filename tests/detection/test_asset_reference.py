"""What a reference says: coefficients, whitening, limits, and whether it holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.asset_cases import calm
from tidemill.detection.asset_fit import Reference, fit, grams
from tidemill.detection.asset_limits import (
    Counted,
    crossing,
    expected_squares,
    inflations,
    limits,
    scaled_square,
    skewed,
    student,
    usual_most,
)
from tidemill.detection.asset_reference import Learning, affordable, learn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidemill.detection.asset_passes import Frozen, Numbers

    Truth = NDArray[np.bool_]

MEMORY = (1 / 4, 1 / 16)
HOW = Learning(400, 2, 0.01, MEMORY, 10_000.0, 0.3)


def test_coefficients_are_penalised_for_being_other_than_those_of_own_pasts() -> None:
    reference = Reference.of(calm(300, 3), 2)
    kept = np.ones(len(reference.now), dtype=bool)
    gram = grams(reference, slice(0, len(reference.now)))
    frozen = fit(reference, kept, gram, memory=MEMORY, ridge=0.01)
    past, now = reference.past, reference.now
    own = np.zeros((7, 3))
    for i in range(3):
        places = [0, 1 + i, 4 + i]
        small = past[:, places]
        little = np.diag([0.0, 1e-4 * len(now), 1e-4 * len(now)])
        own[places, i] = np.linalg.solve(small.T @ small + little, small.T @ now[:, i])
    penalty = np.diag([0.0] + [0.01 * len(now)] * 6)
    expected = own + np.linalg.solve(past.T @ past + penalty, past.T @ (now - past @ own))
    assert frozen.coef == pytest.approx(expected, abs=1e-9)


def test_whitened_residuals_are_uncorrelated_but_for_the_shrinking() -> None:
    reference = Reference.of(calm(2_000, 4), 1)
    kept = np.ones(len(reference.now), dtype=bool)
    gram = grams(reference, slice(0, len(reference.now)))
    frozen = fit(reference, kept, gram, memory=MEMORY, ridge=0.01)
    off = reference.now - reference.past @ frozen.coef
    clipped = np.clip(off, -frozen.reach, frozen.reach)
    covariance = np.cov((clipped @ frozen.white).T)
    assert covariance == pytest.approx(np.eye(4), abs=0.05)
    precision = frozen.white @ frozen.white.T
    assert frozen.alone == pytest.approx(precision / np.sqrt(precision.diagonal()))


@given(st.integers(0, 3), st.integers(0, 50))
def test_a_gap_holds_the_value_before_it(sensor: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = calm(120, 4, seed=seed)
    rows[rng.random(120) < 0.3, sensor] = np.nan
    reference = Reference.of(rows, 1)
    last = 0.0
    for number, value in enumerate(rows[:, sensor]):
        if not np.isnan(value):
            last = (value - reference.center[sensor]) * reference.inverse[sensor]
        assert reference.values[number, sensor] == last


def test_lagged_rows_stand_before_theirs() -> None:
    reference = Reference.of(calm(50, 2), 3)
    for number, (past, now) in enumerate(zip(reference.past, reference.now, strict=True)):
        rows = reference.values[number : number + 4]
        assert past.tolist() == [1.0, *rows[2], *rows[1], *rows[0]]
        assert now.tolist() == rows[3].tolist()


@pytest.mark.parametrize("column", [np.full(400, 3.5), np.full(400, np.nan), np.full(400, 1e308)])
def test_a_sensor_that_says_nothing_is_silent_and_harms_no_other(
    column: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    rows = calm(400)
    rows[:, 2] = column
    learned, past = learn(rows, HOW)
    assert learned.silent() == [2]
    for each in (learned.limits, learned.frozen.white, learned.frozen.coef, past):
        assert np.isfinite(each).all()
    without, _ = learn(np.delete(rows, 2, axis=1), HOW)
    assert learned.limits == pytest.approx(without.limits)


def test_a_sensor_seen_in_fewer_than_half_of_the_rows_says_nothing() -> None:
    rows = calm(400)
    rows[:201, 1] = np.nan
    assert Reference.of(rows, 1).inverse[1] == 0.0
    rows[200] = 1.0
    assert Reference.of(rows, 1).inverse[1] > 0.0


def test_a_sensor_at_one_value_most_of_the_time_is_measured_by_its_deviation() -> None:
    rows = calm(400)
    rows[:, 0] = np.where(np.arange(400) % 10 == 0, 1.0, 0.0)
    reference = Reference.of(rows, 1)
    assert reference.inverse[0] == pytest.approx(1.0 / math.sqrt(0.1))


def test_sensors_that_copy_each_other_leave_finite_numbers() -> None:
    rows = calm(400)
    rows[:, 3] = 2.0 * rows[:, 0] + 1.0
    learned, _ = learn(rows, HOW)
    assert np.isfinite(learned.frozen.white).all()
    assert np.isfinite(learned.limits).all()


def test_nothing_is_watched_where_no_sensor_says_anything() -> None:
    learned, _ = learn(np.full((400, 2), 5.0), HOW)
    assert np.isinf(learned.limits).all()
    assert learned.silent() == [0, 1]


@pytest.mark.parametrize("change", ["step", "season", "spread"])
def test_a_reference_whose_second_half_is_other_does_not_hold(change: str) -> None:
    rows = calm(2_000)
    match change:
        case "step":
            rows[1_000:] += 3.0
        case "spread":
            rows[1_000:] = 50.0 + 3.0 * (rows[1_000:] - 50.0)
        case _:
            events = np.arange(2_000).reshape(-1, 1)
            rows += 4.0 * np.sin(events / 2_000.0 * np.pi + np.arange(4))
    learned, _ = learn(rows, HOW)
    assert not learned.holds
    assert learned.over > HOW.refuse_above


def test_a_calm_reference_holds() -> None:
    learned, _ = learn(calm(2_000), HOW)
    assert learned.holds
    assert learned.over == 0.0
    assert (learned.inflation < 1.6).all()


def test_limits_come_from_rows_that_the_model_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = calm(322, 2)
    asked: list[tuple[int, bool]] = []

    def spied(
        reference: Reference, kept: Truth, gram: Numbers, **rest: Any
    ) -> Frozen:  # Any: as `fit`
        both = np.concatenate([reference.past, reference.now], axis=1)[kept]
        asked.append((int(kept.sum()), bool(np.allclose(gram, both.T @ both))))
        return fit(reference, kept, gram, **rest)

    monkeypatch.setattr("tidemill.detection.asset_reference.fit", spied)
    learn(rows, HOW)
    halves = [159 - size for size in (19, 20, 20, 20, 20, 20, 20, 20)]
    assert asked == [(size, True) for size in [*[280] * 8, *halves, 159, 320]]


def test_memories_are_used_that_the_reference_is_long_enough_for() -> None:
    assert affordable((1 / 4, 1 / 16, 1 / 64), 400) == (1 / 4, 1 / 16)
    assert affordable((1 / 4, 1 / 16, 1 / 64), 600) == (1 / 4, 1 / 16, 1 / 64)
    assert affordable((1 / 512,), 100) == (1 / 512,)


@given(st.floats(0.001, 0.5), st.floats(1e4, 1e9))
def test_a_crossing_comes_once_in_a_run_length(rate: float, run_length: float) -> None:
    level = crossing(rate, run_length)
    density = math.exp(-level * level / 2.0) / math.sqrt(2.0 * math.pi)
    inside = rate * run_length * level * density
    assert inside == pytest.approx(1.0, rel=1e-3) or level == 1.0


def test_a_level_costs_more_where_the_variance_is_known_from_few_samples() -> None:
    assert student(4.0, 1e9) == pytest.approx(4.0, rel=1e-6)
    assert student(4.0, 20.0) > student(4.0, 40.0) > 4.0


def test_chi_square_quantiles_are_those_of_tables() -> None:
    # Ten degrees of freedom, 99.9 %: 29.588.
    assert scaled_square(10.0, 20.0, 3.0902) == pytest.approx(29.588, rel=1e-2)
    deviations = skewed(math.sqrt(8.0 / 10.0), 3.0902)
    assert 10.0 + math.sqrt(20.0) * deviations == pytest.approx(29.588, rel=1e-2)
    assert skewed(0.0, 3.0) == 3.0


def test_squares_of_a_memory_add_up_to_their_variances() -> None:
    lam, total, weights = 0.25, 0.0, np.zeros(0)
    for _ in range(7):
        weights = np.append(weights * (1.0 - lam), lam)
        total += float(weights @ weights)
    assert expected_squares(lam, 7) == pytest.approx(total)


def test_inflation_is_drawn_to_that_of_all_and_never_below_one() -> None:
    says = np.array([True, True, True, False])
    found = inflations(np.array([4.0, 1.0, 0.1, 9.0]), 1e9, says)
    assert found == pytest.approx([4.0, 1.0, 1.0, 1.0], rel=1e-6)
    few = inflations(np.array([4.0, 1.0, 0.1, 9.0]), 1.0, says)
    assert 1.0 < few[0] < 2.0
    assert inflations(np.array([4.0]), 9.0, np.array([False])).tolist() == [1.0]


def test_limits_rise_with_the_run_length_and_with_noise_and_skewness() -> None:
    says = np.ones(5, dtype=bool)
    ones = np.ones(5)
    usual = Counted(ones, ones, 1.0, 0.05, 0.0, 0.4, 500.0)
    low, high = (limits(usual, 0.25, says, length) for length in (1e3, 1e6))
    assert (low < high).all()
    skewness = usual._replace(energy_skewness=3.0)
    assert limits(skewness, 0.25, says, 1e3)[2] > low[2]
    flat = limits(usual._replace(energy_variance=0.0), 0.25, says, 1e3)
    assert 1.0 <= flat[2] < low[2]


def test_many_sensors_of_few_samples_lie_above_one_as_their_variances_are_drawn() -> None:
    samples, prior = 40, 5.0
    drawn = np.random.default_rng(1).chisquare(samples, 400_000)
    expected = float(np.mean((samples + prior) / (drawn + prior)))
    many = np.ones(4_000_000, dtype=bool)
    found = Counted(np.ones(1), np.ones(1), 1.0, 0.05, 0.0, 0.4, float(samples))
    together = limits(found, 0.25, many, 1e3)[0]
    assert together == pytest.approx(expected, abs=0.01)
    assert together > 1.03


def test_what_was_counted_is_told_by_moments() -> None:
    values = np.array([1.0, 2.0, 3.0, 6.0])
    energy = [values.sum(), (values**2).sum(), (values**3).sum(), values.sum(), (values**2).sum()]
    found = Counted.of(np.array([8.0, 2.0, *energy]), 2.0, 4, 0.5)
    assert found.squares_white.tolist() == [4.0]
    assert found.squares_alone.tolist() == [1.0]
    assert (found.energy, found.energy_variance, found.noise) == (3.0, 3.5, 3.5)
    third = ((values - 3.0) ** 3).mean()
    assert found.energy_skewness == pytest.approx(third / 3.5**1.5)
    assert found.samples == pytest.approx(4 / 3)
    still = Counted.of(np.array([1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 4.0]), 2.0, 4, 0.5)
    assert (still.energy_variance, still.energy_skewness) == (0.0, 0.0)


def test_the_largest_of_many_squares_is_about_twice_a_logarithm() -> None:
    assert usual_most(50) == pytest.approx(2.0 * math.log(50.0), rel=1e-5)
    assert usual_most(1) == usual_most(3)

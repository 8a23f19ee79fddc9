"""Bounds, long-run variance, limits and tails against what is known of them."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.streams import correlated, watched
from tidemill.detection import layout as at
from tidemill.detection.learning import rungs
from tidemill.detection.limits import divided, limit, reached
from tidemill.detection.long_run import long_run
from tidemill.detection.robust import bounds, median
from tidemill.detection.tails import likelihood_share


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30))
def test_the_median_is_the_usual_one(values: list[float]) -> None:
    ordered = sorted(values)
    low, high = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    assert low <= median(values) <= high
    assert median(values) == pytest.approx(low / 2.0 + high / 2.0)


def test_bounds_of_a_normal_sample_are_its_mean_and_sd() -> None:
    values = statistics.NormalDist(5.0, 2.0).samples(4_000, seed=1)
    found = bounds(values)
    assert found is not None
    assert found.centre == pytest.approx(5.0, abs=0.15)
    assert found.scale == pytest.approx(2.0, rel=0.05)


def test_bounds_of_many_small_normal_samples_scatter_little() -> None:
    samples = np.random.default_rng(6).standard_normal((400, 128))
    found = [bounds(sample.tolist()) for sample in samples]
    scales = [b.scale for b in found if b is not None]
    # An sd of 128 normal values scatters by 6 %, a median absolute deviation by 10 %.
    assert statistics.stdev(scales) < 0.075
    assert statistics.fmean(scales) == pytest.approx(1.0, abs=0.02)
    assert statistics.stdev(b.centre for b in found if b is not None) < 0.1


def test_where_tails_are_not_normal_bounds_are_those_of_the_order() -> None:
    found = bounds([-1.0, 1.0] * 275 + [-4.2, 4.2] * 225)
    assert found is not None
    assert (found.centre, found.scale) == (0.0, 1.4826022185056018)


def test_a_third_of_wild_values_hardly_moves_the_bounds() -> None:
    values = [*statistics.NormalDist().samples(200, seed=1), *[1e9] * 60]
    found = bounds(values)
    assert found is not None
    assert abs(found.centre) < 0.6
    assert found.scale < 2.0


@pytest.mark.parametrize(
    "values",
    [[3.0] * 50, [1e15 + 1e-3 * n for n in range(2)], [-1.7e308, 1.7e308] * 25, [0.0, 5e-324]],
)
def test_values_that_do_not_differ_or_too_much_have_no_bounds(values: list[float]) -> None:
    assert bounds(values) is None


def test_rare_pulses_have_bounds_by_their_mean_deviation() -> None:
    found = bounds([0.0] * 95 + [1.0] * 5)
    assert found is not None
    assert found.centre == 0.0
    assert found.scale == pytest.approx(0.05 * 1.2533141373155001)


@pytest.mark.parametrize(("phi", "error"), [(0.0, 0.05), (0.5, 0.08), (0.9, 0.12)])
def test_the_long_run_variance_of_an_ar1_is_its_closed_form(phi: float, error: float) -> None:
    signals, _ = watched(correlated(phi, (8, 60_000), 2))
    tau = (1.0 + phi) / (1.0 - phi)
    found = [signals.standing(n) for n in range(8)]
    # Where few long blocks differ by chance, they are believed: a tau too high is the safe side.
    assert statistics.median(s.tau for s in found) == pytest.approx(tau, rel=error)
    assert min(s.tau for s in found) > (1.0 - 2.0 * error) * tau
    assert statistics.fmean(s.autocorrelation for s in found) == pytest.approx(phi, abs=0.02)
    assert all(s.is_watched for s in found)


def test_slow_movement_under_white_noise_is_seen_where_lag_1_sees_little() -> None:
    noise = np.random.default_rng(3).standard_normal((4, 200_000))
    signals, _ = watched(correlated(0.99, (4, 200_000), 3) + noise)
    taus = [signals.standing(n).tau for n in range(4)]
    lags = [signals.standing(n).autocorrelation for n in range(4)]
    # A lag-1 rule would say (1 + .5) / (1 - .5) = 3; it is (199 + 1) / 2.
    assert statistics.fmean(taus) == pytest.approx(100.0, rel=0.25)
    assert statistics.fmean(lags) == pytest.approx(0.5, abs=0.03)


def test_a_signal_that_swings_keeps_the_variance_of_its_shortest_blocks() -> None:
    signals, _ = watched(correlated(-0.5, (2, 20_000), 4))
    # E (x - x')^2 / 2 of neighbours is 1 + .5.
    assert signals.standing(0).tau == pytest.approx(1.5, rel=0.05)


def test_a_variance_that_goes_on_rising_has_no_level() -> None:
    steps = np.cumsum(np.random.default_rng(5).standard_normal((1, 30_000)), axis=1)
    signals, _ = watched(steps)
    assert long_run(rungs(signals.rows[0, at.LEVEL :]), 20.0) is None
    assert not signals.standing(0).is_watched


def test_a_small_rise_of_the_variance_counts_once_it_is_sure() -> None:
    # V_j is 1 for short blocks, 1.2 for long ones: less than what ends a block length.
    rungs_of = [
        (2.0 * 2.0**j * n * (1.2 if j > 4 else 1.0), float(n))
        for j, n in enumerate(1_000_000 // 2**j for j in range(1, 15))
    ]
    unsure, sure = long_run(rungs_of, 40.0), long_run(rungs_of, 40.0, firm_nu=2_000.0)
    assert unsure is not None
    assert sure is not None
    assert unsure.variance == pytest.approx(1.0, abs=0.03)
    assert sure.variance == pytest.approx(1.2, abs=0.01)


def test_blocks_within_which_a_signal_hardly_moves_say_nothing_of_longer_ones() -> None:
    smooth = [0.01, 0.04, 0.16, 0.64, 2.56]
    counts = [1_000.0, 500.0, 250.0, 125.0, 62.0]
    by_chance = [
        (v * 2.0 * 2.0**j * n, n) for j, (v, n) in enumerate(zip(smooth, counts, strict=True))
    ]
    by_chance.append((2.56 * 64.0 * 30.0, 30.0))
    assert long_run(by_chance, 20.0) is None
    slow = correlated(0.99, (100, 20_000), 9)
    taus = [signals.standing(n).tau for signals in [watched(slow)[0]] for n in range(100)]
    assert min(tau for tau in taus if not math.isnan(tau)) > 32.5


def test_nothing_or_too_little_has_no_long_run_variance() -> None:
    assert long_run([], 20.0) is None
    assert long_run([(0.0, 50.0), (0.0, 25.0)], 20.0) is None
    assert long_run([(100.0, 50.0), (60.0, 15.0)], 20.0) is None


@given(st.floats(1e3, 1e9), st.floats(1.0, 20.0), st.floats(20.0, 1e9))
def test_limit_and_run_length_are_inverse(run_length: float, tau: float, nu: float) -> None:
    assert reached(limit(run_length, tau, nu), tau, nu) == pytest.approx(run_length, rel=1e-6)


def test_fewer_degrees_of_freedom_and_longer_runs_raise_the_limit() -> None:
    assert limit(1e5, 1.0, 20.0) > limit(1e5, 1.0, 200.0) > limit(1e5, 1.0, 1e9)
    assert limit(1e6, 1.0, 1e9) > limit(1e5, 1.0, 1e9) > limit(1e5, 100.0, 1e9)
    assert limit(10.0, 1e6, 1e9) == limit(50.0, 1.0, 1e9)
    assert divided(1e5, 50) == 5e6


def test_a_mean_of_normal_values_is_as_likely_as_its_square_says() -> None:
    edges = np.linspace(-at.CLIP, at.CLIP, at.MOST_BINS + 1)
    normal = statistics.NormalDist()
    bins = np.array([normal.cdf(b) - normal.cdf(a) for a, b in itertools.pairwise(edges)])
    for shift in (0.3, -0.3, 1.0, -1.0):
        assert likelihood_share(bins * 1e6, shift) == pytest.approx(1.0, abs=0.02)


@given(st.floats(0.02, 0.5), st.floats(0.1, 0.9))
def test_a_mean_of_two_values_is_as_likely_as_the_divergence_says(p: float, up: float) -> None:
    bins = np.zeros(at.MOST_BINS)
    bins[0], bins[-1] = 1e6 * (1.0 - p), 1e6 * p
    width = 2.0 * at.CLIP
    share = p + up * (1.0 - p)
    shift = (share - p) * width
    divergence = share * math.log(share / p)
    divergence += (1.0 - share) * math.log((1.0 - share) / (1.0 - p))
    plain = shift * shift / (2.0 * width * width * p * (1.0 - p))
    assert likelihood_share(bins, shift) == pytest.approx(min(1.0, divergence / plain), rel=1e-6)


def test_a_mean_beyond_all_that_was_seen_is_taken_by_its_square() -> None:
    bins = np.zeros(at.MOST_BINS)
    bins[10:20] = 5.0
    assert likelihood_share(bins, 3.0) == 1.0
    bins[10:20] = [9.0, *[0.0] * 9]
    assert likelihood_share(bins, 1.0) == 1.0

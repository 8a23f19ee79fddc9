"""Intervals hold 90 % of the labels, whatever the stream does."""

from __future__ import annotations

import math
import pickle
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.streams import Pair, covered, drifting, flows, prices, worst_share
from tidemill.kernel.errors import InvariantError
from tidemill.models.conformal import FEWEST, STEP, WINDOW, Calibration
from tidemill.models.intervals import Intervals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COUNT = 10_000 + FEWEST
FINITE = st.floats(-1e50, 1e50)

STREAMS: dict[str, Callable[[random.Random, int], float]] = {
    "noise": lambda rng, n: rng.gauss(0, 1),
    "noise ten times as large now and then": lambda rng, n: rng.gauss(0, 10 ** (n // 3_000 % 2)),
    "no moments": lambda rng, n: rng.gauss(0, 1) / rng.gauss(0, 1),
    "ever larger": lambda rng, n: 1.003**n,
    "ever smaller": lambda rng, n: 0.999**n * rng.random(),
    "mostly zero": lambda rng, n: float(rng.random() < 0.3),
}


def fed(residuals: Sequence[float]) -> Intervals:
    intervals = Intervals()
    for residual in residuals:
        intervals.observe(0.0, residual, covered=None)
    return intervals


@pytest.mark.parametrize("seed", range(3))
def test_ninety_of_a_hundred_labels_of_a_drifting_stream_are_inside(seed: int) -> None:
    held = covered(Intervals(), drifting(seed, COUNT))
    assert len(held) == 10_000
    assert sum(held) / len(held) == pytest.approx(0.90, abs=0.01)
    assert worst_share(held) >= 0.85


def test_ninety_of_a_hundred_prices_of_a_real_market_are_inside() -> None:
    held = covered(Intervals(), prices())
    for first in range(0, len(held) - 9_999, 10_000):
        assert sum(held[first : first + 10_000]) / 10_000 == pytest.approx(0.90, abs=0.01)
    assert worst_share(held) >= 0.85


def test_ninety_of_a_hundred_flows_are_inside_though_the_loop_changes_every_thousand() -> None:
    held = covered(Intervals(), flows(COUNT))
    assert sum(held) / len(held) == pytest.approx(0.90, abs=0.01)


@pytest.mark.parametrize("name", STREAMS)
def test_ninety_of_a_hundred_labels_are_inside_whatever_the_errors_do(name: str) -> None:
    rng = random.Random(name)
    pairs = [Pair(0.0, STREAMS[name](rng, n)) for n in range(COUNT)]
    held = covered(Intervals(), pairs)
    assert sum(held) / len(held) == pytest.approx(0.90, abs=0.01)
    assert worst_share(held) >= 0.85


@pytest.mark.parametrize("still", [0.0, 2.5])
def test_hours_of_equal_errors_do_not_delay_the_answer_to_a_break(still: float) -> None:
    rng = random.Random(4)
    pairs = [Pair(0.0, still if n < 20_000 else rng.gauss(0, 9)) for n in range(25_000)]
    held = covered(Intervals(), pairs)
    assert worst_share(held) >= 0.85
    assert sum(held[-4_000:]) / 4_000 == pytest.approx(0.90, abs=0.01)


def test_late_labels_keep_the_mean_on_a_steady_stream() -> None:
    rng = random.Random(5)
    pairs = [Pair(0.0, rng.gauss(0, 1)) for _ in range(12_000)]
    held = covered(Intervals(), pairs, delay=1_000)
    assert sum(held) / len(held) == pytest.approx(0.90, abs=0.01)


def test_there_is_no_interval_before_a_hundred_labels() -> None:
    intervals = fed([1.0] * (FEWEST - 1))
    assert intervals.interval(5.0) is None
    intervals.observe(0.0, 1.0, covered=None)
    assert intervals.interval(5.0) == (4.0, 6.0, FEWEST)


@settings(deadline=None)
@given(st.lists(FINITE, min_size=FEWEST, max_size=3 * WINDOW))
def test_the_reach_is_the_quantile_of_the_last_residuals(residuals: list[float]) -> None:
    last = np.sort(np.abs(residuals[-WINDOW:]))
    rank = min(math.ceil((len(last) + 1) * (1 - (1 - 0.9))), len(last))
    low, high, labels = fed(residuals).interval(0.0) or (0.0, 0.0, 0)
    assert (low, high) == (-last[rank - 1], last[rank - 1])
    assert labels == len(residuals)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.booleans(), st.integers(0, 500)), max_size=200))
def test_the_level_moves_by_the_rule(steps: list[tuple[float, bool, int]]) -> None:
    rng = random.Random(1)
    calibration, alpha = Calibration(), 1 - 0.9
    kept = [rng.random() for _ in range(WINDOW)]
    for score in kept:
        calibration.add(score)
    for score, held, delay in steps:
        calibration.step(covered=held, delay=delay)
        calibration.add(score)
        alpha += STEP / (1 + delay / 100) * ((1 - 0.9) - (not held))
        kept = [*kept[1:], score]
    assert calibration.alpha == pytest.approx(alpha, abs=1e-12)
    ordered = sorted(kept)
    if calibration.alpha < 0:
        assert calibration.reach == pytest.approx(ordered[-1] * (1 - alpha / 0.1))
    else:
        rank = math.ceil((WINDOW + 1) * (1 - calibration.alpha))
        assert calibration.reach == ordered[min(max(rank, 1), WINDOW) - 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_enters(bad: float) -> None:
    intervals = fed([float(n % 7) for n in range(300)])
    before = intervals.dump()
    intervals.observe(bad, 1.0, covered=False)
    intervals.observe(1.0, bad, covered=True)
    assert intervals.dump() == before


def test_the_largest_errors_there_can_be_leave_finite_intervals() -> None:
    held = covered(Intervals(), [Pair(1e50, -1e50 if n > 300 else 1e50) for n in range(2_000)])
    assert sum(held[-500:]) > 0
    low, high, _ = fed([2e50] * WINDOW).interval(1e50) or (math.nan, math.nan, 0)
    assert math.isfinite(low)
    assert math.isfinite(high)


@settings(deadline=None)
@given(st.integers(0, 1_300))
def test_a_restore_anywhere_changes_no_interval(cut: int) -> None:
    rng = random.Random(7)
    calm = Intervals()
    taken = calm
    for n in range(1_400):
        if n == cut:
            taken = Intervals.load(pickle.loads(pickle.dumps(calm.dump())))
        stored = calm.interval(0.0)
        assert taken.interval(0.0) == stored
        label = rng.gauss(0, 1 + n // 600)
        held = None if stored is None else stored[0] <= label <= stored[1]
        for one in {id(calm): calm, id(taken): taken}.values():
            one.observe(0.0, label, covered=held, delay=3.0)
    assert taken.dump() == calm.dump()


def test_the_state_is_bounded_and_of_plain_values() -> None:
    rng = random.Random(8)
    labels, alpha, scores = fed([rng.random() for _ in range(5 * WINDOW)]).dump()
    assert (type(labels), type(alpha), type(scores)) == (int, float, bytes)
    assert len(scores) == 8 * WINDOW


@pytest.mark.parametrize("dumped", [(3, 0.1, b""), (3, 0.1, bytes(25)), (501, 0.1, bytes(4_008))])
def test_a_state_that_does_not_fit_is_refused(dumped: tuple[int, float, bytes]) -> None:
    with pytest.raises(InvariantError, match="labels must leave"):
        Intervals.load(dumped)

"""A signal that stood at one value: leaving it is told, once, and never for a spike."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.streams import RUN_LENGTH, correlated, watched
from detection.test_stepping import told
from tidemill.detection import layout as at
from tidemill.detection import plain_stepping, signals, stepping
from tidemill.detection.changes import Channel, Status
from tidemill.detection.signals import Signals, Watch

if TYPE_CHECKING:
    from detection.streams import Floats
    from tidemill.detection.changes import Change

AT = 3_000


def after(there: Floats | list[float], place: float = 0.0, count: int = AT) -> Floats:
    """Return one signal that stands for a while, and what comes then."""
    return np.concatenate([np.full(count, place), there])[None]


def noise(count: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(count)


def statuses(changes: list[Change]) -> list[Status]:
    return [change.status for change in changes]


@pytest.mark.parametrize("place", [0.0, -7.0, 1e-9, 1e49])
@pytest.mark.parametrize("step", [1.0, -1.0])
def test_a_jump_is_told_against_the_value_it_had(place: float, step: float) -> None:
    there = place + step * max(abs(place), 1.0) * 0.01
    signals_, changes = watched(after([there] * 400, place))

    (found,) = changes
    assert (found.status, found.channel) == (Status.OPEN, Channel.LEVEL)
    assert found.started == AT - 1
    assert AT + 4 <= found.event < AT + 12
    assert (found.before.mean, found.before.sd) == (place, 0.0)
    assert found.before.n >= 2_900
    assert found.after.mean == pytest.approx(there)
    assert math.isnan(found.after.sd)
    assert found.after.n == found.event - AT + 1
    assert math.copysign(1.0, found.effect) == step
    assert (found.tau, found.achieved) == (1.0, None)
    assert math.isnan(found.autocorrelation)
    assert signals_.standing(0).out == (Channel.LEVEL,)


def test_one_that_begins_to_vary_is_told_with_where_that_began() -> None:
    _, changes = watched(after(5.0 + noise(3_000)))
    assert statuses(changes) == [Status.OPEN]
    assert changes[0].started == AT - 1
    _, changes = watched(after(noise(3_000)))
    assert statuses(changes) == [Status.OPEN]
    assert changes[0].started == AT - 1


def test_one_that_is_elsewhere_a_fifth_of_the_time_is_told_and_stays_told() -> None:
    flags = (np.random.default_rng(2).random((20, 5_000)) < 0.2).astype(np.float64)
    values = np.vstack([after(each) for each in flags])
    _, changes = watched(values, upward=True, channels=(Channel.LEVEL,))
    assert statuses(changes) == [Status.OPEN] * 20
    assert all(AT <= change.event < AT + 300 for change in changes)


def test_one_that_is_elsewhere_now_and_then_from_some_time_on_is_not_told() -> None:
    flags = (np.random.default_rng(2).random((10, 60_000)) < 0.02).astype(np.float64)
    _, changes = watched(np.vstack([after(each) for each in flags]))
    assert changes == []


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_no_outlier_and_no_spike_is_told(length: int) -> None:
    there = np.zeros(20_000)
    for begin in range(200, 20_000, 700):
        there[begin : begin + length] = 1e6
    _, changes = watched(after(there))
    assert changes == []


def test_seldom_values_elsewhere_are_no_change_whenever_they_come() -> None:
    rng = np.random.default_rng(3)
    _, changes = watched((rng.random((40, 60_000)) < 0.0005).astype(np.float64))
    assert changes == []


def test_it_is_over_when_the_signal_stands_there_again_and_not_while_it_is_elsewhere() -> None:
    _, changes = watched(after([4.0] * 2_000 + [0.0] * 500))
    assert statuses(changes) == [Status.OPEN, Status.CLOSED]
    assert AT + 2_000 <= changes[1].event <= AT + 2_100
    assert changes[1].started == changes[0].started


@pytest.mark.parametrize("stay", [30, 300, 3_000])
def test_a_valve_that_switches_now_and_then_is_told_once(stay: int) -> None:
    switched = np.tile(np.r_[np.ones(stay), np.zeros(3_000)], 30)
    _, changes = watched(after(switched))
    assert statuses(changes) == [Status.OPEN, Status.CLOSED]
    assert changes[0].event < AT + 12


def test_stays_of_ever_other_lengths_are_told_a_few_times_only() -> None:
    rng = np.random.default_rng(4)
    parts = [np.full(rng.integers(1, 2_000), side) for side in (1.0, 0.0) * 300]
    _, changes = watched(after(np.concatenate(parts)))
    assert 1 <= statuses(changes).count(Status.OPEN) <= 6


def test_a_stay_that_is_much_longer_than_any_before_is_told_again() -> None:
    there = [1.0] * 50 + [0.0] * 3_000 + [1.0] * 50 + [0.0] * 3_000 + [2.0] * 3_000
    _, changes = watched(after(there))
    assert statuses(changes) == [Status.OPEN, Status.CLOSED, Status.OPEN]
    assert AT + 6_100 + 100 <= changes[2].event <= AT + 6_100 + 500
    assert changes[2].started == AT + 6_100 - 1


def test_of_what_never_varied_the_past_says_no_run_length() -> None:
    stays = [np.r_[np.ones(length), np.zeros(60_000)] for length in (50, 500, 5_000, 30_000)]
    found, changes = watched(after(np.concatenate(stays)), channels=(Channel.LEVEL,))
    assert statuses(changes).count(Status.OPEN) == 4
    assert found.standing(0).achieved is None


def test_a_spike_while_it_is_learned_begins_the_thousand_anew() -> None:
    for begin in range(400, 420):
        values = after([2.0] * 50)
        values[0, begin] = 9.0
        _, changes = watched(values)
        assert [(each.before.mean, each.before.sd) for each in changes] == [(0.0, 0.0)]


def test_one_that_varies_now_and_then_is_no_signal_that_stands() -> None:
    seldom = np.clip(np.round(correlated(0.99, (40, 24_000), 33) - 1.0), 0.0, None)
    found, _ = watched(seldom)
    standing = np.flatnonzero(found.rows[:, at.KNOWN] < 0.0)
    assert 0 < len(standing) < 20
    for signal in standing.tolist():
        moved = np.flatnonzero(np.diff(seldom[signal]))
        assert np.diff(moved).max() >= 1_000


def test_a_counter_is_told_when_it_first_counts_and_not_at_each_count() -> None:
    _, changes = watched(np.floor(np.arange(60_000.0) / 2_500)[None])
    assert statuses(changes) == [Status.OPEN]
    assert changes[0].started == 2_499


def test_rounding_of_doubles_is_no_change_and_the_next_rounded_value_is_one() -> None:
    trembling = 20.0 * (1.0 + 1e-15 * noise(AT + 4_000))
    _, changes = watched(trembling[None], channels=(Channel.LEVEL,))
    assert changes == []
    trembling[AT:] = 20.5
    _, changes = watched(trembling[None], channels=(Channel.LEVEL,))
    assert statuses(changes) == [Status.OPEN]


def test_missing_values_are_neither_here_nor_there() -> None:
    values = after([3.0] * 3_000 + [4.0] * 100, 3.0)
    values[:, ::2] = math.nan
    _, changes = watched(values)
    assert statuses(changes) == [Status.OPEN]
    assert (changes[0].channel, changes[0].started) == (Channel.LEVEL, 2.0 * AT)
    values = after([math.nan] * 100 + [0.0] * 1_000)
    _, changes = watched(values)
    assert {change.channel for change in changes} == {Channel.MISSING}


def test_one_that_stands_elsewhere_from_then_on_has_left_its_level_and_is_not_stuck() -> None:
    _, changes = watched(after([2.0] * 9_000))
    assert [change.channel for change in changes] == [Channel.LEVEL]


def test_upward_a_fall_says_nothing_and_a_rise_does() -> None:
    both = np.vstack([after([-1.0] * 300), after([1.0] * 300)])
    _, changes = watched(both, upward=True)
    assert [change.signal for change in changes] == [1]


def test_too_short_a_stand_is_no_reference() -> None:
    _, changes = watched(after(5.0 + noise(20_000), count=600))
    assert changes == []


@pytest.mark.parametrize("begin", [[4.0], [0.0] * 500, noise(40), noise(300)])
def test_what_moved_while_it_was_learned_is_told_once_it_stood_for_long(
    begin: list[float],
) -> None:
    values = np.concatenate([begin, np.full(12_000, 5.0), np.full(300, 7.0)])[None]
    _, changes = watched(values, channels=(Channel.LEVEL,))
    assert statuses(changes) == [Status.OPEN]
    assert changes[0].started == len(begin) + 12_000 - 1
    assert changes[0].before.mean == 5.0


def test_a_new_reference_is_where_it_stands_then() -> None:
    signals_, changes = watched(after([5.0] * 500))
    assert statuses(changes) == [Status.OPEN]
    signals_.renew([0])
    assert signals_.unwatched() == 1
    assert signals_.update(np.full((1, 2_500), 5.0), np.arange(2_500.0)) == []
    assert signals_.unwatched() == 0
    (found,) = signals_.update(np.zeros((1, 50)), np.arange(50.0))
    assert (found.before.mean, found.status) == (5.0, Status.OPEN)


def test_where_it_is_no_change_nothing_is_told_and_the_signal_counts_as_not_watched() -> None:
    found = Signals([Watch(RUN_LENGTH, is_leaving_told=False), Watch(RUN_LENGTH)])
    stamps = np.arange(AT + 400.0)
    changes = found.update(np.vstack([after([5.0] * 400)] * 2), stamps)
    assert [change.signal for change in changes] == [1]
    assert (found.standing(0).is_watched, found.standing(1).is_watched) == (False, True)
    assert found.unwatched() == 1
    found.renew([0, 1])
    changes = found.update(np.vstack([after([5.0] * 400)] * 2), stamps)
    assert [change.signal for change in changes] == [1]


def test_one_that_wandered_and_stands_is_promised_something_again() -> None:
    walk = np.cumsum(noise(150_000))
    values = np.concatenate([walk, np.full(150_000, walk[-1])])[None]
    found, changes = watched(values, channels=(Channel.LEVEL,))
    assert statuses(changes) == [Status.NOT_STATIONARY, Status.STATIONARY]
    assert found.standing(0).is_stationary
    assert found.unwatched() == 0


def still(seed: int) -> Floats:
    """Return three signals that stand, leave, come back, are missing, begin to vary."""
    rng = np.random.default_rng(seed)
    values = np.zeros((3, 6_000))
    values[0] = rng.choice([-4.0, 0.0, 1e300])
    for begin in rng.integers(1_200, 5_500, 4).tolist():
        values[0, begin : begin + int(rng.integers(1, 400))] += rng.choice([-2.0, 1e3, 1e308])
    values[1, 3_000:] = correlated(0.5, (1, 3_000), seed)[0]
    values[1, 4_000:4_400] = math.nan
    values[2, rng.integers(0, 6_000, 3)] = math.nan
    values[2, int(rng.integers(1_200, 5_000)) :] = rng.choice([5e-324, -1.0, math.inf])
    return values


WATCHES = (Watch(1e4), Watch(1e4), Watch(1e4, (Channel.LEVEL,), upward=True))


@pytest.mark.parametrize("seed", range(6))
def test_compiled_and_plain_steps_agree_in_every_bit(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = still(seed)
    states = []
    for step in (stepping.compiled.advance, plain_stepping.advance):
        monkeypatch.setattr(signals, "advance", step)
        found = Signals(WATCHES)
        states.append((told(found, values, []), found.rows.tobytes()))
    assert states[0] == states[1]
    assert states[0][0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(1, 5_999), max_size=12).map(sorted))
def test_neither_cuts_nor_what_is_restored_can_be_told(seed: int, cuts: list[int]) -> None:
    values = still(seed)
    whole, cut = Signals(WATCHES), Signals(WATCHES)
    said = []
    for begin, end in itertools.pairwise([0, *cuts, values.shape[1]]):
        cut = Signals.from_state(cut.state())
        part = cut.update(values[:, begin:end], np.arange(float(begin), float(end)))
        said += [(c.event + begin, c.signal, str(c.status), repr(c.effect)) for c in part]

    assert told(whole, values, []) == said
    assert whole.state() == cut.state()

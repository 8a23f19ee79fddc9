"""One signal after another: what is said of it, where it began, and when it is over."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detection.streams import RUN_LENGTH, correlated, watched
from tidemill.detection import layout
from tidemill.detection.changes import Channel, Status
from tidemill.detection.signals import Signals, Watch

if TYPE_CHECKING:
    from detection.streams import Floats
    from tidemill.detection.changes import Change

PHIS = (0.0, 0.5, 0.9)
AT = 40_000
LEVEL_ONLY = (Channel.LEVEL,)


def opened(changes: list[Change]) -> list[Change]:
    return [c for c in changes if c.status is Status.OPEN]


@pytest.mark.parametrize("phi", PHIS)
def test_false_alarms_keep_the_run_length_over_many_signals(phi: float) -> None:
    _, changes = watched(correlated(phi, (40, 50_000), 1))
    # 20 are asked for 2 million events; 32 is what chance exceeds in less than one of 100 runs.
    assert len(opened(changes)) <= 32


@pytest.mark.parametrize("phi", PHIS)
@pytest.mark.parametrize("size", [1.0, 2.0, -2.0])
def test_a_shift_is_found_within_the_law_of_its_size_and_named_with_its_start(
    phi: float, size: float
) -> None:
    tau = (1.0 + phi) / (1.0 - phi)
    values = correlated(phi, (40, AT + 4_000), 2)
    values[:, AT:] += size
    _, changes = watched(values, channels=LEVEL_ONLY)
    found = {c.signal: c for c in changes if c.status is Status.OPEN and c.event >= AT}
    delays = sorted(c.event + 1 - AT for c in found.values())
    law = 2.0 * tau * math.log(RUN_LENGTH / tau) / size**2

    assert len(found) >= 38
    assert statistics.median(delays) <= 1.25 * law + 2
    errors = [abs(c.started - (AT - 1)) for c in found.values()]
    assert statistics.median(errors) <= max(2.0 * max(1.0, tau / 4.0), 2.0 * tau / size**2)
    assert statistics.median(c.effect for c in found.values()) == pytest.approx(size, rel=0.5)
    assert all(c.channel is Channel.LEVEL for c in found.values())


@pytest.mark.parametrize("phi", PHIS)
def test_a_doubled_spread_is_found_within_forty_events(phi: float) -> None:
    values = correlated(phi, (40, AT + 1_000), 3)
    steps = values[:, AT:] - phi * values[:, AT - 1 : -1]
    for n in range(1_000):
        values[:, AT + n] = phi * values[:, AT + n - 1] + 2.0 * steps[:, n]
    _, changes = watched(values, channels=(Channel.SPREAD,))
    found = {c.signal: c for c in changes if c.status is Status.OPEN and c.event >= AT}

    assert len(found) >= 38
    assert statistics.median(c.event + 1 - AT for c in found.values()) <= 40
    assert all(c.channel is Channel.SPREAD and c.effect > 0.0 for c in found.values())


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("size", [10.0, -20.0, 1e9, 1e308])
def test_no_single_outlier_opens_an_episode(phi: float, size: float) -> None:
    values = correlated(phi, (60, 30_000), 4)
    calm = _spoken_after(values, 29_900)
    values[:, 29_900] += size
    assert _spoken_after(values, 29_900) <= calm


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_an_outlier_says_no_more_of_level_and_spread_than_a_missing_value(phi: float) -> None:
    values = correlated(phi, (20, 30_000), 4)
    first, outlier = 29_900, values.copy()
    values[:, first] = math.nan
    outlier[:, first] += 20.0
    missing, far = watched(values)[0], watched(outlier)[0]
    both = slice(layout.LEVEL, layout.MISSING)
    assert np.array_equal(missing.rows[:, both], far.rows[:, both], equal_nan=True)


def _spoken_after(values: Floats, event: int) -> set[int]:
    _, changes = watched(values)
    return {c.signal for c in changes if c.status is Status.OPEN and c.event >= event}


def test_two_values_far_out_are_no_outlier() -> None:
    values = correlated(0.0, (20, 20_010), 5)
    values[:, 20_000:] += 20.0
    _, changes = watched(values)
    found = [c for c in changes if c.status is Status.OPEN and c.event >= 20_000]
    assert len({c.signal for c in found}) == 20
    assert max(c.event for c in found) <= 20_006


def test_an_episode_closes_when_the_signal_is_back_and_not_before() -> None:
    values = correlated(0.5, (30, 60_000), 6)
    values[:, AT : AT + 5_000] += 1.5
    signals, changes = watched(values, channels=LEVEL_ONLY)
    during = [c for c in changes if AT <= c.event < AT + 5_000]
    after = [c for c in changes if AT + 5_000 <= c.event < AT + 7_000]

    assert len({c.signal for c in during if c.status is Status.OPEN}) >= 28
    assert sum(c.status is Status.CLOSED for c in during) <= 2
    assert len({c.signal for c in after if c.status is Status.CLOSED}) >= 28
    assert sum(bool(signals.standing(n).out) for n in range(30)) <= 2


def test_an_episode_that_is_over_leaves_the_variance_as_it_was() -> None:
    values = correlated(0.0, (20, 30_000), 6)
    values[:, 20_000:20_700] += 5.0
    signals, _ = watched(values[:, :20_000], channels=LEVEL_ONLY)
    before = [signals.standing(n).tau for n in range(20)]
    signals, _ = watched(values, channels=LEVEL_ONLY)
    assert sum(bool(signals.standing(n).out) for n in range(20)) <= 2
    for n in range(20):
        assert signals.standing(n).tau <= 1.2 * before[n]


def test_a_change_right_after_an_episode_begins_where_that_one_was_over() -> None:
    values = correlated(0.0, (1, 40_000), 6)
    values[:, 20_000:20_700] += 5.0
    _, changes = watched(values, channels=LEVEL_ONLY)
    (closed,) = [c.event for c in changes if c.status is Status.CLOSED and c.event > 20_000][:1]
    values[:, closed + 1 :] += 5.0
    _, changes = watched(values, channels=LEVEL_ONLY)
    again = next(c for c in opened(changes) if c.event > closed)
    assert again.event <= closed + 10
    assert again.started == closed


def test_opening_and_closing_take_turns() -> None:
    values = correlated(0.9, (10, 60_000), 7)
    values[:, 30_000:31_000] += 2.0
    values[:, 33_000:34_000] *= 3.0
    values[:, 40_000:40_300] = math.nan
    values[:, 50_000:50_300] = values[:, [49_999]]
    _, changes = watched(values)
    for signal in range(10):
        said = [c.status for c in changes if c.signal == signal]
        said = [status for status in said if status in {Status.OPEN, Status.CLOSED}]
        assert said[::2] == [Status.OPEN] * len(said[::2])
        assert said[1::2] == [Status.CLOSED] * len(said[1::2])
        assert len(said) >= 6


def test_before_and_after_are_in_the_unit_of_the_signal() -> None:
    values = 300.0 + 5.0 * correlated(0.0, (1, 21_000), 8)
    values[:, 20_000:] += 10.0
    _, changes = watched(values, channels=LEVEL_ONLY)
    (found,) = (c for c in changes if c.event >= 20_000)
    assert found.before.n >= 18_000
    assert found.before.mean == pytest.approx(300.0, abs=0.3)
    assert found.before.sd == pytest.approx(5.0, rel=0.05)
    assert found.after.mean == pytest.approx(310.0, abs=5.0)
    assert found.started == pytest.approx(19_999.0, abs=2.0)
    assert found.run_length == RUN_LENGTH
    assert found.tau == pytest.approx(1.0, abs=0.1)


def test_a_spread_before_and_after_is_in_the_unit_of_the_signal() -> None:
    values = 300.0 + 5.0 * correlated(0.5, (1, 21_000), 8)
    values[:, 20_000:] = 300.0 + 3.0 * (values[:, 20_000:] - 300.0)
    _, changes = watched(values, channels=(Channel.SPREAD,))
    found = next(c for c in changes if c.event >= 20_000)
    assert found.before.sd == pytest.approx(5.0, rel=0.1)
    assert found.after.sd == pytest.approx(15.0, rel=0.6)


@pytest.mark.parametrize("channel", [Channel.MISSING, Channel.STUCK])
def test_values_that_stay_away_or_stay_the_same_open_within_a_few_events(channel: Channel) -> None:
    values = correlated(0.5, (5, 21_000), 9)
    fill = math.nan if channel is Channel.MISSING else values[:, [19_999]]
    values[:, 20_000:20_100] = fill
    _, changes = watched(values)
    found = [c for c in changes if c.channel is channel]
    starts = [c for c in found if c.status is Status.OPEN]
    assert len(starts) == 5
    assert all(20_002 <= c.event <= 20_006 and c.started == 19_999.0 for c in starts)
    assert all(c.before.mean == 0.0 and c.after.mean == 1.0 for c in starts)
    assert sum(c.status is Status.CLOSED for c in changes if c.event >= 20_100) == 5


def test_gaps_that_always_were_there_are_no_change_and_more_of_them_are() -> None:
    rng = np.random.default_rng(10)
    values = correlated(0.5, (20, 50_000), 10)
    values[:, :40_000][rng.random((20, 40_000)) < 0.1] = math.nan
    values[:, 40_000:][rng.random((20, 10_000)) < 0.3] = math.nan
    _, changes = watched(values, channels=(Channel.MISSING,))
    assert not [c for c in changes if c.event < 40_000]
    found = {c.signal for c in opened(changes) if c.event < 40_400}
    assert len(found) == 20


def test_upward_a_fall_says_nothing_and_a_rise_does() -> None:
    values = correlated(0.5, (10, 22_000), 11)
    values[:5, 20_000:] -= 2.0
    values[5:, 20_000:] += 2.0
    _, changes = watched(values, upward=True, channels=LEVEL_ONLY)
    found = {c.signal for c in opened(changes) if c.event >= 20_000}
    assert found == {5, 6, 7, 8, 9}


def test_a_random_walk_is_promised_nothing() -> None:
    walk = np.cumsum(np.random.default_rng(12).standard_normal((4, 150_000)), axis=1)
    signals, changes = watched(walk, channels=LEVEL_ONLY)
    said = [c for c in changes if c.status is Status.NOT_STATIONARY]
    assert {c.signal for c in said} == {0, 1, 2, 3}
    assert not opened(changes)
    assert not any(signals.standing(n).is_stationary for n in range(4))


def test_a_slow_season_is_recognised_after_a_few_turns() -> None:
    season = np.sin(np.arange(300_000) * (2.0 * math.pi / 10_000))
    noise = np.random.default_rng(13).standard_normal((6, 300_000))
    _, changes = watched(noise + season, channels=LEVEL_ONLY)
    assert {c.signal for c in changes if c.status is Status.NOT_STATIONARY} == set(range(6))
    # Without recognition there would be some 560 in a million: 1,000 here.
    assert len(opened(changes)) <= 40


def test_a_season_shorter_than_the_learning_is_part_of_the_reference() -> None:
    season = np.sin(np.arange(200_000) * (2.0 * math.pi / 1_000))
    noise = np.random.default_rng(14).standard_normal((6, 200_000))
    signals, changes = watched(noise + season, channels=LEVEL_ONLY)
    assert len(opened(changes)) <= 6
    assert signals.standing(0).tau > 20.0


def test_a_signal_that_settles_is_promised_something_again() -> None:
    walk = np.cumsum(np.random.default_rng(15).standard_normal((2, 150_000)), axis=1)
    signals, _ = watched(walk, channels=LEVEL_ONLY)
    signals.renew([1])
    calm = correlated(0.0, (2, 20_000), 15)
    signals.update(calm, np.arange(20_000.0))
    assert signals.standing(1).is_watched
    assert signals.standing(1).is_stationary


def test_a_new_reference_forgets_the_old_one_and_keeps_what_was_asked() -> None:
    values = correlated(0.0, (2, 20_000), 16)
    signals, _ = watched(values)
    signals.renew([0])
    renewed = signals.standing(0)
    assert (renewed.events, renewed.is_watched, renewed.run_length) == (0, False, RUN_LENGTH)
    assert math.isnan(renewed.tau)
    assert signals.standing(1).events == 20_000
    other = 5.0 + correlated(0.0, (2, 20_000), 17)
    changes = signals.update(other, np.arange(20_000.0))
    assert {c.signal for c in opened(changes) if c.event < 5_000} == {1}
    assert signals.rows[0].tobytes() == _fresh_after(other[0]).tobytes()


def _fresh_after(
    values: Floats,
) -> Floats:
    signals = Signals([Watch(RUN_LENGTH)])
    signals.update(values[None], np.arange(float(len(values))))
    row: Floats = signals.rows[0]
    return row


def test_a_signal_that_never_moves_says_nothing() -> None:
    signals, changes = watched(np.full((1, 100_000), 7.0))
    assert changes == []
    assert signals.standing(0).is_watched
    assert math.isnan(signals.standing(0).tau)


def test_the_past_tells_a_run_length_that_is_kept_and_one_that_is_not() -> None:
    signals, _ = watched(correlated(0.0, (20, 100_000), 18), channels=LEVEL_ONLY)
    told = [signals.standing(n).achieved for n in range(20)]
    known = [value for value in told if value is not None]
    assert len(known) >= 15
    assert RUN_LENGTH / 5 < statistics.median(known) < 5 * RUN_LENGTH

    slow = correlated(0.99, (20, 100_000), 19)
    noise = np.random.default_rng(19).standard_normal((20, 100_000))
    signals, _ = watched(np.exp(slow) * noise, channels=LEVEL_ONLY)
    broken = [signals.standing(n).achieved or RUN_LENGTH for n in range(20)]
    assert statistics.median(broken) < RUN_LENGTH / 5

"""The check of a whole asset: laws, episodes, ranking, references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detection.asset_cases import REFERENCE, SMALL, broken, calm, shifted
from tidemill.detection.asset import AssetCheck, AssetSettings
from tidemill.detection.asset_changes import Change
from tidemill.detection.asset_state import dump, load
from tidemill.kernel.errors import InvariantError

BEGIN = 700
# Two sensors at a time, three blocks: they learn a hundred events apart.
BLOCKS = AssetSettings(5, run_length=5_000.0, reference=REFERENCE, memory=(1 / 4,), block=2)
# The same, fitted in steps.
IN_STEPS = replace(BLOCKS, at_once=0)
# With a memory so short that its word on the end of a strong episode counts.
SHORT = replace(SMALL, reference=640, memory=(1 / 2, 1 / 64))


def eventful(sensors: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = broken(calm(1_500, sensors, seed=seed), seed)
    rows[BEGIN:900, 1] += 4.0
    rows[1_200:1_250] -= 3.0
    return rows


@pytest.mark.parametrize("how", [SMALL, BLOCKS, IN_STEPS, SHORT])
@settings(max_examples=15)
@given(st.integers(0, 3), st.lists(st.integers(1, 1_499), max_size=12))
def test_how_events_are_cut_into_batches_changes_nothing(
    how: AssetSettings, seed: int, cuts: list[int]
) -> None:
    rows = eventful(how.sensors, seed)
    whole = AssetCheck(how)
    expected = whole.observe(rows)
    assert "OPEN" in {change.status for change in expected.changes}

    check, changes, over = AssetCheck(how), [], []
    for part in np.split(rows, sorted(set(cuts))):
        found = check.observe(part)
        changes += found.changes
        over.append(found.over)
    assert changes == expected.changes
    assert np.concatenate(over).tolist() == expected.over.tolist()
    assert dump(check) == dump(whole)


@pytest.mark.parametrize("how", [SMALL, BLOCKS, IN_STEPS, SHORT])
@settings(max_examples=15)
@given(st.integers(0, 1_500))
@example(30)
@example(REFERENCE + 1)
@example(REFERENCE + 17)
@example(REFERENCE + 112)
@example(BEGIN + 1)
@example(BEGIN + 2)
@example(BEGIN + 3)
def test_what_is_restored_cannot_be_told_apart(how: AssetSettings, at: int) -> None:
    rows = eventful(how.sensors, 1)
    check = AssetCheck(how)
    check.observe(rows[:at])
    restored = load(how, dump(check))
    assert dump(restored) == dump(check)
    ours, theirs = check.observe(rows[at:]), restored.observe(rows[at:])
    assert ours.changes == theirs.changes
    assert ours.over.tolist() == theirs.over.tolist()
    assert dump(restored) == dump(check)


def test_one_event_at_a_time_is_as_many_at_once() -> None:
    rows = eventful(4, 2)[:800]
    whole, single = AssetCheck(SMALL), AssetCheck(SMALL)
    whole.observe(rows)
    for row in rows:
        single.observe(row.reshape(1, -1))
    assert dump(single) == dump(whole)


def weight(dumped: object) -> int:
    match dumped:
        case dict():
            return sum(weight(each) for each in dumped.values())
        case list():
            return sum(weight(each) for each in dumped)
        case bytes():
            return len(dumped)
        case _:
            return 8


def test_the_state_does_not_grow() -> None:
    check = AssetCheck(SMALL)
    check.observe(calm(REFERENCE))
    size = weight(dump(check))
    check.observe(eventful(4, 3))
    check.observe(calm(5_000, seed=7))
    assert weight(dump(check)) == size < 8_000


def test_a_state_of_other_settings_is_refused() -> None:
    check = AssetCheck(SMALL)
    check.observe(calm(REFERENCE))
    for other in (replace(SMALL, lags=3), replace(SMALL, block=2)):
        with pytest.raises(InvariantError, match="must be restored"):
            load(other, dump(check))


@pytest.mark.parametrize("sensor", range(4))
def test_the_sensor_that_moved_is_named_first_and_when_is_about_right(sensor: int) -> None:
    check = AssetCheck(SMALL)
    changes = check.observe(shifted(calm(1_000), BEGIN, sensor, 2.5)).changes
    assert [change.status for change in changes] == ["CALM", "OPEN"]
    opened = changes[1]
    assert BEGIN <= opened.event < BEGIN + 60
    assert opened.started is not None
    assert abs(opened.started - BEGIN) <= 16
    assert opened.ranked[0].sensor == sensor
    assert opened.ranked[0].effect > 0.2
    assert {each.sensor for each in opened.ranked} == {0, 1, 2, 3}
    assert opened.excess is not None
    assert opened.excess > 1.0
    assert check.status == "OPEN"


def test_an_episode_right_after_the_reference_starts_there() -> None:
    changes = AssetCheck(SMALL).observe(shifted(calm(500), REFERENCE, 0, 6.0)).changes
    assert [change.started for change in changes] == [None, REFERENCE]


def test_a_sensor_of_any_block_is_named() -> None:
    changes = AssetCheck(BLOCKS).observe(shifted(calm(1_200, 5), 800, 4, 3.0)).changes
    assert [change.status for change in changes] == ["CALM", "OPEN"]
    assert changes[0].event == REFERENCE + 200 - 1
    assert changes[1].ranked[0].sensor == 4


def test_a_relation_that_breaks_is_seen_where_no_sensor_moves() -> None:
    rows = calm(2_000)
    rows[1_000:, 0] = calm(2_000, seed=8)[1_000:, 0]
    opened = [c for c in AssetCheck(SMALL).observe(rows).changes if c.status == "OPEN"]
    assert 1_000 <= opened[0].event < 1_400
    assert opened[0].ranked[0].sensor == 0


def test_more_spread_is_an_episode_of_the_spread() -> None:
    rows = calm(1_500)
    rows[1_000:, 2] = 50.0 + 3.0 * (rows[1_000:, 2] - 50.0)
    opened = [c for c in AssetCheck(SMALL).observe(rows).changes if c.status == "OPEN"]
    assert 1_000 <= opened[0].event < 1_050
    assert opened[0].statistic == "spread"
    assert opened[0].ranked[0].sensor == 2
    assert opened[0].memory in SMALL.memory


@pytest.mark.parametrize("size", [20.0, 1e6, 1e300, np.inf, np.nan])
def test_no_single_outlier_opens_an_episode(size: float) -> None:
    rows = calm(1_200)
    rows[800, 1] += size
    check = AssetCheck(SMALL)
    assert not check.observe(rows).over.any()
    assert check.episodes == 0


def test_gaps_are_filled_by_what_is_foreseen() -> None:
    rows = calm(3_000)
    rows[REFERENCE:][np.random.default_rng(2).random((2_600, 4)) < 0.5] = np.nan
    check = AssetCheck(SMALL)
    assert not check.observe(rows).over.any()
    check.observe(np.full((500, 4), np.nan))
    moving = check.blocks[0].moving
    assert np.abs(moving.past).max() < 1.0
    assert check.status == "CALM"


def test_an_episode_ends_when_calm_has_lasted() -> None:
    rows = calm(1_200)
    rows[BEGIN:800, 0] += 3.0
    check = AssetCheck(SMALL)
    changes = check.observe(rows).changes
    assert [change.status for change in changes] == ["CALM", "OPEN", "CALM"]
    closed = changes[2]
    assert closed == Change("CALM", check.last_near + 32)
    assert check.watched == 1_200 - REFERENCE - (closed.event - changes[1].event)


@pytest.mark.parametrize("sensors", [4, 5])
@pytest.mark.parametrize(("size", "length"), [(6.0, 40), (6.0, 400), (1e6, 40)])
def test_a_strong_episode_ends_soon_after_it_was_over_however_long_it_was(
    sensors: int, size: float, length: int
) -> None:
    """The longest memory alone would need hundreds of events to forget it."""
    rows = calm(3_000, sensors)
    rows[BEGIN : BEGIN + length, 1] += size
    check = AssetCheck(replace(SHORT, sensors=sensors, block=3 if sensors == 5 else 64))
    changes = check.observe(rows).changes
    assert [change.status for change in changes] == ["CALM", "OPEN", "CALM"]
    assert BEGIN + length + 51 <= changes[2].event <= BEGIN + length + 130


def test_what_lasts_of_a_strong_episode_keeps_it_open_where_only_the_longest_memory_sees_it() -> (
    None
):
    rows = calm(6_000)
    rows[BEGIN : BEGIN + 40, 1] += 6.0
    rows[BEGIN:, 2] += 1.5
    statuses = [change.status for change in AssetCheck(SHORT).observe(rows).changes]
    assert statuses == ["CALM", "OPEN"]


def test_an_episode_that_no_short_memory_saw_ends_as_ever() -> None:
    rows = calm(3_000)
    rows[BEGIN : BEGIN + 600, 1] += 0.9
    check = AssetCheck(SHORT)
    changes = check.observe(rows[:1_500]).changes
    assert [change.status for change in changes] == ["CALM", "OPEN", "CALM"]
    assert changes[2].event == check.last_near + 128


def test_memories_go_on_from_the_end_of_a_strong_episode_as_if_they_began_there() -> None:
    rows = calm(3_000)
    rows[BEGIN : BEGIN + 300, 1] += 6.0
    check, at = AssetCheck(SHORT), BEGIN + 250
    check.observe(rows[:at])
    since = None
    while check.status == "OPEN":
        since = check.repair.since
        check.observe(rows[at : at + 1])
        at += 1
    assert since is not None
    plain = AssetCheck(SHORT)
    plain.observe(rows[: since + 1])
    moving = plain.blocks[0].moving
    for name in ("white", "alone", "spread", "level"):
        getattr(moving, name)[1] = float(name == "spread")
    moving.energy[1] = 1.0
    plain.observe(rows[since + 1 : at])
    for name in ("white", "alone", "spread", "level", "energy"):
        ours = getattr(check.blocks[0].moving, name)
        assert ours == pytest.approx(getattr(moving, name), rel=1e-9, abs=1e-9)
    long = check.blocks[0].calm[3:]
    assert ((since <= long) & (long < at)).all()
    again = check.observe(shifted(rows[at : at + 300], 100, 2, 1.5)).changes[0]
    assert again.started is not None
    assert abs(again.started - at - 100) <= 30


def test_a_renewed_reference_is_learned_from_the_events_that_come_next() -> None:
    check = AssetCheck(SMALL)
    check.observe(shifted(calm(1_000), BEGIN, 1, 3.0))
    check.renew()
    assert dump(check)["status"] == "LEARNING"
    moved = shifted(calm(1_000, seed=4), 0, 1, 3.0)
    found = check.observe(moved)
    assert [(c.status, c.event) for c in found.changes] == [("CALM", 1_000 + REFERENCE - 1)]
    assert not found.over.any()
    fresh = AssetCheck(SMALL)
    fresh.observe(moved)
    ours, theirs = dump(check), dump(fresh)
    assert ours["blocks"] == theirs["blocks"]
    opened = check.observe(shifted(shifted(calm(300, seed=6), 0, 1, 3.0), 100, 2, -3.0)).changes[0]
    assert opened.started is not None
    assert abs(opened.started - 2_100) <= 30


def test_a_reference_that_does_not_hold_is_told_and_promises_nothing() -> None:
    rows = calm(1_000)
    rows[200:REFERENCE] += 4.0
    check = AssetCheck(SMALL)
    found = check.observe(rows)
    (change,) = found.changes
    assert (change.status, change.event) == ("NOT_STATIONARY", REFERENCE - 1)
    assert change.excess is not None
    assert change.excess > SMALL.refuse_above
    assert change.silent == (0, 1, 2, 3)
    assert not found.over.any()
    assert check.events == 1_000
    assert AssetCheck(replace(SMALL, refuse_above=1.0)).observe(rows).changes[0].status == "CALM"


def test_a_block_that_does_not_hold_leaves_the_others_watched() -> None:
    rows = calm(1_200, 5)
    rows[200:, 4] += 5.0 * (np.arange(1_000) >= 100)
    rows[:, 2] = 1.0
    changes = AssetCheck(BLOCKS).observe(shifted(rows, 900, 0, 4.0)).changes
    assert [change.status for change in changes] == ["CALM", "OPEN"]
    assert changes[0].silent == (2, 3, 4)
    assert {each.sensor for each in changes[1].ranked} == {0, 1}


def test_calm_assets_alarm_no_more_often_than_asked() -> None:
    episodes = 0
    for seed in range(5):
        check = AssetCheck(AssetSettings(6, run_length=5_000.0, reference=1_000))
        check.observe(calm(21_000, 6, seed=seed, phi=0.8))
        episodes += check.episodes
    assert episodes <= 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sensors": 0}, "sensors must be at least 1, was 0"),
        ({"reference": 63}, "reference must be at least 64, was 63"),
        ({"lags": 0}, "lags must be at least 1, was 0"),
        ({"block": 0}, "block must be at least 1, was 0"),
        ({"run_length": float("nan")}, "run_length must be at least 1, was nan"),
        ({"ridge": 0.0}, r"ridge must be above 0, was 0\.0"),
        ({"memory": ()}, "memory must be"),
        ({"memory": (0.1, 0.2)}, "memory must be"),
        ({"memory": (1.0,)}, "memory must be"),
        ({"memory": (0.5, 0.0)}, "memory must be"),
    ],
)
def test_settings_out_of_range_are_refused(
    change: dict[str, Any], words: str
) -> None:  # Any: values of any field
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_rows_of_other_sensors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows must be \(n, 4\), was \(3, 5\)"):
        AssetCheck(SMALL).observe(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"rows must be \(n, 4\)"):
        AssetCheck(SMALL).observe(np.zeros(4))


def test_sensors_are_dealt_out_evenly() -> None:
    sizes = [part.stop - part.start for part in AssetSettings(500).slices()]
    assert sum(sizes) == 500
    assert max(sizes) <= 64
    assert max(sizes) - min(sizes) <= 1
    how = [AssetSettings(500).learning(number) for number in range(len(sizes))]
    assert {each.run_length for each in how} == {100_000.0 * len(sizes)}

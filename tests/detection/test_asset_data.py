"""The check of an asset on plants whose faults are known, where their rows are at hand."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.asset_baselines import spe, t2
from chaos.asset_rows import Counts
from chaos.asset_sensors import Size, false_alarms, together
from chaos.asset_skab import CHOSEN, MOST_FALSE, hold, left_out
from chaos.asset_skab import prove_skab as prove_valve
from chaos.asset_streams import HABITS, chunks
from chaos.asset_tep import hold as hold_process
from chaos.asset_tep import watched_process
from chaos.asset_together import SENSORS
from chaos.balance import BrokenPromiseError
from chaos.data import data_folder
from detection.asset_cases import calm


def test_a_valve_that_closes_is_seen_better_than_by_t2() -> None:
    found = prove_valve()
    if data_folder() is None:
        assert found.figures == {"SKAB": "not at hand: nothing measured"}
    else:
        name, f1, false, *_ = found.tables[0].rows[0]
        assert name == CHOSEN
        assert float(f1) > 0.73
        assert float(false) < MOST_FALSE


def test_faults_of_a_process_are_found_without_false_alarms() -> None:
    found = watched_process()
    assert (found is None) == (data_folder() is None)
    if found is not None:
        hold_process(found)
        assert found.rows == 800


def test_a_file_is_judged_by_settings_that_only_the_others_chose() -> None:
    good, bad = Counts(10, 0, 0, 10), Counts(0, 10, 10, 0)
    table = [[good, bad, bad], [bad, good, good], [Counts(10, 9, 0, 1)] * 3]
    counts, choices = left_out(table, most_false=0.5)
    assert choices == [1, 0, 0]
    assert counts == [bad, bad, bad]
    assert left_out(table[2:], most_false=0.5)[1] == [0, 0, 0]


def test_being_no_better_than_t2_is_told() -> None:
    mine, better, worse = Counts(9, 2, 1, 8), Counts(10, 1, 0, 9), Counts(5, 5, 5, 5)
    rivals = ("T2, 99 % of its reference below the limit", "T2, limit chosen")
    hold({CHOSEN: mine} | dict.fromkeys(rivals, worse))
    with pytest.raises(BrokenPromiseError, match="better than T2, limit chosen"):
        hold({CHOSEN: mine, rivals[0]: worse, rivals[1]: better})


def test_counts_are_told_as_rates() -> None:
    over, truth = np.array([True, True, False, False, True]), np.array([True, False] * 2 + [True])
    counts = Counts.of(over, truth)
    assert counts == Counts(2, 1, 1, 1)
    assert counts.f1 == pytest.approx(4 / 6)
    assert counts.false_rate == 0.5
    assert counts.missed_rate == pytest.approx(1 / 3)
    assert counts.balanced == pytest.approx(1 - (0.5 + 1 / 3) / 2)


def test_baselines_measure_distances() -> None:
    reference, rows = calm(500, 3), calm(20, 3, seed=4)
    reference[:, 2] = 1.0
    rows[:, 2] = 1.0
    off = (rows - reference.mean(axis=0))[:, :2]
    inverse = np.linalg.inv(np.cov(reference[:, :2].T))
    near = t2(reference, rows)
    assert near == pytest.approx([float(each @ inverse @ each) for each in off], rel=0.01)
    assert (spe(reference, rows) <= near * 3).all()
    line = np.outer(np.random.default_rng(1).standard_normal(300), [1.0, 2.0, 3.0])
    assert spe(line, line[:5]) == pytest.approx(np.zeros(5), abs=1e-12)


def test_fifty_sensors_are_calm_and_the_one_that_moves_is_named() -> None:
    size = Size(calm_events=10_000, seeds=1, shifts=2, after=1_000, seed=3)
    assert false_alarms(HABITS["white"], size) == (0, 5_000, 0)
    calm_ones, found = together(HABITS["white"], size)
    assert not calm_ones.opened
    assert calm_ones.watched == SENSORS
    assert [each is not None and each.is_named and each.delay < 200 for each in found] == [True] * 2


@pytest.mark.parametrize("name", HABITS)
def test_streams_have_the_habit_that_is_said(name: str) -> None:
    habit = HABITS[name]
    rows = np.concatenate(list(chunks(habit, 8, 20_000, [1])))
    assert rows.shape == (20_000, 8)
    expected = 1.0 + habit.noise**2 + 400.0 * habit.outliers
    assert rows[:, ::4].var() == pytest.approx(expected, rel=0.25 if max(habit.phi) < 0.95 else 0.6)
    again = next(chunks(habit, 8, 100, [1]))
    assert (again == next(chunks(habit, 8, 100, [1]))).all()

"""The proofs of explanations that need no broker, at test size."""

from __future__ import annotations

import pytest

from chaos.additive import Worst, check, prove_additive
from chaos.balance import BrokenPromiseError
from chaos.causes import (
    CAUSES,
    CLAIMED,
    SEEDS,
    best_constant,
    blame,
    macro,
    mean_shares,
)
from chaos.causes import check as check_causes
from chaos.data import data_folder
from chaos.explaining_time import Cost, check_equal, prove_explaining_time
from tidemill.models.families import ALLOWED


def test_failures_are_blamed_on_sensors_that_cause_them() -> None:
    seeds = range(1, SEEDS + 1) if data_folder() else (1,)
    shares = mean_shares([blame(CLAIMED, seed) for seed in seeds])

    check_causes(shares, best_constant()[1])


def test_the_best_constant_answer_is_right_in_two_modes_of_three() -> None:
    sensor, share = best_constant()

    assert sensor in {"speed", "torque"}
    assert share == pytest.approx(2 / 3)


def test_blame_that_falls_elsewhere_is_not_held() -> None:
    constant = best_constant()[1]
    for mode in CAUSES:
        shares = {**dict.fromkeys(CAUSES, 1.0), mode: 0.84}
        with pytest.raises(BrokenPromiseError, match=r"must be a cause"):
            check_causes(shares, constant)
    low = dict.fromkeys(CAUSES, 0.89)
    assert macro(low) < 0.9
    with pytest.raises(BrokenPromiseError, match=r"must be a cause"):
        check_causes(low, constant)


def test_every_class_adds_up_with_its_parameters_left_alone() -> None:
    found = prove_additive(rows=150, every=15, say=print)

    named = {row[0].split("`")[1] for row in found.tables[0].rows}
    assert named == set(ALLOWED)


@pytest.mark.parametrize("field", ["additivity", "answer"])
def test_shares_that_do_not_add_up_are_not_held(field: str) -> None:
    worst = Worst(explanations=1, bound=1e-9)
    check("a class", worst)
    setattr(worst, field, 2e-9)
    with pytest.raises(BrokenPromiseError, match=r"shares must add up"):
        check("a class", worst)
    with pytest.raises(BrokenPromiseError, match=r"shares must add up"):
        check("a class", Worst(bound=1e-9))


def test_times_are_compared_with_a_shap_that_says_the_same() -> None:
    found = prove_explaining_time(events=25, repeats=1, say=print)

    assert all(float(row[3].split()[0]) > 0 for row in found.tables[0].rows)
    with pytest.raises(BrokenPromiseError, match=r"shares must be shap's"):
        check_equal("a tree", [Cost(1, 1, 1, 1, difference=2e-9)])

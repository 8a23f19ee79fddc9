"""What grows with the input, and what must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.fleet import Size
from chaos.fleet_budget import BUFFERS, KNOWN, LIVE, MEBIBYTE, STARTED, TREE, prove_fleet
from chaos.long_input import prove_level
from chaos.quiet_assets import prove_bounded_refold

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.mark.broker
def test_memory_and_saved_states_level_off_over_an_input_ten_times_as_long(tmp_path: Path) -> None:
    figures = prove_level(tmp_path, rows=2_000, depth=3, snapshot_every=250)

    assert figures["predictions"].startswith("20,000,")


@pytest.mark.broker
def test_a_refold_stays_under_its_bound_beside_a_thousand_quiet_assets(tmp_path: Path) -> None:
    figures = prove_bounded_refold(tmp_path, bound=1_000, kills=2)

    assert figures["models"].startswith("2,002 ")


@pytest.mark.broker
def test_a_fleet_stays_in_its_memory_budget_when_most_of_its_models_rest(tmp_path: Path) -> None:
    size = Size(assets=1_500, busy=50, each=15, snapshot_every=100, kills=1, seed=1)

    found = prove_fleet(tmp_path, size, {TREE: [150]})

    assert found.figures["answers of models compared"].startswith("24,001,")


def test_operators_are_told_the_memory_budget_that_is_proved() -> None:
    text = OPERATIONS.read_text("utf-8")

    assert f"{BUFFERS // MEBIBYTE} MiB" in text
    assert f"{KNOWN // 1024} KiB x models + {LIVE} x saved state x models in memory" in text
    assert f"{STARTED // 1024} KiB" in text

"""What grows with the input, and what must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.long_input import prove_level
from chaos.quiet_assets import prove_bounded_refold

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
def test_memory_and_saved_states_level_off_over_an_input_ten_times_as_long(tmp_path: Path) -> None:
    figures = prove_level(tmp_path, rows=2_000, depth=3, snapshot_every=250)

    assert figures["predictions"].startswith("20,000,")


@pytest.mark.broker
def test_a_refold_stays_under_its_bound_beside_a_thousand_quiet_assets(tmp_path: Path) -> None:
    figures = prove_bounded_refold(tmp_path, bound=1_000, kills=2)

    assert figures["models"].startswith("2,002 ")

"""Real rows through two workers equal plain River to the last bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.data import LOOP, POWER
from chaos.real_data import prove_equality, write_directly

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
def test_predictions_through_two_workers_equal_plain_river_to_the_last_bit(tmp_path: Path) -> None:
    figures = prove_equality(tmp_path, limits={POWER: 4_000, LOOP: 1_200}, write=write_directly)

    assert figures["predictions"].startswith("5,200,")

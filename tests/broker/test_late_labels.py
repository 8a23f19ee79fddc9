"""Labels late, shuffled, doubled and corrected lead to the models and metrics of plain River."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.label_schedule import Habits
from chaos.late_labels import Size, prove_late_labels

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_labels_in_any_order_over_three_labellers_equal_plain_river(tmp_path: Path) -> None:
    figures = prove_late_labels(tmp_path, Size(rows=500, habits=Habits(revised=0.04), seed=3))

    assert "as 64 bits" in figures["equal to plain River"]
    assert "must be" in figures["asked again when the label comes"]

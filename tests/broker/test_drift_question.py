"""The question of drift on the real broker: the quick size of its proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.drift_question import Size, prove_question

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
@pytest.mark.timeout(3600)
def test_what_is_answered_decides_what_the_models_have_learned(tmp_path: Path) -> None:
    found = prove_question(tmp_path, Size(5_200, 50, 300, "3000s", seed=1), lambda _: None)
    assert "fault: OPEN FAULT CLOSED" in found.figures["episodes"]
    (table,) = found.tables
    assert [row[0] for row in table.rows] == ["calm", "changed", "fault", "power", "silent"]

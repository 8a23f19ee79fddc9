"""What watching costs, measured small: that it can be measured, and that all was watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.drift_cost import Size, prove_cost

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
@pytest.mark.timeout(3600)
def test_an_asset_at_its_rate_is_watched_whole(tmp_path: Path) -> None:
    size = Size(6, (1, 6), 500, rate=200.0, seconds=3.0, most_share=None, seed=1)
    found = prove_cost(tmp_path, size, lambda _: None)
    assert found.figures["traffic"].startswith("600 events of one asset with 6 sensors")
    assert "0 differences" in found.figures["audit replay --drift"]
    (table,) = found.tables
    assert [row[1] for row in table.rows] == ["1"] * 4 + ["6"] * 4

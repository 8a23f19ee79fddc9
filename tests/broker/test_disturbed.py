"""What is flagged leaves no trace, through kills, on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.disturbed import prove_undisturbed
from chaos.faults import KINDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_models_end_as_if_no_disturbed_event_had_ever_come(tmp_path: Path) -> None:
    figures, (table,) = prove_undisturbed(tmp_path, rows=1_500, kills=2, snapshot_every=300, seed=2)

    assert figures["audit replay"].startswith("0 differences")
    assert figures["workers killed by kill -9"].startswith("2,")
    assert [row[0] for row in table.rows] == list(KINDS)
    assert all(int(events) > 20 for _, events, *_ in table.rows)

"""Wrong examples taken back on a real broker while workers are killed: no trace is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.retractions import Size, prove_retractions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker

FLAGS = ("--batch", "50", "--snapshot-every", "300", "--anchor-every", "200")
SMALL = Size(events=400, rate=400.0, said=8, retracted=4, kills=4, flags=FLAGS)


def test_retractions_survive_kills_and_leave_no_trace(tmp_path: Path) -> None:
    figures = prove_retractions(tmp_path, SMALL)

    assert figures["lineages"].startswith("4 of 4 equal")

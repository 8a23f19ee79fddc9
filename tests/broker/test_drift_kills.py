"""Drifts through kills of drift processors, learners and feedback: its proof, small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.drift_kills import Size, prove_kills

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
@pytest.mark.timeout(3600)
def test_drifts_are_told_once_and_the_same_through_kills_of_everything(tmp_path: Path) -> None:
    size = Size(assets=4, calm=5_100, troubled=500, kills=8, seed=3)
    figures = prove_kills(tmp_path, size, lambda _: None).figures
    assert "nothing disturbed" in figures["records of drifts"]
    assert "COUNTED" in figures["answers"]
    assert figures["kill -9 under load"].startswith("8: drift")

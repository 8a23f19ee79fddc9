"""Each label and each feedback counts once, whatever is killed while they flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.feedback_loop import Size, prove_loop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_labels_and_feedback_count_once_through_thirty_kills(tmp_path: Path) -> None:
    figures = prove_loop(tmp_path, Size(rows=1_200, kills=30, seed=5), lambda _: None)

    assert "each counted once" in figures["labels"]
    assert "Redis wiped" in figures["killed or disturbed under load"]

"""Exactly once, and reproducible to the byte, while workers and the broker are killed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from chaos.audited import prove_audit
from chaos.disorder import Disturbances
from chaos.recovery import Flow, prove_exactly_once

if TYPE_CHECKING:
    from pathlib import Path

DISTURBANCES = Disturbances(kills=20, broker_restarts=5, leavings=(signal.SIGTERM,), seed=7)


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_each_event_counts_once_and_the_past_replays_while_all_around_is_killed(
    tmp_path: Path,
) -> None:
    figures = prove_exactly_once(
        tmp_path,
        flow=Flow(rate=150.0, at_least=3_000),
        plan=DISTURBANCES,
        snapshot_every=300,
        say=print,
        after=prove_audit,
    )

    assert figures["workers killed by kill -9"] == "20"
    assert figures["broker restarts"] == "3 in order, 2 by kill -9"
    assert figures["audit replay"].startswith("0 differences")

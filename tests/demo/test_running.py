"""Whole runs of the demo as a process: Kafka, all workers, two kills, the balance, the replay."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tidemill.demo.scenario import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

WITHIN_S = 1_000


def _counted(sheet: str, what: str) -> int:
    (count,) = re.findall(rf"^  {what} +(\d+)$", sheet, re.MULTILINE)
    return int(count)


@pytest.mark.broker
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "pumps"])
def test_a_scenario_ends_balanced_and_replays_without_a_difference(
    name: str, tmp_path: Path
) -> None:
    flags = ["--scenario", name, "--seconds", "6", "--dir", str(tmp_path / "demo")]
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", "demo", *flags],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Balance: balanced" in done.stdout
    assert "replay: 0 differences" in done.stdout
    assert "kill -9 of a learner" in done.stderr
    assert "kill -9 of the explainer" in done.stderr
    explained, predicted = (_counted(done.stdout, what) for what in ("explained", "predicted"))
    assert explained == predicted > 0
    replayed = re.findall(r"([\d,]+) explanations", done.stdout)
    assert sum(int(count.replace(",", "")) for count in replayed) == explained
    assert "\nwhy " in done.stderr
    assert ("labels in" in done.stdout) is (name == "soft-sensor")

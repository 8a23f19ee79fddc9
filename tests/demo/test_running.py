"""Whole runs of the demo as a process: all workers, six kills, the balance, the replays."""

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
@pytest.mark.parametrize("name", SCENARIOS)
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
    assert re.findall(r"^replay: .*", done.stdout, re.MULTILINE) == ["replay: 0 differences"] * 2
    killed = ("a learner", "labeller", "explainer", "feedback processor", "drift processor")
    for worker in (*killed, "alerts processor"):
        assert f"{worker}; started again" in done.stderr
    explained, predicted = (_counted(done.stdout, what) for what in ("explained", "predicted"))
    assert explained == predicted > 0
    replayed = re.findall(r"([\d,]+) explanations", done.stdout)
    assert sum(int(count.replace(",", "")) for count in replayed) == explained
    assert "\nwhy " in done.stderr
    assert ("labels in" in done.stdout) is (name == "soft-sensor")
    assert ("\nlabel of " in done.stderr) is (name == "soft-sensor")
    if name == "soft-sensor":
        ways = ("joined to a prediction", "labels set aside")
        assert _counted(done.stdout, "labels in") == sum(_counted(done.stdout, w) for w in ways) > 0
    assert ("feedback in" in done.stdout) is (SCENARIOS[name].shortcut is not None)
    if name == "pumps":
        feedback = [_counted(done.stdout, f"feedback {what}") for what in ("in", "without receipt")]
        assert feedback == [_counted(done.stdout, "with its final receipt"), 0]
        asked = ("questions asked", "answered and settled", "models held", "holds released")
        assert [_counted(done.stdout, what) for what in asked] == [1, 1, 1, 1]
        assert "acknowledges it" in done.stderr
        assert "released, fault: what was read" in done.stderr

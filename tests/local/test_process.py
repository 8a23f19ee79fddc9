"""Processes are told from strangers that reuse their number."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tidemill.local.process import Process, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = shutil.which("sleep") or "/bin/sleep"
PATIENCE_S = 120.0
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""
STARTER = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tidemill.local.process import spawn
print(json.dumps(asdict(spawn(sys.argv[1:3], mark="300", console=Path(sys.argv[3])))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = spawn([SLEEP, "300"], mark="300", console=tmp_path / "console")
    yield process
    process.kill()


def test_a_process_is_alive_until_it_is_ended(sleeper: Process) -> None:
    assert sleeper.is_alive()

    sleeper.end(PATIENCE_S)

    assert not sleeper.is_alive()


def test_a_process_with_the_number_but_another_start_is_a_stranger(sleeper: Process) -> None:
    assert not replace(sleeper, began="1").is_alive()


def test_a_process_with_the_number_but_another_command_is_a_stranger(sleeper: Process) -> None:
    assert not replace(sleeper, mark="/else/server.properties").is_alive()


def test_a_stranger_is_never_killed(sleeper: Process) -> None:
    replace(sleeper, began="1").kill()
    replace(sleeper, mark="/else/server.properties").end(patience_s=0.1)

    assert sleeper.is_alive()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    console = tmp_path / "console"
    process = spawn([sys.executable, "-c", STUBBORN], mark="SIG_IGN", console=console)
    while "deaf" not in console.read_text(encoding="utf-8"):
        assert process.is_alive()

    process.end(patience_s=0.2)

    assert not process.is_alive()


def test_a_process_that_ended_by_itself_is_not_alive(tmp_path: Path) -> None:
    process = spawn([SLEEP, "0"], mark="0", console=tmp_path / "console")

    assert process.wait(PATIENCE_S)


def test_a_started_process_has_a_session_of_its_own(sleeper: Process) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_a_signal_to_a_process_that_ended_is_harmless(sleeper: Process) -> None:
    sleeper.kill()

    sleeper.signal(signal.SIGTERM)

    assert not sleeper.is_alive()


def test_a_killed_process_that_its_parent_has_not_cleared_away_is_not_alive(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", STARTER, SLEEP, "300", str(tmp_path / "console")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process = Process(**json.loads(parent.stdout.readline()))
        assert process.is_alive()

        os.kill(process.pid, signal.SIGKILL)

        assert process.wait(PATIENCE_S)
        assert parent.poll() is None
        parent.communicate()


@pytest.mark.parametrize(
    ("state", "command", "alive"),
    [
        ("S", "java\0/d/server.properties\0", True),
        ("R", "", True),  # it begins, or ends and still holds its files and ports
        ("Z", "", False),
        ("S", "vi\0/else/server.properties\0", False),
    ],
)
def test_a_process_holds_its_ports_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, command: str, *, alive: bool
) -> None:
    own = Process(2**22 + 1, "777", "/d/server.properties")  # a number above the highest
    for name in ("self", str(own.pid)):
        (tmp_path / name).mkdir()
        fields = " ".join([state, *["0"] * 18, own.began, "0"])
        (tmp_path / name / "stat").write_text(f"{own.pid} (a (b) c) {fields}", encoding="utf-8")
        (tmp_path / name / "cmdline").write_text(command, encoding="utf-8")
    monkeypatch.setattr("tidemill.local.process.PROC", tmp_path)

    assert own.is_alive() is alive


def test_a_new_process_is_known_as_ours_at_once(tmp_path: Path) -> None:
    for _ in range(20):
        process = spawn([SLEEP, "300"], mark="300", console=tmp_path / "console")
        try:
            assert process.is_alive()
        finally:
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(PATIENCE_S)

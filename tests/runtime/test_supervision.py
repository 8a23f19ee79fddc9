"""Several processes under one: what dies comes back, what halts stays down, others go on."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.workloads import parse
from tidemill.runtime.supervision import Supervisor, command_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOR_EVER = "import signal; signal.pause()"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_halts_stays_down_and_the_others_go_on(tmp_path: Path) -> None:
    halts = f"open({str(tmp_path / 'halted')!r}, 'a').write('x'); raise SystemExit(70)"
    waits = (
        "import os, time\n"
        f"while not os.path.exists({str(tmp_path / 'halted')!r}): time.sleep(0.02)\n"
        "time.sleep(0.5)\n"
        f"open({str(tmp_path / 'done')!r}, 'w')\n"
    )
    code = Supervisor({"halts": python(halts), "waits": python(waits)}).run()

    assert code == 70
    assert (tmp_path / "done").exists()
    assert (tmp_path / "halted").read_text() == "x"


def test_what_is_misconfigured_ends_all() -> None:
    code = Supervisor({"one": python("raise SystemExit(78)"), "two": python(FOR_EVER)}).run()
    assert code == 78


def test_what_dies_is_started_again(tmp_path: Path) -> None:
    dies_once = (
        f"import os, pathlib; seen = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        "was = seen.exists(); seen.touch()\n"
        "if not was: os.kill(os.getpid(), 9)\n"
    )
    assert Supervisor({"one": python(dies_once)}).run() == 0
    assert (tmp_path / "seen").exists()


@pytest.mark.parametrize("given", [["--probe-port=9464"], ["--probe-port", "9464"]])
def test_processes_under_one_fixed_port_listen_on_the_ports_after_it(given: list[str]) -> None:
    lines = command_lines(("learner", "explainer"), [*given, "--instance=w"], 9464)

    assert {name: parse(line[3:])["probe_port"] for name, line in lines.items()} == {
        "learner": 9464,
        "explainer": 9465,
    }
    assert {parse(line[3:])["instance"] for line in lines.values()} == {"w"}


def test_processes_that_take_free_ports_all_do() -> None:
    lines = command_lines(("learner", "explainer"), [], 0)

    assert {parse(line[3:])["probe_port"] for line in lines.values()} == {0}

"""Several processors as processes of their own, started and ended together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

POLL_S = 0.2
RESTART_AFTER_S = 1.0
END_WITHIN_S = 30.0

# Done, halted and misconfigured: starting again would only repeat it.
MISCONFIGURED = 78
FINAL = frozenset({0, 70, MISCONFIGURED})


class Supervisor:
    """Runs one process per command line and restarts what dies.

    What halts stays down, and the others go on: predictions do not wait for explanations. What is
    misconfigured ends all.

    Args:
        commands: Command line by name.
    """

    def __init__(self, commands: dict[str, Sequence[str]]) -> None:
        self._commands = commands
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._is_stopping = False

    def run(self) -> int:
        """Return the first exit code that is final, once all have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for name in self._commands:
            self._start(name)
        code = 0
        try:
            while self._processes and not self._is_stopping:
                time.sleep(POLL_S)
                code = self._look_after(code)
        finally:
            self._end_all()
        return code

    def _start(self, name: str) -> None:
        self._processes[name] = subprocess.Popen(list(self._commands[name]))

    def _look_after(self, code: int) -> int:
        for name, process in list(self._processes.items()):
            found = process.poll()
            if found is None:
                continue
            del self._processes[name]
            if found in FINAL:
                self._is_stopping = self._is_stopping or found == MISCONFIGURED
                code = code or found
            else:
                time.sleep(RESTART_AFTER_S)
                self._start(name)
        return code

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._is_stopping = True

    def _end_all(self) -> None:
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + END_WITHIN_S
        for process in self._processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command_lines(
    names: Sequence[str], flags: Sequence[str], probe_port: int
) -> dict[str, Sequence[str]]:
    """Return `tidemill run NAME` with the same flags for each name.

    Args:
        probe_port: Among the flags; where it is no free one, the second name is given the port
            after it, and so on.
    """
    base = [sys.executable, "-m", "tidemill", "run"]
    lines: dict[str, Sequence[str]] = {}
    for number, name in enumerate(names):
        own = ["--probe-port", str(probe_port + number)] if probe_port and number else []
        lines[name] = [*base, name, *flags, *own]
    return lines


def supervise(names: Sequence[str], flags: Sequence[str], probe_port: int) -> int:
    """Run all as `command_lines` says; return the exit code."""
    return Supervisor(command_lines(names, flags, probe_port)).run()

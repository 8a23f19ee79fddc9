"""Processes of our own: started apart from us, and told from strangers that reuse their number."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

POLL_S = 0.05
SETTLE_S = 0.001
PROC = Path("/proc")
# How long the system may take to clear away a killed process: a disk may hold it for a while.
CLEARED_AWAY_S = 60.0
# Fields of /proc/PID/stat, counted after the name (which may hold anything, even brackets).
STATE_FIELD = 0
THREADS_FIELD = 17
START_FIELD = 19
ENDED = ("Z", "X")
ENDING = "ending"
PS_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its number, when the system says it began, and a word of its command line."""

    pid: int
    began: str
    mark: str

    def is_alive(self) -> bool:
        """Say whether this very process runs; another one with its number is not it."""
        _reap(self.pid)
        seen = _look(self.pid)
        if seen is None or seen.began != self.began or seen.state in ENDED:
            return False
        return self.mark in seen.command or not seen.command

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait(self, timeout_s: float) -> bool:
        """Wait until the process has ended; say whether it did."""
        deadline = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def end(self, patience_s: float) -> None:
        """End the process: SIGTERM, and SIGKILL when that has not done it in time."""
        self.signal(signal.SIGTERM)
        if not self.wait(patience_s):
            self.kill()

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        self.signal(signal.SIGKILL)
        self.wait(CLEARED_AWAY_S)


def spawn(command: Sequence[str], *, mark: str, console: Path) -> Process:
    """Start a program in a session of its own, so that it outlives this one.

    Args:
        command: Program (a path) and arguments, `mark` among them.
        mark: What tells this process from others; must stand in `command`.
        console: File that takes what the program prints; begun anew.
    """
    opened = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(console), opened, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    while (seen := _look(pid)) and seen.state not in ENDED and not seen.command:
        time.sleep(SETTLE_S)  # it is just about to become the program
    return Process(pid, seen.began if seen else "", mark)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # started by another process
        return


class _Seen(NamedTuple):
    """A process as the system shows it.

    While it begins, and while it ends and still holds its files, it has no command line.
    """

    state: str
    began: str
    command: str


def _look(pid: int) -> _Seen | None:
    if (PROC / "self" / "stat").exists():
        return _look_proc(pid)
    columns_wanted = ["-o", "stat=", "-o", "lstart=", "-o", "command="]
    line = subprocess.run(
        ["ps", "-ww", *columns_wanted, "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
    ).stdout
    columns = line.split(maxsplit=PS_COLUMNS - 1)
    if len(columns) < PS_COLUMNS:
        return None
    bare = columns[-1].startswith(("(", "["))
    return _Seen(columns[0][0], " ".join(columns[1:-1]), "" if bare else columns[-1])


def _look_proc(pid: int) -> _Seen | None:
    folder = PROC / str(pid)
    try:
        fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        line = (folder / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    command = line.replace(b"\0", b" ").decode(errors="replace")
    # A killed process ends thread by thread; the last one holds its ports and files.
    is_ending = fields[STATE_FIELD] in ENDED and int(fields[THREADS_FIELD]) > 1
    return _Seen(ENDING if is_ending else fields[STATE_FIELD], fields[START_FIELD], command)

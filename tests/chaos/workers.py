"""Workers as processes: started, killed, ended, watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.waiting import await_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

END_WITHIN_S = 180.0
SAID = 2_000


class WorkerEndedError(Exception):
    """A worker ended that nobody had ended."""


class WorkerProcess:
    """One `tidemill run learner`, under one instance name through all its lives.

    Attributes:
        name: The instance.
        log: What all its lives wrote to standard error.
        started: When the present life began, monotonic seconds.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.started = 0.0
        self._born_at = 0  # where the present life's log begins
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it was started and nobody has ended it."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Begin a life."""
        assert self._process is None
        self.started = time.monotonic()
        self._born_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End the life at once, as a power cut would (SIGKILL)."""
        assert self._process is not None
        self.check()
        self._process.kill()
        self._process.wait()
        self._process = None

    def end(self) -> None:
        """End the life in good order (SIGTERM), once it has come so far as to hear of it.

        Raises:
            WorkerEndedError: It took too long, or its exit code is not 0.
        """
        assert self._process is not None
        await_value(
            self._hears, lambda: f"worker {self.name} hears SIGTERM: {self.said()}", END_WITHIN_S
        )
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        if code != 0:
            msg = f"worker {self.name} must end with 0 on SIGTERM, was {code}: {self.said()}"
            raise WorkerEndedError(msg)

    def _hears(self) -> bool:
        """Return whether the process has a handler for SIGTERM; before that it ends by default."""
        self.check()
        return bool(int(self._status("SigCgt"), 16) >> (signal.SIGTERM - 1) & 1)

    def check(self) -> None:
        """Hold that it lives if it should.

        Raises:
            WorkerEndedError: It ended by itself.
        """
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process = None
            msg = f"worker {self.name} must run, it ended with {code}: {self.said()}"
            raise WorkerEndedError(msg)

    def destroy(self) -> None:
        """End whatever is left; never raises."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text("utf-8", errors="replace")[-SAID:] if self.log.exists() else ""

    def told(self, event: str, *, all_lives: bool = False) -> Iterator[dict[str, Any]]:  # Any: JSON
        """Yield the log lines of one kind, of the present life or of all."""
        if not self.log.exists():
            return
        with self.log.open("rb") as log:
            log.seek(0 if all_lives else self._born_at)
            for line in log.read().splitlines():
                if event.encode() in line and (value := _parsed(line)).get("event") == event:
                    yield value

    def assigned(self) -> set[int]:
        """Return the partitions it was last given in its present life, and restored."""
        given = [set(line["partitions"]) for line in self.told("assigned")]
        restored = {line["partition"] for line in self.told("restored")}
        return given[-1] & restored if given else set()

    def resident_bytes(self) -> int:
        """Return the resident memory of the present life, as the kernel accounts it."""
        return int(self._status("VmRSS")) * 1024

    def peak_bytes(self) -> int:
        """Return the most resident memory that the present life ever had."""
        return int(self._status("VmHWM")) * 1024

    def _status(self, name: str) -> str:
        """Return what the kernel tells of the process under a name, without its unit."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii", errors="replace")
        return next(line.split()[1] for line in status.splitlines() if line.startswith(name))

    def processor_s(self) -> float:
        """Return the processor time of the present life so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace").rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _parsed(line: bytes) -> dict[str, Any]:  # Any: JSON
    try:
        value = json.loads(line)
    except ValueError:  # cut off by a kill, or not a log line
        return {}
    return value if isinstance(value, dict) else {}

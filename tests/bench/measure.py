"""Run one worker process to its end and read what it used from the kernel."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLL_S = 0.005
LOG_LINES = 15


class WorkerError(Exception):
    """A worker failed or did not end in time; says how and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Usage:
    """User plus system time of one process and of children it waited for; how long; peak memory."""

    processor_s: float
    elapsed_s: float
    resident_mb: float


def run_worker(
    command: Sequence[str], variables: Mapping[str, str], log: Path, *, deadline_s: float
) -> Usage:
    """Start `command` and wait for its end.

    Raises:
        WorkerError: Exit code not 0, or still running after `deadline_s`.
    """
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **variables}
        )
    try:
        return _await_exit(process, started, deadline_s)
    except WorkerError as error:
        tail = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise WorkerError("\n".join([str(error), *tail])) from error
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def _await_exit(process: subprocess.Popen[bytes], started: float, deadline_s: float) -> Usage:
    resident_mb = 0.0
    while time.monotonic() - started < deadline_s:
        resident_mb = max(resident_mb, read_resident_mb(process.pid))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid == 0:
            time.sleep(POLL_S)
            continue
        elapsed_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            msg = f"a worker must exit with 0, was {process.returncode}"
            raise WorkerError(msg)
        return Usage(usage.ru_utime + usage.ru_stime, elapsed_s, resident_mb)
    msg = f"a worker must end within {deadline_s:.0f} s, was still running"
    raise WorkerError(msg)


def read_resident_mb(pid: int) -> float:
    """Return the peak of a process so far, 0 where the system does not tell.

    The peak in the usage of an ended child is no use: it counts what its parent held at the fork.
    """
    status = Path(f"/proc/{pid}/status")
    text = status.read_text() if status.exists() else ""
    peak = next((line for line in text.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(peak.split()[1]) / 1024

"""One environment per engine, pinned to the last package, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.measure import LOG_LINES, WorkerError

PEERS = Path(__file__).parent / "peers"
STAMP = "requirements.sha256"
QUIETLY = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:")


def cache_folder() -> Path:
    """Return where environments are kept: below `TIDEMILL_CACHE`, or the working folder."""
    return Path(os.environ.get("TIDEMILL_CACHE", ".tidemill")).resolve() / "bench"


def read_version(environment: str, package: str) -> str:
    """Return the version of `package` that the environment is pinned to."""
    for line in (PEERS / f"{environment}.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if name == package:
            return version
    msg = f"{environment}.txt must pin {package}, it does not"
    raise LookupError(msg)


def build_environment(environment: str) -> Path:
    """Return the Python of the environment, made anew where its requirements have changed.

    Raises:
        WorkerError: It cannot be made, for instance without wheels for this Python.
    """
    requirements = PEERS / f"{environment}.txt"
    folder = cache_folder() / environment
    python = folder / "bin" / "python"
    stamp = folder / STAMP
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _call(sys.executable, "-m", "venv", str(folder))
    _call(str(python), "-m", "pip", "install", *QUIETLY, "--requirement", str(requirements))
    stamp.write_text(digest)
    return python


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-LOG_LINES:])
        msg = f"the environment must be made, {command[2]} ended with {done.returncode}\n{last}"
        raise WorkerError(msg)

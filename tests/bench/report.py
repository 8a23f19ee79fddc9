"""The comparison as a table, as JSON and as a page with command, date and machine."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.engines import Engine
    from bench.measure import Usage
    from bench.verify import Verdict

METHOD = """\
Each event is an Avro record in Confluent's wire format (id, asset, time, 12 named doubles, target).
A worker decodes it, predicts with its asset's `StandardScaler | LinearRegression` (River), learns,
encodes a prediction and writes it; pass-through copies the bytes. One worker process at a time, on
one broker, every engine reading the same bytes from the same number of partitions, engines taken in
turn in every repeat. Processor time is user plus system time of the worker process with all its
threads, as the kernel accounts it when the process ends. Start-up and shutdown are taken off by
running two inputs, the small one the beginning of the large one: time per event is the difference
of the median processor times over the difference of events (in brackets the lowest and highest of
single repeats).
Engines keep their default intervals of commit. Outputs are read back after every run: one per
event, versions counting up per asset, and equal to the bit to plain River's predictions for the
first events of one asset; output called exactly once must carry commit markers. The broker's own
processor time is not counted."""

HEADINGS = (
    "engine",
    "version",
    "guarantee",
    "model state saved",
    "commits",
    "us/event",
    "events/s",
    "start-up s",
    "MB",
    "outputs",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One repeat of one engine: the same worker over the small and the large input."""

    small: Usage
    large: Usage
    verdicts: tuple[Verdict, Verdict]


@dataclass(frozen=True, slots=True)
class Row:
    """One engine's result; times per event in microseconds of one processor."""

    engine: str
    version: str
    guarantee: str
    saved: str
    commits: str
    us_per_event: float
    us_lowest: float
    us_highest: float
    events_per_s: float
    start_s: float
    resident_mb: float
    outputs: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """An engine that did not come to an end, and why."""

    engine: str
    version: str
    reason: str


def build_row(engine: Engine, samples: Sequence[Sample], sizes: tuple[int, int]) -> Row:
    """Summarise the repeats of one engine; `sizes` are the events of the two inputs."""
    small, large = sizes
    span = large - small
    costs = [(s.large.processor_s - s.small.processor_s) / span for s in samples]
    small_s = median(s.small.processor_s for s in samples)
    cost = (median(s.large.processor_s for s in samples) - small_s) / span
    elapsed_s = median(s.large.elapsed_s for s in samples)
    elapsed_s -= median(s.small.elapsed_s for s in samples)
    wrong = [v for s in samples for v in s.verdicts if not v.is_right]
    shown = wrong[0] if wrong else samples[-1].verdicts[1]
    return Row(
        engine=engine.name,
        version=engine.version(),
        guarantee=engine.guarantee,
        saved=engine.saved,
        commits=engine.commits,
        us_per_event=1e6 * cost,
        us_lowest=1e6 * min(costs),
        us_highest=1e6 * max(costs),
        events_per_s=span / elapsed_s if elapsed_s > 0 else math.nan,
        start_s=small_s - small * cost,
        resident_mb=max(s.large.resident_mb for s in samples),
        outputs=str(shown),
        is_right=not wrong,
    )


def render_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, cheapest first."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS)]
    for row in sorted(rows, key=lambda r: r.us_per_event):
        spread = f"{row.us_per_event:.1f} ({row.us_lowest:.1f} to {row.us_highest:.1f})"
        lines.append(
            (
                row.engine,
                row.version,
                row.guarantee,
                row.saved,
                row.commits,
                spread,
                f"{row.events_per_s:,.0f}",
                f"{row.start_s:.1f}",
                f"{row.resident_mb:.0f}",
                row.outputs,
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_machine() -> dict[str, str]:
    """Return what the figures depend on, without anything that names the machine."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    load = os.getloadavg()[0]
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "load at start": f"{load:.2f}",
    }


@dataclass(frozen=True, slots=True)
class Report:
    """One finished comparison."""

    command: str
    machine: dict[str, str]
    rows: Sequence[Row]
    failures: Sequence[Failure]

    def write(self, folder: Path) -> None:
        """Write `bench.md` and `bench.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        document = {"date": date, **asdict(self)}
        (folder / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
        (folder / "bench.md").write_text(self._page(date))

    def _page(self, date: str) -> str:
        facts = {"command": f"`{self.command}`", "date": date, **self.machine}
        failed = [f"{f.engine} ({f.version}): {f.reason.splitlines()[0]}" for f in self.failures]
        parts = [
            "# Processor time per event, beside other engines",
            "\n".join(f"- {name}: {text}" for name, text in facts.items()),
            METHOD,
            render_table(self.rows),
            *(f"Failed: {text}" for text in failed),
        ]
        return "\n\n".join(parts) + "\n"

"""How much memory many assets take, live and idle, and how long a start with them lasts.

Each measurement is a process of its own; topics are files, so that nothing but the learner is held.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import tempfile
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.idle import IdleModels, Room
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.records import Message
from tidemill.models.pickles import dump_state
from tidemill.processors.learner.processor import Learner, LearnerFactory
from tidemill.runtime.idle_states import IdleStates
from tidemill.testing.plants import LINEAR, event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tidemill.kernel.records import Emit

KEY = SigningKey(bytes(32))
KEPT = (EVENTS, UPDATES, LEDGER, SNAPSHOTS, ANCHORS)
BATCH = 1_000
CHUNK = 500
KILOBYTE = 1_024


@dataclass(frozen=True, slots=True)
class Size:
    """What is measured: a fleet of which few assets are busy at a time.

    Attributes:
        busy: Assets of one shift, `each` of them sends so many events before the next shift.
        limit: Models that may stay in memory.
    """

    assets: int = 10_000
    each: int = 20
    busy: int = 500
    limit: int = 1_000

    def senders(self) -> list[int]:
        """Return the asset of every event."""
        shifts = range(0, self.assets, self.busy)
        return [n for at in shifts for _ in range(self.each) for n in range(at, at + self.busy)]


@dataclass(frozen=True, slots=True)
class Memory:
    """A process that held the fleet; memory beyond that of the same process without any model.

    Attributes:
        peak_kb, end_kb: The most while it ran, and what was held in the end.
        live: Models in memory in the end, of `models`.
    """

    seconds: float
    base_kb: int
    peak_kb: int
    end_kb: int
    live: int
    models: int
    state_bytes: int = 0

    def kb_per_model(self, kilobytes: int) -> float:
        """Return a figure by model."""
        return kilobytes / self.models


@dataclass(frozen=True, slots=True)
class FleetMemory:
    """All measurements, by name; `run`: from the first event on, `start`: of a new worker."""

    size: Size
    run: dict[str, Memory]
    start: dict[str, Memory]


@dataclass
class FileLog:
    """Topics as files, read from where an index says."""

    folder: Path
    places: dict[str, array[int]] = field(default_factory=lambda: {t: array("Q") for t in KEPT})

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return where a topic begins and ends."""
        assert partition == 0
        return 0, len(self.places[topic])

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield records in their order."""
        assert partition == 0
        places = self.places[topic]
        stop = min(stop, len(places))
        if start >= stop:
            return
        with (self.folder / topic).open("rb") as file:
            file.seek(places[start])
            for first in range(start, stop, CHUNK):
                yield [
                    _message(topic, offset, pickle.load(file))
                    for offset in range(first, min(first + CHUNK, stop))
                ]

    def append(self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Write keys and values at the end of a topic."""
        with (self.folder / topic).open("ab") as file:
            for record in records:
                self.places[topic].append(file.tell())
                pickle.dump(record, file)

    def write(self, emits: Sequence[Emit]) -> None:
        """Write what a learner emits, but for its predictions."""
        for topic in dict.fromkeys(emit.topic for emit in emits):
            if topic != PREDICTIONS:
                self.append(topic, [(e.key, e.value) for e in emits if e.topic == topic])


def measure(size: Size) -> FleetMemory:
    """Measure a fleet with a limit and without, its life and its next start."""
    run, start = {}, {}
    limits = {"no limit": None, f"at most {size.limit} live": size.limit}
    with tempfile.TemporaryDirectory() as folder:
        for name, limit in limits.items():
            own = Path(folder) / str(limit)
            own.mkdir()
            run[name] = _apart(_live, own, size, limit)
            start[name] = _apart(_start, own, size, limit)
    return FleetMemory(size, run, start)


def report(found: FleetMemory) -> list[str]:
    """Return what was measured as lines of Markdown."""
    lines = [
        f"{found.size.assets:,} assets, one linear model each; memory beyond {_base(found):.0f} MB "
        "of the process without any.",
        "",
        "| | seconds | most MB | MB in the end | live models | KB per model |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, measured in (("from the first event", found.run), ("start", found.start)):
        for name, m in measured.items():
            megabytes = f"{m.peak_kb / KILOBYTE:.0f} | {m.end_kb / KILOBYTE:.0f}"
            each = m.kb_per_model(m.end_kb)
            lines.append(
                f"| {kind}, {name} | {m.seconds:.1f} | {megabytes} | {m.live:,} | {each:.1f} |"
            )
    saved = max(m.state_bytes for m in found.start.values()) / KILOBYTE
    return [*lines, "", f"A model's state as saved: {saved:.1f} KB."]


def _base(found: FleetMemory) -> float:
    return max(m.base_kb for m in (*found.run.values(), *found.start.values())) / KILOBYTE


def _apart(function: object, *arguments: object) -> Memory:
    """Run a measurement in a process that has done nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result: Memory = pool.apply(function, arguments)  # type: ignore[arg-type]  # one of two here
        return result


def _factory(limit: int | None) -> LearnerFactory:
    room = Room(limit)

    def idle(_partition: int) -> IdleModels:
        return IdleModels(IdleStates(), room)

    return LearnerFactory(sample_terms(LINEAR, partitions=1), KEY, Policy(), idle=idle)


def _live(folder: Path, size: Size, limit: int | None) -> Memory:
    """Let a learner predict and learn, from the first event on."""
    log = FileLog(folder)
    _warm(limit)
    base = resident_kb()
    started = time.monotonic()
    opened = drained(_factory(limit).open(0, dict.fromkeys((EVENTS, UPDATES)), log))
    assert isinstance(opened.task, Learner)
    learner = opened.task
    log.write(opened.first_emits)
    senders, peak = size.senders(), base
    for at in range(0, len(senders), BATCH):
        _apply(log, learner, at, [f"site/area/line/{n}" for n in senders[at : at + BATCH]])
        peak = max(peak, resident_kb())
    (folder / "index").write_bytes(pickle.dumps(log.places))
    return _memory(started, base, peak, learner)


def _apply(log: FileLog, learner: Learner, at: int, assets: Sequence[str]) -> None:
    records = [(a.encode(), _event(a, at + n)) for n, a in enumerate(assets)]
    log.append(EVENTS, records)
    messages = [_message(EVENTS, at + n, record) for n, record in enumerate(records)]
    learner.process_batch(messages)
    log.write(learner.seal({EVENTS: at + len(records), UPDATES: 0}))


def _message(topic: str, offset: int, record: tuple[bytes | None, bytes | None]) -> Message:
    return Message(topic, 0, offset, *record)


def _event(asset: str, number: int) -> bytes:
    x = {"vibration": number % 50 + 0.5, "temperature": 60.0 + number % 7, "flow": 0.5}
    return event_value(asset, number, x, float(number % 5))


def _start(folder: Path, size: Size, limit: int | None) -> Memory:
    """Open the partition as a worker does that starts."""
    log = FileLog(folder, pickle.loads((folder / "index").read_bytes()))
    _warm(limit)
    base = resident_kb()
    committed = {EVENTS: log.span(EVENTS, 0)[1], UPDATES: 0}
    started = time.monotonic()
    opened = drained(_factory(limit).open(0, committed, log))
    assert isinstance(opened.task, Learner)
    learner = opened.task
    assert len(learner.fold.fleet) == size.assets
    return _memory(started, base, resident_kb(), learner)


def _warm(limit: int | None) -> None:
    """Load all that a learner needs beside its models."""
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder))
        opened = drained(_factory(limit).open(0, dict.fromkeys((EVENTS, UPDATES)), log))
        assert isinstance(opened.task, Learner)
        _apply(log, opened.task, 0, ["a", "b"])


def _memory(started: float, base: int, peak: int, learner: Learner) -> Memory:
    seconds = time.monotonic() - started
    gc.collect()
    end, fleet = resident_kb(), learner.fold.fleet
    saved = len(dump_state(next(iter(fleet)).state))
    return Memory(seconds, base, peak - base, end - base, fleet.live, len(fleet), saved)


def resident_kb() -> int:
    """Return the memory that this process holds for itself."""
    status = Path("/proc/self/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("RssAnon:"))
    return int(line.split()[1])

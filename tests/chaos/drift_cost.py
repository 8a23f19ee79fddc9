"""What watching costs: time and room for each signal, and an asset of many sensors at its rate."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chaos.balance import BrokenPromiseError
from chaos.beside import Beside
from chaos.drift_answers import replay_drift, write
from chaos.feeding import Feed, Outgoing
from chaos.figures import mebibytes
from chaos.mesh import Mesh
from chaos.plant import SCALED
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.tables import Found, Table
from chaos.waiting import await_value, is_less
from tidemill.contracts.topics import DRIFT_LEDGER, EVENTS
from tidemill.detection import asset_state
from tidemill.detection.asset import AssetCheck, AssetSettings
from tidemill.detection.signals import Signals, Watch
from tidemill.fold.ledger import Entry
from tidemill.processors.drift.packing import packed
from tidemill.processors.drift.plans import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from chaos.figures import Figures

    Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

ASSET = "wide/1"
RUN_LENGTH = 1_000_000.0
WITHIN_S = 1_800.0
LEARNED = 12_000  # events after which all detectors have what they go by
MICRO = 1e6
HEAD = (
    "what is watched",
    "sensors",
    "events at a time",
    "microseconds a sensor and event",
    "state, bytes a sensor",
    "while it learns",
)


class Size(NamedTuple):
    """How many sensors, and how long.

    Attributes:
        sensors: Of the asset on the broker.
        widths: Numbers of sensors that are measured in memory, over so many events.
        rate: Events a second, for so many seconds, once references are learned.
        most_share: Of one core that the drift processor may take; None where nothing is asked.
    """

    sensors: int
    widths: Sequence[int]
    events: int
    rate: float
    seconds: float
    most_share: float | None
    seed: int


def prove_cost(folder: Path, size: Size, say: Callable[[str], None]) -> Found:
    """Measure what watching costs in memory, and on a broker at a plant's rate.

    Raises:
        BrokenPromiseError: It takes more than its share of a core, or does not keep up.
    """
    rows = [row for width in size.widths for row in _measured(width, size)]
    say("measured in memory")
    figures = _at_rate(folder, size, say)
    about = (
        "One asset watched in memory, all of its sensors calm, after what they are held against "
        "was learned: each by itself (level, spread, missing, stuck), and all together."
    )
    return Found(figures, [Table(about, HEAD, rows)])


def _measured(width: int, size: Size) -> Iterator[list[str]]:
    """Yield what it takes to watch so many sensors, each by itself and all together."""
    for at_once in (1, 100):
        signals = Signals([Watch(RUN_LENGTH * width)] * width)
        take = partial(_take_signals, signals)
        yield ["each by itself", *_cells(take, signals.state, (width, at_once), size)]
        check = AssetCheck(AssetSettings(width, RUN_LENGTH, REFERENCE))
        state = partial(_state_of, check)
        yield ["together", *_cells(check.observe, state, (width, at_once), size)]


def _take_signals(signals: Signals, rows: Numbers) -> object:
    return signals.update(np.ascontiguousarray(rows.T), np.zeros(len(rows)))


def _state_of(check: AssetCheck) -> bytes:
    return packed(asset_state.dump(check))


def _cells(
    take: Callable[[Numbers], object],
    state: Callable[[], bytes],
    shape: tuple[int, int],
    size: Size,
) -> list[str]:
    """Return width, events at a time, processor time once all is learned, and room."""
    width, at_once = shape
    rng = np.random.default_rng(size.seed)
    learning = 0
    for number in range(LEARNED // 100):
        if number * 100 == REFERENCE - 100:
            learning = len(state())
        take(rng.standard_normal((100, width)))
    parts = [rng.standard_normal((at_once, width)) for _ in range(max(1, size.events // at_once))]
    begun = time.process_time()
    for part in parts:
        take(part)
    spent = MICRO * (time.process_time() - begun) / (len(parts) * at_once * width)
    room = (f"{len(state()) / width:,.0f}", f"{learning / width:,.0f}")
    return [f"{width}", f"{at_once}", f"{spent:.2f}", *room]


class Source:
    """Events of one asset of many sensors, which share a load."""

    def __init__(self, sensors: int, seed: int) -> None:
        self.names = tuple(f"s{number}" for number in range(sensors))
        model = {"champion": [SCALED, "linear_model.LinearRegression"]}
        options = {"drift": {"run_length": int(RUN_LENGTH)}}
        self.plant = SheetPlant([Sheet("wide", self.names, model, options=options)], partitions=1)
        self._rng = np.random.default_rng(seed)
        self._count = 0

    def events(self, count: int) -> Iterator[Outgoing]:
        """Yield so many more."""
        for _ in range(count):
            values = self._rng.standard_normal(len(self.names)) + 0.5 * self._rng.standard_normal()
            x = dict(zip(self.names, values.tolist(), strict=True))
            value = self.plant.value(Reading("wide", ASSET, x), self._count)
            self._count += 1
            yield Outgoing(EVENTS, 0, ASSET.encode(), value)


def _at_rate(folder: Path, size: Size, say: Callable[[str], None]) -> Figures:
    """Let one drift processor watch an asset at its rate, on a broker.

    Raises:
        BrokenPromiseError: It takes more than its share of a core.
    """
    source = Source(size.sensors, size.seed)
    count = int(size.rate * size.seconds)
    with (
        Mesh(folder / "mesh", source.plant) as mesh,
        Beside("drift", mesh, folder) as watching,
    ):
        watching.start("d0")
        worker = watching.workers["d0"]

        def is_read() -> bool:
            watching.check()
            return is_less(mesh.lag_of("drift"), 1)

        write(mesh, source.events(LEARNED))
        await_value(is_read, worker.said, WITHIN_S)
        say("references are learned")
        spent, begun = worker.processor_s(), time.monotonic()
        feed = Feed(mesh.bootstrap)
        feed.write_at(size.rate, source.events(count))
        feed.finish()
        await_value(is_read, worker.said, WITHIN_S)
        spent, wall = worker.processor_s() - spent, time.monotonic() - begun
        resident, peak = worker.resident_bytes(), worker.peak_bytes()
        watching.end()
        waits, learning = _waits(mesh)
        replayed = replay_drift(mesh)
    share = spent / wall
    if size.most_share is not None and share > size.most_share:
        msg = f"{size.sensors} sensors must take {size.most_share} of a core, took {share:.2f}"
        raise BrokenPromiseError(msg)
    waits.sort()
    return {
        "traffic": f"{count:,} events of one asset with {size.sensors} sensors at "
        f"{size.rate:g} a second, {wall:.0f} s, {LEARNED:,} events before them",
        "processor time of the drift processor": f"{spent:.1f} s, {share:.3f} of one core, "
        f"{MICRO * spent / (count * size.sensors):.2f} microseconds a sensor and event, reading "
        "and writing included",
        "an event waits until it is watched and written": f"median {waits[len(waits) // 2]} ms, "
        f"99 of 100 within {waits[int(0.99 * (len(waits) - 1))]} ms, longest {waits[-1]} ms",
        "longest pause while references were learned": f"{learning} ms between two transactions "
        "of at most 1,000 events",
        "memory": f"{mebibytes(resident)} resident, {mebibytes(peak)} at most",
        "audit replay --drift": replayed,
    }


def _waits(mesh: Mesh) -> tuple[list[int], int]:
    """Return how long the first event of each transaction waited, and the longest pause before.

    By the clocks of the producers, in milliseconds; the pause is that before rates were held.
    """
    (events,), (entries,) = mesh.read(EVENTS), mesh.read(DRIFT_LEDGER)
    written = {event.offset: event.timestamp_ms for event in events}
    waits, learning = [], [0]
    timed = []
    for entry in entries:
        firsts = [run.first for run in Entry.decode(entry.value).runs if run.topic == EVENTS]
        if not firsts:
            continue
        timed.append((firsts[0], entry.timestamp_ms))
        if firsts[0] >= LEARNED:
            waits.append(entry.timestamp_ms - written[firsts[0]])
    for (_, earlier), (first, later) in pairwise(timed):
        if first < LEARNED:
            learning.append(later - earlier)
    return waits, max(learning)

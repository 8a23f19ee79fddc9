"""A fleet on one worker: what memory it takes, what an event costs, and how soon it is back."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from functools import partial
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import LOOP_FEATURES, loop_rows
from chaos.feeding import Feed
from chaos.inputs import Seats
from chaos.many_models import answers
from chaos.mesh import Mesh
from chaos.plain_models import PlainNumber, Said
from chaos.plant import event_id
from chaos.reading import Arrivals, Tail
from chaos.saved_states import NewestStates
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.waiting import await_value
from tidemill.contracts.topics import PREDICTIONS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from chaos.families import Family
    from chaos.feeding import Outgoing

SHEET = "fleet"
PARTITIONS = 4
BATCH = 500
DRAIN_S = 1_800.0
BACK_WITHIN_S = 300.0


class Size(NamedTuple):
    """How large a fleet, and how busy.

    Attributes:
        busy: Assets of one shift; `each` of them sends so many events before the next shift.
        snapshot_every: Records by which a saved state may lag.
    """

    assets: int
    busy: int
    each: int
    snapshot_every: int
    kills: int
    seed: int


class Run(NamedTuple):
    """What one worker took.

    Attributes:
        first: Resident memory without any model.
        in_shifts, in_round: The most until the shifts ended, and until all assets had their turn.
        back: The most in a life that began with the whole fleet.
        shifts_us, round_us: Processor time of an event in shifts, and where all assets take turns.
        rate: Events a second in shifts.
        back_s: From each start after `kill -9` to the first new prediction.
        saved: Largest saved state of a model.
        answers: Predictions, each equal to River's.
    """

    first: int
    in_shifts: int
    in_round: int
    back: int
    shifts_us: float
    round_us: float
    rate: float
    back_s: Sequence[float]
    saved: int
    answers: int


class Input(NamedTuple):
    """All events in their order: in shifts, then every asset once, then one after each kill."""

    shifts: list[Reading]
    around: list[Reading]
    after: list[Reading]

    @property
    def all(self) -> list[Reading]:
        """Every reading in order."""
        return [*self.shifts, *self.around, *self.after]


def draw_input(size: Size) -> Input:
    """Return the events of a fleet, of which few assets are busy at a time; seeded."""
    chance = random.Random(f"fleet {size.seed}")
    assets = [f"plant/hall/line/m{number}" for number in range(size.assets)]
    x_y = cycle([(dict(zip(LOOP_FEATURES, r.x, strict=True)), r.y) for r in loop_rows()])

    def readings(names: Sequence[str]) -> list[Reading]:
        return [Reading(SHEET, name, *each) for name, each in zip(names, x_y, strict=False)]

    order = chance.sample(assets, len(assets))
    shifts = [order[at : at + size.busy] for at in range(0, len(order), size.busy)]
    return Input(
        readings([name for shift in shifts for _ in range(size.each) for name in shift]),
        readings(chance.sample(assets, len(assets))),
        readings(chance.sample(assets, size.kills)),
    )


def run_river(family: Family, rows: Sequence[Reading]) -> dict[str, Said]:
    """Return what plain River says to each event, an own model for each asset."""
    models: dict[str, PlainNumber] = {}
    said = {}
    for number, row in enumerate(rows):
        if row.asset not in models:
            plain = family.plain()
            assert isinstance(plain, PlainNumber)
            models[row.asset] = plain
        said[event_id(number)] = models[row.asset].ask(row.x)
        models[row.asset].learn(row.x, row.y)
    return said


def most_unsaved(rows: Sequence[Reading], lag: int) -> int:
    """Return how many assets at most are busy within `lag` records of each partition."""
    seats = Seats(PARTITIONS)
    windows: list[deque[str]] = [deque() for _ in range(PARTITIONS)]
    counts: list[Counter[str]] = [Counter() for _ in range(PARTITIONS)]
    most = [0] * PARTITIONS
    for row in rows:
        at = seats.of(row.asset)
        windows[at].append(row.asset)
        counts[at][row.asset] += 1
        if len(windows[at]) > lag:
            gone = windows[at].popleft()
            counts[at][gone] -= 1
            if not counts[at][gone]:
                del counts[at][gone]
        most[at] = max(most[at], len(counts[at]))
    return sum(most)


def run_fleet(
    folder: Path, family: Family, size: Size, *, limit: int | None, said: Mapping[str, Said]
) -> Run:
    """Let one worker serve a fleet, kill it, and look at it from outside.

    Args:
        limit: Models that may stay in memory; None leaves it to the worker.
        said: What plain River says to each event.

    Raises:
        BrokenPromiseError: A model or a prediction is lost, doubled or other than River's.
    """
    drawn = draw_input(size)
    plant = SheetPlant([Sheet(SHEET, LOOP_FEATURES, {"champion": family.steps})], PARTITIONS)
    flags = ["--snapshot-every", str(size.snapshot_every), "--batch", str(BATCH)]
    flags += [] if limit is None else ["--live-models", str(limit)]
    with Mesh(folder, plant, flags) as mesh:
        states = NewestStates()
        tail = Tail(mesh.bootstrap, SNAPSHOTS, PARTITIONS, states.take)
        watched = Watched(mesh, plant.events(drawn.all))
        first = watched.worker.resident_bytes()
        shifts_us, rate = watched.serve(len(drawn.shifts))
        in_shifts = watched.worker.peak_bytes()
        round_us, _ = watched.serve(len(drawn.around))
        in_round = watched.worker.peak_bytes()
        lives = [watched.kill() for _ in range(size.kills)]
        watched.finish()
        tail.close()
        states.take_all(mesh.read(SNAPSHOTS))
        found = strike_balance(mesh).predictions
        restored = {line["partition"]: line["models"] for line in watched.worker.told("restored")}
    check_models(sum(restored.values()), size.assets)
    return Run(
        first=first,
        in_shifts=in_shifts,
        in_round=in_round,
        back=max(peak for _, peak in lives),
        shifts_us=shifts_us,
        round_us=round_us,
        rate=rate,
        back_s=[seconds for seconds, _ in lives],
        saved=max(weighed.size for weighed in states.weigh()),
        answers=check_said(chain.from_iterable(found), said),
    )


def check_models(found: int, expected: int) -> None:
    """Hold that a restart finds the model of every asset.

    Raises:
        BrokenPromiseError: It does not.
    """
    if found != expected:
        msg = f"a restart must find {expected} models, found {found}"
        raise BrokenPromiseError(msg)


def check_said(
    predictions: Iterable[Mapping[str, Any]],  # Any: Avro records
    said: Mapping[str, Said],
) -> int:
    """Hold every prediction against plain River; return how many there are.

    Raises:
        BrokenPromiseError: One differs.
    """
    compared = 0
    for prediction in predictions:
        name = prediction["event_id"]
        (found,) = answers(prediction).values()
        if found != said[name]:
            msg = f"{name}: must be predicted {said[name]}, was {found}"
            raise BrokenPromiseError(msg)
        compared += 1
    return compared


class Watched:
    """A worker of a mesh that is fed part by part, and what each part costs it.

    Args:
        events: All that is ever written, in order.
    """

    def __init__(self, mesh: Mesh, events: Iterator[Outgoing]) -> None:
        self._mesh = mesh
        self._arrivals = Arrivals(PARTITIONS)
        self._tail = Tail(mesh.bootstrap, PREDICTIONS, PARTITIONS, self._arrivals.take)
        self._feed = Feed(mesh.bootstrap)
        self._events = events
        self._written = 0
        (self.worker,) = mesh.start("w0")
        mesh.await_owners(1)

    def serve(self, count: int) -> tuple[float, float]:
        """Write events and await their answers; return processor us of an event, and events/s."""
        begun, before = time.monotonic(), self.worker.processor_s()
        self._write(islice(self._events, count))
        await_value(self._is_answered, self.worker.said, DRAIN_S)
        took = self.worker.processor_s() - before
        return took * 1e6 / count, count / (time.monotonic() - begun)

    def _write(self, events: Iterable[Outgoing]) -> None:
        listed = list(events)
        self._feed.write(listed)
        self._written += len(listed)

    def _is_answered(self) -> bool:
        self._mesh.check()
        return len(self._arrivals) >= self._written

    def kill(self) -> tuple[float, int]:
        """Kill the worker and start it; return how long it took to answer, and its most memory."""
        self.worker.kill()
        wall_ms = time.time() * 1000
        self.worker.start()
        event = next(self._events)
        self._write([event])
        seen = await_value(
            partial(self._arrivals.first_after, event.partition, wall_ms),
            self.worker.said,
            BACK_WITHIN_S,
        )
        self._mesh.await_owners(1)
        return seen - self.worker.started, self.worker.peak_bytes()

    def finish(self) -> None:
        """Wait until all is read; end the worker."""
        self._feed.finish()
        self._mesh.drain(DRAIN_S)
        self._mesh.end()
        self._tail.close()

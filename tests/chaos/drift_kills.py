"""Drifts through kills of everything that makes and answers them: each told once, each the same."""

from __future__ import annotations

import random
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.audited import check_honest
from chaos.balance import BrokenPromiseError, strike_balance
from chaos.beside import Beside
from chaos.drift_answers import (
    FINAL,
    WITHIN_S,
    Answer,
    answered,
    await_answered,
    await_swaps,
    check_none_dead,
    outgoing,
    replay_drift,
    settle,
    write,
)
from chaos.drift_compared import compare
from chaos.drift_plant import LINE, Source, plant
from chaos.drift_undisturbed import check_undisturbed
from chaos.mesh import Mesh
from chaos.reading import Tail
from chaos.tables import Found
from chaos.waiting import await_value, is_less
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, FEEDBACK, UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from chaos.feeding import Outgoing
    from chaos.figures import Figures
    from chaos.reading import Record
    from chaos.sheets import SheetPlant

LEARNERS, WATCHERS, LISTENERS = ("w0", "w1"), ("d0", "d1"), ("f0",)
WORKERS = (*WATCHERS, *LEARNERS, *LISTENERS)
NAMES = {"w": "learner", "d": "drift", "f": "feedback"}
FAULTY = 80
TWICE = 0.3  # of the answers are given again by somebody else


class Size(NamedTuple):
    """How many assets, events of each before and after the first trouble, and kills."""

    assets: int
    calm: int
    troubled: int
    kills: int
    seed: int


class People:
    """Answer every question as it comes; some of them twice, and differently.

    Attributes:
        said: The answers, by name.
        seen: How many records of drifts have arrived.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self.said: set[str] = set()
        self.seen = 0
        self._source = source
        self._rng = random.Random(seed)
        self._written: list[Outgoing] = []
        self._lock = threading.Lock()

    def take(self, record: Record, _: float) -> None:
        """See a record of a drift arrive."""
        drift = codec("Drift").decode(record.value)
        if drift["kind"] == "MULTIVARIATE" and drift["status"] == "OPEN":
            self._answer(drift, record.partition)
        self.seen += 1

    def _answer(self, drift: dict[str, Any], partition: int) -> None:  # Any: an Avro record
        number = int(drift["asset"][1:])
        kinds = ["PROCESS_CHANGE", "FAULT"] if number % 2 else ["FAULT", "PROCESS_CHANGE"]
        count = 2 if self._rng.random() < TWICE else 1
        with self._lock:
            for turn, kind in enumerate(kinds[:count]):
                name = f"{drift['drift_id']}-{turn}"
                self.said.add(name)
                answer = Answer(name, drift["asset"], drift["drift_id"], kind)
                self._written.append(outgoing(answer, partition))

    def taken(self) -> list[Outgoing]:
        """Return what they said since the last time."""
        with self._lock:
            written, self._written = self._written, []
            return written


def prove_kills(folder: Path, size: Size, say: Callable[[str], None]) -> Found:
    """Kill drift processors, learners and feedback under load; hold what was told after it.

    Raises:
        BrokenPromiseError: A record of a drift is another than in a run that nothing disturbed, or
            is told twice; or an answer has no final receipt; or a model has learned otherwise.
    """
    made = plant(timeouts={LINE: "20000s"})
    flags = ["--snapshot-every", "900", "--batch", "200"]
    with (
        Mesh(folder / "mesh", made, [*flags, "--anchor-every", "2000"]) as mesh,
        Beside("drift", mesh, folder, flags) as watching,
        Beside("feedback", mesh, folder) as listening,
    ):
        source = Source(made, dict.fromkeys(_assets(size), LINE), size.seed)
        people = People(source, size.seed)
        tail = Tail(mesh.bootstrap, DRIFT, mesh.partitions, people.take)
        mesh.start(*LEARNERS)
        watching.start(*WATCHERS)
        listening.start(*LISTENERS)
        killed = _run(Run(mesh, made, [watching, listening], source, people, size), say)
        tail.close()
        for each in (watching, listening):
            each.end()
        mesh.end()
        balance = strike_balance(mesh)
        check_none_dead(mesh, UPDATES, FEEDBACK)
        told = check_undisturbed(mesh, made)
        learned, table = compare(mesh, made, source.streams)
        receipts = _check_receipts(mesh, people)
        audited = {**check_honest(mesh, "replay"), "audit replay --drift": replay_drift(mesh)}
    counted = ", ".join(f"{name} {count}" for name, count in sorted(killed.items()))
    figures = {
        "events": f"{balance.counts[0]:,}, of {size.assets} assets",
        "kill -9 under load": f"{killed.total()}: {counted}",
        **told,
        **receipts,
        **learned,
        **audited,
    }
    return Found(figures, [table])


class Run(NamedTuple):
    """What is needed to write, to kill, and to wait."""

    mesh: Mesh
    made: SheetPlant
    beside: Sequence[Beside]
    source: Source
    people: People
    size: Size


def _assets(size: Size) -> list[str]:
    return [f"p{number}" for number in range(size.assets)]


def _events(source: Source, size: Size) -> Iterator[Outgoing]:
    """Yield the events: even assets have faults, each in its turn; odd ones change for good."""
    assets = _assets(size)
    for number in range(-size.calm, size.troubled):
        turns = [number - place * FAULTY // 2 for place in range(size.assets)]
        is_faulty = [
            turn >= 0 and turn % (FAULTY * 20) < FAULTY and place % 2 == 0
            for place, turn in enumerate(turns)
        ]
        yield from source.rounds(
            1,
            faulty=[asset for asset, is_so in zip(assets, is_faulty, strict=True) if is_so],
            changed=[a for a, turn in zip(assets, turns, strict=True) if turn >= 0][1::2],
        )


def _run(run: Run, say: Callable[[str], None]) -> Counter[str]:
    """Write all events in parts, and kill one of all workers within each."""
    size, rng = run.size, random.Random(run.size.seed)
    records = list(_events(run.source, size))
    each = -(-len(records) // (size.kills + 1))
    victims = list(WORKERS * (size.kills // len(WORKERS) + 1))[: size.kills]
    rng.shuffle(victims)
    workers = {**run.mesh.workers, **run.beside[0].workers, **run.beside[1].workers}
    killed = Counter[str]()
    for number in range(size.kills + 1):
        part = records[number * each : (number + 1) * each]
        write(run.mesh, [*run.people.taken(), *part])
        if number == size.kills:
            break
        _await_lag(run, rng.randrange(1, len(part)))
        worker = workers[victims[number]]
        worker.kill()
        worker.start()
        killed[NAMES[victims[number][0]]] += 1
        if number % 50 == 0:
            say(f"{number} kills")
    _settle_answers(run)
    await_swaps(run.mesh, run.made)
    return killed


def _settle_answers(run: Run) -> None:
    """Wait until all is watched, and every question answered that is asked of it."""
    written: Sequence[Outgoing] | None = None
    while written is None or written:
        settle(run.mesh, run.beside)
        _await_heard(run)
        written = run.people.taken()
        write(run.mesh, written)
        await_answered(run.mesh, run.beside, {*run.people.said})
    settle(run.mesh, run.beside)


def _await_lag(run: Run, than: int) -> None:
    """Wait until less records are left to be watched."""

    def is_reached() -> bool:
        run.mesh.check()
        for each in run.beside:
            each.check()
        return is_less(run.mesh.lag_of("drift"), than)

    await_value(is_reached, partial(_said, run), WITHIN_S)


def _await_heard(run: Run) -> None:
    """Wait until people have seen all that was told of drifts."""

    def is_heard() -> bool:
        return run.people.seen >= sum(map(len, run.mesh.read(DRIFT)))

    await_value(is_heard, lambda: f"{run.people.seen} records are seen", WITHIN_S)


def _said(run: Run) -> str:
    return str({worker.name: worker.said() for each in run.beside for worker in each.up()})


def _check_receipts(mesh: Mesh, people: People) -> Figures:
    """Hold that every answer has one final receipt, whatever was killed.

    Raises:
        BrokenPromiseError: One has none, or two that differ.
    """
    receipts = answered(mesh)
    finals = {name: FINAL & {*receipts[name].statuses} for name in people.said}
    wrong = {name: found for name, found in finals.items() if len(found) != 1}
    if wrong or not finals:
        msg = f"each answer must have one final receipt, found {wrong}"
        raise BrokenPromiseError(msg)
    counted = Counter(status for found in finals.values() for status in found)
    words = ", ".join(f"{count} {status}" for status, count in sorted(counted.items()))
    return {"answers": f"{len(finals)}; final receipts: {words}"}

"""Sensor fault or process change: what is answered decides what the models have learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.audited import check_honest
from chaos.balance import BrokenPromiseError, strike_balance
from chaos.beside import Beside
from chaos.data import origin
from chaos.drift_answers import (
    Answer,
    await_answered,
    await_swaps,
    check_none_dead,
    drifts,
    outgoing,
    replay_drift,
    settle,
    updates,
    write,
)
from chaos.drift_compared import compare
from chaos.drift_plant import GRID, LINE, MUTE, Source, plant
from chaos.drift_verdicts import check_answers, check_told
from chaos.mesh import Mesh
from chaos.tables import Found
from tidemill.contracts.topics import UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from chaos.drift_answers import Record
    from chaos.feeding import Outgoing
    from chaos.sheets import SheetPlant

FAULT, CHANGED, SILENT, POWER, CALM = "fault", "changed", "silent", "power", "calm"
STREAMS = {FAULT: LINE, CHANGED: LINE, SILENT: MUTE, POWER: GRID, CALM: LINE}
NEW = (CHANGED, SILENT, POWER)
ASKED = {FAULT, *NEW}
# Until all have asked, and until the sensor that was off is known to be well again.
LONGEST_ASKING, LONGEST_HOLD = 1_000, 8_000
PART = 200


class Size(NamedTuple):
    """Events of each asset: before anything happens, while answers are awaited, and after them.

    Attributes:
        goes_back: Whether a process that changed is as it was in the end, which must be asked
            about: for that `after` must be longer than a reference.
    """

    calm: int
    waiting: int
    after: int
    timeout: str
    seed: int
    goes_back: bool = False


class Running:
    """A mesh with learner, drift processor and feedback, and what is written to it."""

    def __init__(
        self, mesh: Mesh, made: SheetPlant, source: Source, beside: Sequence[Beside]
    ) -> None:
        self.mesh = mesh
        self.made = made
        self.source = source
        self.beside = beside

    def feed(self, count: int, *, faulty: Sequence[str] = (), changed: Sequence[str] = ()) -> None:
        """Write so many events of each asset, and wait until all of them have read them."""
        write(self.mesh, self.source.rounds(count, faulty=faulty, changed=changed))
        settle(self.mesh, self.beside)

    def asked(self) -> dict[str, Record]:
        """Return the question of each asset that has one."""
        return {
            asset: told[0]
            for asset, told in drifts(self.mesh).items()
            if told and told[0]["status"] == "OPEN"
        }

    def open(self) -> dict[str, Record]:
        """Return the questions that wait for an answer, by asset."""
        told = drifts(self.mesh)
        return {asset: last for asset, (*_, last) in told.items() if last["status"] == "OPEN"}

    def settle_all(self) -> None:
        """Answer every question that waits: the process is another one."""
        answers = [
            Answer(f"again-{record['drift_id']}", asset, record["drift_id"], "PROCESS_CHANGE")
            for asset, record in self.open().items()
        ]
        if answers:
            self.answer(*answers)

    def answer(self, *answers: Answer, behind: Iterable[Outgoing] = ()) -> None:
        """Write answers, events right behind them, and wait until all have had their effect."""
        seats = ((each, self.source.seat(each.asset)) for each in answers)
        write(self.mesh, [outgoing(each, seat) for each, seat in seats])
        write(self.mesh, behind)
        await_answered(self.mesh, self.beside, {each.feedback_id for each in answers})
        settle(self.mesh, self.beside)

    def is_over(self) -> bool:
        """Return whether the sensor at fault is well, and who never answers was not waited for."""
        told = drifts(self.mesh)
        return all(told[name][-1]["status"] in {"CLOSED", "TIMED_OUT"} for name in (FAULT, SILENT))


def prove_question(folder: Path, size: Size, say: Callable[[str], None]) -> Found:
    """Let sensors fail and processes change, answer the questions, and hold what was learned.

    Raises:
        BrokenPromiseError: A model has learned what it must not, or not what it must; or an answer
            went unheard.
    """
    made = plant(timeouts={MUTE: size.timeout})
    flags = ["--snapshot-every", "2000", "--anchor-every", "2000"]
    with (
        Mesh(folder / "mesh", made, flags) as mesh,
        Beside("drift", mesh, folder) as watching,
        Beside("feedback", mesh, folder) as listening,
    ):
        mesh.start("w0", "w1")
        watching.start("d0")
        listening.start("f0")
        source = Source(made, STREAMS, size.seed)
        running = Running(mesh, made, source, [watching, listening])
        tell_story(running, size, say)
        for each in (watching, listening):
            each.end()
        mesh.end()
        strike_balance(mesh)
        check_none_dead(mesh, UPDATES, "operator.feedback")
        told = check_told(drifts(mesh), ASKED)
        receipts = check_answers(mesh)
        figures, table = compare(mesh, made, STREAMS, {FAULT})
        audited = {**check_honest(mesh, "replay"), "audit replay --drift": replay_drift(mesh)}
    return Found(
        {
            "events": f"{source.count:,}, of {len(STREAMS)} assets; the grid's are {origin()}",
            **told,
            **receipts,
            **figures,
            **audited,
        },
        [table],
    )


def tell_story(running: Running, size: Size, say: Callable[[str], None]) -> None:
    """Let things happen, and let people answer what is asked.

    Raises:
        BrokenPromiseError: Nobody is asked, or what is over does not end.
    """
    running.feed(size.calm)
    begun = running.source.count // len(STREAMS)
    while ASKED - running.asked().keys():
        if running.source.count // len(STREAMS) - begun > LONGEST_ASKING:
            msg = f"{ASKED} must be asked about, only {[*running.asked()]} were"
            raise BrokenPromiseError(msg)
        running.feed(PART // 4, faulty=[FAULT], changed=NEW)
    say(f"asked about {', '.join(sorted(running.asked()))}")
    running.feed(size.waiting, faulty=[FAULT], changed=NEW)
    ids = {asset: str(record["drift_id"]) for asset, record in running.asked().items()}
    running.answer(
        Answer("a-fault", FAULT, ids[FAULT], "FAULT"),
        Answer("a-changed", CHANGED, ids[CHANGED], "PROCESS_CHANGE"),
        Answer("a-power", POWER, ids[POWER], "PROCESS_CHANGE"),
        Answer("unknown", CALM, "no such episode", "FAULT"),
        Answer("another asset's", CALM, ids[FAULT], "FAULT"),
        behind=running.source.rounds(PART, faulty=[FAULT], changed=NEW),
    )
    begun = running.source.count // len(STREAMS)
    while not running.is_over():
        if running.source.count // len(STREAMS) - begun > LONGEST_HOLD:
            msg = f"holds must end, these have not: {drifts(running.mesh)[FAULT][-1]}"
            raise BrokenPromiseError(msg)
        running.feed(PART, changed=NEW)
    say(f"over after {running.source.count // len(STREAMS) - begun} events of each asset")
    running.answer(
        Answer("twice", CHANGED, ids[CHANGED], "FAULT"),
        Answer("late", SILENT, ids[SILENT], "FAULT"),
        Answer("over", FAULT, ids[FAULT], "PROCESS_CHANGE"),
        Answer("a-fault", FAULT, ids[FAULT], "FAULT"),
    )
    await_swaps(running.mesh, running.made)
    say(f"{len(updates(running.mesh, 'HOLD'))} holds, all folded again")
    for _ in range(0, size.after, PART):
        running.feed(PART, changed=NEW)
        running.settle_all()
    if size.goes_back:
        go_back(running)
    await_swaps(running.mesh, running.made)


def go_back(running: Running) -> None:
    """Let a process be as it was at first, which must be noticed: its references are new.

    Raises:
        BrokenPromiseError: Nobody is asked.
    """
    begun = running.source.count // len(STREAMS)
    rest = [asset for asset in NEW if asset != CHANGED]
    while CHANGED not in running.open():
        if running.source.count // len(STREAMS) - begun > LONGEST_ASKING:
            msg = f"{CHANGED} must be held against what it has become, to be back was not noticed"
            raise BrokenPromiseError(msg)
        running.feed(PART // 4, changed=rest)
    running.settle_all()
    running.feed(PART, changed=rest)
    running.settle_all()

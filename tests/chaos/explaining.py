"""A mesh whose predictions are explained while it runs: what was written, predicted, explained."""

from __future__ import annotations

import random
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

from chaos.data import endless_rows
from chaos.feeding import Feed, PacedFeed
from chaos.inputs import clean_events
from chaos.reading import Arrivals, Tail
from chaos.waiting import await_value
from tidemill.contracts.topics import EVENTS, EXPLANATIONS, PREDICTIONS

if TYPE_CHECKING:
    from chaos.explainers import Explainers
    from chaos.mesh import Mesh
    from chaos.workers import WorkerProcess

LEARNERS = ("w0", "w1")
EXPLAINERS = ("e0", "e1")
REACHED_WITHIN_S = 1_800.0
BACK_WITHIN_S = 300.0
LOOK_S = 0.02
FURTHER = 40


class Restart(NamedTuple):
    """How long a worker took from its start after a kill to the first new record of its own."""

    processor: str
    is_late: bool
    seconds: float


class Scene:
    """Learners, explainers, and an input without end, written in parts.

    Attributes:
        predicted, explained: When records of both topics arrived at a subscriber.
        written: Events so far, each acknowledged.
    """

    def __init__(self, mesh: Mesh, explainers: Explainers, seed: int) -> None:
        self.mesh = mesh
        self.explainers = explainers
        self.predicted = Arrivals(mesh.partitions)
        self.explained = Arrivals(mesh.partitions)
        self.written = 0
        self._random = random.Random(seed)
        self._records = clean_events(endless_rows(), mesh.partitions)
        self._tails: list[Tail] = []

    def __enter__(self) -> Self:
        for topic, arrivals in ((PREDICTIONS, self.predicted), (EXPLANATIONS, self.explained)):
            take = arrivals.take
            self._tails.append(Tail(self.mesh.bootstrap, topic, self.mesh.partitions, take))
        return self

    def __exit__(self, *_: object) -> None:
        for tail in self._tails:
            tail.close()

    def write(self, count: int) -> None:
        """Write so many events as fast as they are taken."""
        feed = Feed(self.mesh.bootstrap)
        feed.write(islice(self._records, count))
        self.written += feed.finish()[EVENTS]

    def pace(self, rate: float, most: int | None = None) -> PacedFeed:
        """Begin to write events at a rate; `paced` takes note of them when it is finished."""
        records = islice(self._records, most)
        return PacedFeed(self.mesh.bootstrap, records, rate=rate, at_least=0)

    def paced(self, feed: PacedFeed) -> int:
        """End such a feed; return how many it wrote."""
        count = feed.finish()[EVENTS]
        self.written += count
        return count

    def await_count(self, arrivals: Arrivals, count: int) -> None:
        """Wait until so many have arrived."""

        def is_there() -> bool:
            self.mesh.check()
            self.explainers.check()
            return len(arrivals) >= count

        await_value(
            is_there,
            lambda: (
                f"{count} records, found {len(arrivals)}; {len(self.predicted)} predictions, "
                f"{len(self.explained)} explanations: {[w.said() for w in self.explainers.up()]}"
            ),
            REACHED_WITHIN_S,
            poll_s=LOOK_S,
        )

    def await_all(self) -> None:
        """Wait until all that was written is predicted, and all of that explained."""
        self.await_count(self.predicted, self.written)
        if self.explainers.up():
            self.await_count(self.explained, self.written)

    def kill(self, kills: int, each: int) -> list[Restart]:
        """Kill learners and explainers in turn by `kill -9`, each at a random point of a part.

        Every other explainer starts again only after more has been predicted.

        Args:
            each: Events of one part; one more is written than there are kills.
        """
        restarts: list[Restart] = []
        late: WorkerProcess | None = None
        begun = self.written
        self.write(each)
        for number in range(kills):
            base = begun + number * each
            if late is not None:
                self.await_count(self.predicted, base + each // 2)
                restarts.append(self._start(late, self.explained, "explainer", is_late=True))
                late = None
            is_learner = number % 2 == 0
            arrivals = self.predicted if is_learner else self.explained
            victims = self.mesh.up() if is_learner else self.explainers.up()
            self.await_count(arrivals, base + int(each * self._random.uniform(0.05, 0.95)))
            victim = self._random.choice(victims)
            await_value(partial(_owned, victim), victim.said, BACK_WITHIN_S)
            victim.kill()
            self.write(each)
            if number % 4 == 1:
                late = victim
                continue
            name = "learner" if is_learner else "explainer"
            restarts.append(self._start(victim, arrivals, name, is_late=False))
        return restarts

    def _start(
        self, worker: WorkerProcess, arrivals: Arrivals, processor: str, *, is_late: bool
    ) -> Restart:
        wall_ms = time.time() * 1000
        worker.start()

        def seen() -> float | None:
            self.mesh.check()
            self.explainers.check()
            owned = worker.assigned()
            found = [arrivals.first_after(number, wall_ms) for number in owned]
            back = min((moment for moment in found if moment is not None), default=None)
            if back is None and owned and len(arrivals) >= self.written:
                self.write(FURTHER)  # while it was down another had its partitions, and did it all
            return back

        def what() -> str:
            return f"a record of {worker.name} after a kill: {worker.said()}"

        back = await_value(seen, what, BACK_WITHIN_S)
        return Restart(processor, is_late, back - worker.started)


def _owned(worker: WorkerProcess) -> set[int] | None:
    return worker.assigned() or None

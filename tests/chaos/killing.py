"""Workers killed at chosen points of an input, each started again at once."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from chaos.feeding import Feed
from chaos.waiting import await_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.feeding import Outgoing
    from chaos.mesh import Mesh
    from chaos.reading import Arrivals
    from chaos.workers import WorkerProcess

REACHED_WITHIN_S = 3_600.0
BACK_WITHIN_S = 300.0
LOOK_S = 0.1
SURE = 0.95  # of the events are predicted, the others may become dead letters


class Killer:
    """Writes an input in parts, and kills a worker by `kill -9` when half of a part is answered.

    Args:
        arrivals: Of the predictions.

    Attributes:
        restarts: From each start after a kill to the first new prediction in a partition of its.
    """

    def __init__(self, mesh: Mesh, arrivals: Arrivals, *, seed: int) -> None:
        self._mesh = mesh
        self._arrivals = arrivals
        self._random = random.Random(seed)
        self.restarts: list[float] = []

    def feed(self, events: Sequence[Outgoing], kills: int) -> None:
        """Write all events, and kill so many times meanwhile."""
        feed = Feed(self._mesh.bootstrap)
        cuts = [len(events) * n // (kills + 1) for n in range(kills + 2)]
        feed.write(events[: cuts[1]])
        for before, now, then in zip(cuts, cuts[1:], cuts[2:], strict=False):
            self._await_share(int(SURE * (before + now) / 2))
            worker = self._random.choice(self._mesh.up())
            owned = await_value(partial(_owned, worker), worker.said, BACK_WITHIN_S)
            worker.kill()
            wall_ms = time.time() * 1000
            worker.start()
            feed.write(events[now:then])
            self._await_back(owned, wall_ms, worker.started)
        feed.finish()

    def _await_share(self, count: int) -> None:
        def is_there() -> bool:
            self._mesh.check()
            return len(self._arrivals) >= count

        await_value(
            is_there,
            lambda: f"{count} predictions, found {len(self._arrivals)}",
            REACHED_WITHIN_S,
            poll_s=LOOK_S,
        )

    def _await_back(self, owned: set[int], wall_ms: float, started: float) -> None:
        def seen() -> float | None:
            self._mesh.check()
            found = [self._arrivals.first_after(number, wall_ms) for number in owned]
            moments = [moment for moment in found if moment is not None]
            return min(moments, default=None)

        back = await_value(
            seen, lambda: f"a prediction in {sorted(owned)} after a kill", BACK_WITHIN_S
        )
        self.restarts.append(back - started)

    @property
    def killed(self) -> int:
        """How many kills were followed by a prediction."""
        return len(self.restarts)


def _owned(worker: WorkerProcess) -> set[int] | None:
    return worker.assigned() or None

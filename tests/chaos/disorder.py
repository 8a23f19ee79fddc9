"""Disorder on purpose: workers killed, the broker restarted, a worker joining and leaving."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from chaos.waiting import LateError, await_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.mesh import Mesh
    from chaos.reading import Arrivals
    from chaos.workers import WorkerProcess

BACK_WITHIN_S = 300.0
STEADY_SHARE = 0.75  # of the kills come to a worker that is known to work
BREATH_S = 0.6


@dataclass(frozen=True, slots=True)
class Disturbances:
    """How much of it; `leavings` are the signals by which a third worker leaves for good."""

    kills: int
    broker_restarts: int
    leavings: Sequence[signal.Signals]
    seed: int


@dataclass(slots=True)
class Measured:
    """What was done, and how long it took to be predicted again, in seconds.

    Attributes:
        killed: Workers killed.
        broker_stops: Brokers stopped in good order and started again.
        broker_kills: Brokers killed and started again.
        restarts: From a worker's start after `kill -9` to its first new prediction.
        broker_restarts: From the broker's being up to the first new prediction.
        hand_overs: From the end of a worker that left for good to the first new prediction of
            another worker in one of its partitions, by the signal it ended by.
    """

    killed: int
    broker_stops: int
    broker_kills: int
    restarts: list[float]
    broker_restarts: list[float]
    hand_overs: list[tuple[str, float]]


class Disorder:
    """Disturbs a mesh that is being fed.

    Args:
        arrivals: The predictions that arrive.
    """

    def __init__(
        self, mesh: Mesh, arrivals: Arrivals, plan: Disturbances, *, say: Callable[[str], None]
    ) -> None:
        self._mesh = mesh
        self._arrivals = arrivals
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._say = say
        self.measured = Measured(0, 0, 0, [], [], [])

    def run(self) -> Measured:
        """Do all of it, in seeded order."""
        steps = self._steps()
        for number, step in enumerate(steps):
            time.sleep(self._rng.random() * BREATH_S)  # any instant will do: this is not waiting
            self._mesh.check()
            step()
            if number % 25 == 24:
                self._say(f"{number + 1} of {len(steps)} disturbances")
        return self.measured

    def _steps(self) -> list[Callable[[], None]]:
        restarts = [
            self._stop_broker if number % 2 == 0 else self._kill_broker
            for number in range(self._plan.broker_restarts)
        ]
        steps: list[Callable[[], None]] = [*([self._kill_worker] * self._plan.kills), *restarts]
        self._rng.shuffle(steps)
        visits = len(self._plan.leavings)
        span = len(steps) // (visits or 1)
        for visit in reversed(range(visits)):
            guest, way = f"guest-{visit}", self._plan.leavings[visit]
            steps.insert(visit * span + 2 * span // 3, partial(self._leave, guest, way))
            steps.insert(visit * span + span // 3, partial(self._join, guest))
        return steps

    def _kill_worker(self) -> None:
        worker = self._rng.choice(self._mesh.up())
        owned = worker.assigned()
        worker.kill()
        wall_ms = time.time() * 1000
        worker.start()
        self.measured.killed += 1
        if owned and self._rng.random() < STEADY_SHARE:
            seen = self._await_prediction(owned, wall_ms, f"{worker.name} after kill -9")
            self.measured.restarts.append(seen - worker.started)

    def _stop_broker(self) -> None:
        self._mesh.kafka.stop()
        self.measured.broker_stops += 1
        self._start_broker()

    def _kill_broker(self) -> None:
        self._mesh.kafka.kill()
        self.measured.broker_kills += 1
        self._start_broker()

    def _start_broker(self) -> None:
        down_ms = time.time() * 1000
        self._mesh.kafka.start()
        up = time.monotonic()
        every = set(range(self._mesh.partitions))
        seen = self._await_prediction(every, down_ms, "the broker's restart")
        self.measured.broker_restarts.append(max(0.0, seen - up))

    def _join(self, name: str) -> None:
        (guest,) = self._mesh.start(name)
        joined_ms = time.time() * 1000
        owned = self._await_partitions(guest)
        self._await_prediction(owned, joined_ms, f"{name} joined")

    def _leave(self, name: str, way: signal.Signals) -> None:
        guest = self._mesh.workers[name]
        owned = self._await_partitions(guest)
        if way == signal.SIGKILL:
            guest.kill()
        else:
            guest.end()
        gone, gone_ms = time.monotonic(), time.time() * 1000
        seen = self._await_prediction(owned, gone_ms, f"{name} left for good by {way.name}")
        self.measured.hand_overs.append((way.name, seen - gone))

    def _await_partitions(self, worker: WorkerProcess) -> set[int]:
        def owned() -> set[int] | None:
            self._mesh.check()
            return worker.assigned() or None

        return await_value(
            owned, lambda: f"partitions for {worker.name}; {self._said()}", BACK_WITHIN_S
        )

    def _await_prediction(self, partitions: set[int], wall_ms: float, what: str) -> float:
        """Return when the first prediction arrived that was written after a moment."""

        def first() -> float | None:
            self._mesh.check()
            seen = [self._arrivals.first_after(number, wall_ms) for number in partitions]
            return min((moment for moment in seen if moment is not None), default=None)

        try:
            return await_value(first, lambda: what, BACK_WITHIN_S, poll_s=0.01)
        except LateError as error:
            msg = f"a prediction in {sorted(partitions)} must follow: {error}; {self._said()}"
            raise LateError(msg) from None

    def _said(self) -> dict[str, str]:
        return {worker.name: worker.said() for worker in self._mesh.up()}

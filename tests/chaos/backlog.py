"""An explainer that was away: how long until it has caught up, and what the learner notices."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.explaining import EXPLAINERS
from chaos.figures import mebibytes
from tidemill.contracts.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.explaining import Scene
    from chaos.figures import Figures

SAMPLE_S = 0.2
# Explained as far as this many seconds of input behind the predictions is caught up.
BEHIND_S = 1.0
# Of input, not yet committed as predicted: what the learner may lag at most while it is fed.
LAG_S = 5.0
MOST_S = 1_800.0
BURST = 0.2  # of the backlog is written at once while it is worked off


class Calm(NamedTuple):
    """What learners did of an input at a rate.

    Attributes:
        lags: Events that were not committed, looked at five times a second.
        cost_us: Processor time of all learners per event.
    """

    lags: list[int]
    events: int
    cost_us: float

    def __str__(self) -> str:
        """Say it in words."""
        ordered = sorted(self.lags)
        ninth = ordered[int(0.95 * (len(ordered) - 1))]
        return (
            f"{median(ordered):.0f} in the median, 95th percentile {ninth}, maximum {ordered[-1]}, "
            f"{self.cost_us:.0f} us of processor time each, {self.events:,} events"
        )


class Backlog(NamedTuple):
    """How large it is, and what is written meanwhile.

    Attributes:
        events: Predicted while nobody explains.
        rate: Events a second while the learner is watched.
        watch_s: For how long it is watched without an explainer, and at least with one.
        lag_s: Of input at that rate, what the learner may lag at most meanwhile.
    """

    events: int
    rate: float
    watch_s: float
    lag_s: float = LAG_S


def work_off(scene: Scene, size: Backlog) -> Figures:
    """Stop the explainers, let a backlog grow, start them, and watch.

    Raises:
        BrokenPromiseError: The learner lagged behind its input while the backlog was worked off.
    """
    scene.await_all()
    scene.explainers.end()
    before = len(scene.explained)
    watched_from = time.monotonic()
    alone = watch(
        scene,
        size.rate,
        lambda: time.monotonic() - watched_from < size.watch_s,
        most=size.events,
    )
    fast_alone = _rate(scene, size.events - (len(scene.predicted) - before))
    backlog = len(scene.predicted) - before
    scene.explainers.start(*EXPLAINERS)
    begun = time.monotonic()
    scene.await_count(scene.explained, before + 1)
    burst = int(BURST * size.events)
    fast_beside = _rate(scene, burst)
    caught_up: list[float] = []

    def is_busy() -> bool:
        if time.monotonic() - begun > MOST_S:
            msg = f"a backlog of {backlog} must be worked off within {MOST_S:g} s"
            raise BrokenPromiseError(msg)
        scene.explainers.check()
        behind = len(scene.predicted) - len(scene.explained)
        if not caught_up and behind <= size.rate * BEHIND_S:
            caught_up.append(time.monotonic())
        return not caught_up

    beside = watch(scene, size.rate, is_busy)
    scene.await_all()
    elapsed_s = (caught_up or [time.monotonic()])[0] - begun
    explained = backlog + burst + beside.events
    check_lag(alone, size.rate, size.lag_s)
    check_lag(beside, size.rate, size.lag_s)
    peaks = [worker.peak_bytes() for worker in scene.explainers.up()]
    return {
        "backlog": f"{backlog:,} predictions made while no explainer ran",
        "explainers started to backlog worked off": f"{elapsed_s:.1f} s with what was written "
        f"meanwhile, {explained / elapsed_s:,.0f} explanations a second by two workers, their "
        "start included",
        "memory of an explainer": f"at most {mebibytes(max(peaks))} resident",
        f"learners at {size.rate:g} events a second, no explainer: events not yet committed": ""
        f"{alone}",
        "the same while the backlog is worked off": f"{beside}",
        "two learners as fast as they can": f"{fast_alone:,.0f} events a second without an "
        f"explainer; {fast_beside:,.0f} over {burst:,} events beside two that work off the "
        "backlog, all of them and the broker on the same processors",
    }


def _rate(scene: Scene, count: int) -> float:
    """Write events at once; return how many a second were predicted."""
    begun = time.monotonic()
    scene.write(count)
    scene.await_count(scene.predicted, scene.written)
    return count / (time.monotonic() - begun)


def watch(
    scene: Scene, rate: float, goes_on: Callable[[], bool], *, most: int | None = None
) -> Calm:
    """Write events at a rate for as long as asked; look at the learners meanwhile."""
    feed = scene.pace(rate, most)
    lags: list[int] = []
    used_s = _processor_s(scene)
    try:
        while not lags or goes_on():
            scene.mesh.check()
            lag = scene.mesh.lag()
            if lag is not None:
                lags.append(lag)
            time.sleep(SAMPLE_S)
    finally:
        feed.stop()
    count = scene.paced(feed)
    scene.await_count(scene.predicted, scene.written)
    return Calm(lags, count, 1e6 * (_processor_s(scene) - used_s) / max(1, count))


def _processor_s(scene: Scene) -> float:
    return sum(worker.processor_s() for worker in scene.mesh.up())


def check_lag(calm: Calm, rate: float, lag_s: float = LAG_S) -> None:
    """Hold that learners kept up with their input.

    Raises:
        BrokenPromiseError: They did not.
    """
    most = max(calm.lags, default=None)
    if most is None or most > lag_s * rate:
        msg = f"{EVENTS}: learners must lag by {lag_s:g} s at most at {rate:g} a second, was {most}"
        raise BrokenPromiseError(msg)

"""River's detectors, and the fastest of their settings that keep a rate of false alarms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from river import drift

from chaos.drift_signals import MOST_ALARMS, RUN_LENGTH
from chaos.drift_streams import PHIS, correlated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SEARCH, CHECK = 1, 2  # seeds beside that of the proof: what is chosen is not tried on the same


class Sample(NamedTuple):
    """Runs and events on which a rate is tried; alarms above it that are still taken for chance."""

    runs: int
    events: int
    noise: float

    @property
    def most(self) -> float:
        """Return the alarms that are allowed."""
        asked = self.runs * self.events / RUN_LENGTH
        return MOST_ALARMS * asked + self.noise * math.sqrt(asked)


class Sizes(NamedTuple):
    """On what settings are looked for, and on what the one chosen for all must keep the rate."""

    search: Sample
    check: Sample


class Peer(NamedTuple):
    """A detector of River.

    Attributes:
        name: Of the class.
        says: A setting in words.
        rungs: The setting that decides how rare alarms are, from many to few.
        shapes: The other settings; each is tried with all rungs.
        make: A detector of a rung and a shape.
    """

    name: str
    says: str
    rungs: Sequence[float]
    shapes: Sequence[tuple[float, ...]]
    make: Callable[..., Any]  # Any: River's
    is_slow: bool = False

    def words(self, rung: float, shape: tuple[float, ...]) -> str:
        """Return a setting in words."""
        return f"{self.name} {self.says.format(rung, *shape)}"


def _powers() -> list[float]:
    """Return powers of ten for chances: doubles go to 1e-307."""
    dense = [2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90]
    return [float(power) for power in (*dense, *range(100, 301, 20))]


def _made(kind: Any, **settings: float) -> Any:  # Any: River's, untyped
    return kind(**settings)


def _adwin(power: float, clock: float, shortest: float, buckets: float) -> Any:  # Any: River's
    return _made(
        drift.ADWIN,
        delta=10.0**-power,
        clock=int(clock),
        min_window_length=int(shortest),
        max_buckets=int(buckets),
    )


def _page_hinkley(threshold: float, delta: float, forgets: float) -> Any:  # Any: River's
    return drift.PageHinkley(
        threshold=threshold, delta=delta, alpha=1.0 - forgets, min_instances=1_000
    )


def _kswin(power: float, window: float, newest: float) -> Any:  # Any: River's
    return drift.KSWIN(alpha=10.0**-power, window_size=int(window), stat_size=int(newest), seed=1)


PEERS = (
    Peer(
        "ADWIN",
        "delta 1e-{:g}, clock {:g}, min_window_length {:g}, max_buckets {:g}",
        _powers(),
        ((32, 5, 5), (1, 5, 5), (32, 1_000, 5)),
        _adwin,
    ),
    Peer(
        "PageHinkley",
        "threshold {:.0f}, delta {:g}, 1 - alpha {:g}",
        [10.0 * 1.2**step for step in range(45)],
        ((0.1, 1e-4), (0.25, 0.0)),
        _page_hinkley,
    ),
    Peer(
        "KSWIN",
        "alpha 1e-{:g}, window_size {:g}, stat_size {:g}",
        (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 17.0, 40.0, 80.0, 120.0, 180.0, 240.0, 300.0),
        ((100, 30), (3_000, 1_000)),
        _kswin,
        is_slow=True,
    ),
)
SIZES = Sizes(Sample(1, 500_000, 1.0), Sample(2, 1_000_000, 1.0))
SLOW_SIZES = Sizes(Sample(1, 6_000, 2.0), Sample(1, 10_000, 2.0))
QUICK_SIZES = Sizes(Sample(1, 100_000, 2.0), Sample(1, 200_000, 2.0))
QUICK_SLOW_SIZES = Sizes(Sample(1, 4_000, 2.0), Sample(1, 6_000, 2.0))


class Chosen(NamedTuple):
    """Of one shape: the rung that is safe at every autocorrelation, and that of each."""

    peer: Peer
    shape: tuple[float, ...]
    safe: float | None
    own: Sequence[float | None]
    alarms: Sequence[int]


def choose(peer: Peer, shape: tuple[float, ...], sizes: Sizes, seed: int) -> Chosen:
    """Return the lowest rungs that keep the rate, looked for on one sample, held on another."""
    own = []
    for phi in PHIS:
        found = _lowest(peer, shape, phi, sample=sizes.search, seed=seed)
        own.append(found)
    places = [len(peer.rungs) if place is None else place for place in own]
    for place in range(max(places), len(peer.rungs)):
        alarms = [
            count(peer, place, shape, phi=phi, sample=sizes.check, seeds=(seed, CHECK))
            for phi in PHIS
        ]
        if max(alarms) <= sizes.check.most:
            return Chosen(peer, shape, peer.rungs[place], _rungs(peer, own), alarms)
    return Chosen(peer, shape, None, _rungs(peer, own), [])


def _rungs(peer: Peer, places: Sequence[int | None]) -> list[float | None]:
    return [None if place is None else peer.rungs[place] for place in places]


def _lowest(
    peer: Peer, shape: tuple[float, ...], phi: float, *, sample: Sample, seed: int
) -> int | None:
    """Return the place of the lowest rung that keeps the rate, by halving; None if none does."""
    low, high = 0, len(peer.rungs)
    while low < high:
        place = (low + high) // 2
        seeds = (seed, SEARCH)
        if count(peer, place, shape, phi=phi, sample=sample, seeds=seeds) <= sample.most:
            high = place
        else:
            low = place + 1
    return low if low < len(peer.rungs) else None


def count(
    peer: Peer,
    place: int,
    shape: tuple[float, ...],
    *,
    phi: float,
    sample: Sample,
    seeds: tuple[int, int],
) -> int:
    """Return the alarms on stationary signals; it stops as soon as there are too many."""
    alarms = 0
    for run in range(sample.runs):
        rng = np.random.default_rng([*seeds, run])
        detector = peer.make(peer.rungs[place], *shape)
        for value in correlated(phi, (1, sample.events), rng)[0].tolist():
            detector.update(value)
            if detector.drift_detected:
                alarms += 1
                if alarms > sample.most:
                    return alarms
    return alarms

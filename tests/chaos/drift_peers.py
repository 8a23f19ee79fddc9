"""River's detectors on the same signals, each at settings that keep the rate."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from river import drift

from chaos.balance import BrokenPromiseError
from chaos.drift_signals import FULL as OURS_FULL
from chaos.drift_signals import MOST_ALARMS, RUN_LENGTH, TOGETHER, delays
from chaos.drift_streams import CHANGES, PHIS, changed, correlated
from chaos.tables import Found, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.figures import Figures


BETTER_AT = (0.5, 0.9)


class Size(NamedTuple):
    """Runs and events on which a setting must keep the rate, signals for delays, all before."""

    runs: int
    events: int
    slow_events: int
    signals: int
    before: int


FULL = Size(4, 1_000_000, 50_000, 60, 50_000)
QUICK = Size(2, 200_000, 3_000, 20, 20_000)


class Peer(NamedTuple):
    """A detector of River and its settings, from the fastest to the slowest."""

    name: str
    says: str
    settings: Sequence[float]
    make: Callable[[float], Any]  # Any: as above
    is_slow: bool = False


def _made(kind: Any, **settings: float) -> Any:  # Any: River's
    return kind(**settings)


PEERS = (
    Peer(
        "ADWIN",
        "delta 1e-{:g}",
        (3, 5, 8, 12, 20, 40, 80, 120, 160, 200, 250),
        lambda power: _made(drift.ADWIN, delta=10.0**-power),
    ),
    Peer(
        "PageHinkley",
        "threshold {:g}",
        (25, 50, 100, 200, 400, 800, 1_500, 3_000, 6_000, 12_000),
        lambda threshold: drift.PageHinkley(threshold=threshold, delta=0.1, min_instances=1_000),
    ),
    Peer(
        "KSWIN",
        "alpha 1e-{:g}",
        (4, 6, 9, 13, 17),
        lambda power: drift.KSWIN(alpha=10.0**-power, window_size=100, stat_size=30, seed=1),
        is_slow=True,
    ),
)


def keeps(peer: Peer, setting: float, phi: float, size: Size, *, seed: int) -> bool:
    """Return whether a setting keeps the rate on a stationary signal."""
    events = size.slow_events if peer.is_slow else size.events
    runs = 1 if peer.is_slow else size.runs
    asked = runs * events / RUN_LENGTH
    most = MOST_ALARMS * asked + 2.0 * math.sqrt(asked)
    alarms = 0
    for run in range(runs):
        values = correlated(phi, (1, events), np.random.default_rng([seed, 1, run]))[0]
        detector = peer.make(setting)
        for value in values.tolist():
            detector.update(value)
            alarms += bool(detector.drift_detected)
            if alarms > most:
                return False
    return True


def fastest(peer: Peer, phi: float, size: Size, seed: int) -> float | None:
    """Return the first setting that keeps the rate; None if there is none."""
    return next((s for s in peer.settings if keeps(peer, s, phi, size, seed=seed)), None)


def peer_delays(peer: Peer, setting: float, phi: float, size: Size, *, seed: int) -> list[float]:
    """Return the median delay of each change."""
    after = 60_000 if phi > 0.95 else 20_000
    count = TOGETHER // 4 if peer.is_slow else size.signals
    before, after = (1_500, 1_500) if peer.is_slow else (size.before, after)
    values = correlated(phi, (count, before + after), np.random.default_rng([seed, 2]))
    medians = []
    for planted in CHANGES:
        later = changed(planted, phi, values, before)
        found = [
            _delay(peer.make(setting), values[n, :before].tolist(), later[n].tolist())
            for n in range(count)
        ]
        medians.append(median(found))
    return medians


def _delay(detector: Any, before: list[float], after: list[float]) -> float:  # Any: River's
    for value in before:
        detector.update(value)
    for number, value in enumerate(after, start=1):
        detector.update(value)
        if detector.drift_detected:
            return float(number)
    return math.inf


def prove_beside(size: Size, seed: int, say: Callable[[str], None]) -> Found:
    """Compare the delays with those of River's detectors.

    Raises:
        BrokenPromiseError: A peer with one setting for all is faster somewhere at .5 or .9.
    """
    tuned = {}
    for peer in PEERS:
        tuned[peer.name] = [fastest(peer, phi, size, seed) for phi in PHIS]
        say(f"{peer.name}: {tuned[peer.name]}")
    tables = []
    for phi in PHIS:
        ours = [median(d.events) for d in delays(phi, _ours(size), seed, size.before)]
        columns = {"this": ours}
        for peer in PEERS:
            columns |= _columns(peer, tuned[peer.name], phi, size, seed=seed)
        say(f"autocorrelation {phi}: {columns}")
        _check(phi, ours, columns)
        tables.append(_table(phi, columns))
    figures: Figures = {
        "rate": f"one false alarm in {RUN_LENGTH:,.0f} events, tried on {size.runs} runs of "
        f"{size.events:,} events (KSWIN, which is slow: 1 of {size.slow_events:,})",
        "delays": f"median of {size.signals} signals, changed after {size.before:,} events (KSWIN: "
        f"{TOGETHER // 4}, after 1,500, and none later than 1,500)",
    }
    return Found(figures, tables)


def _ours(size: Size) -> Any:  # Any: the other proof's Size
    return OURS_FULL._replace(delays=max(size.signals, TOGETHER))


def _columns(
    peer: Peer, settings: Sequence[float | None], phi: float, size: Size, *, seed: int
) -> dict[str, list[float]]:
    """Return the delays of the setting that is safe everywhere, and of the one safe here."""
    known = [setting for setting in settings if setting is not None]
    safe = max(known, key=peer.settings.index) if len(known) == len(settings) else None
    own = settings[PHIS.index(phi)]
    found = {}
    for kind, setting in (("one setting", safe), ("tuned here", own)):
        if setting is None:
            found[f"{peer.name}, {kind}: none keeps the rate"] = [math.inf] * len(CHANGES)
        else:
            name = f"{peer.name}, {kind}: {peer.says.format(setting)}"
            found[name] = peer_delays(peer, setting, phi, size, seed=seed)
    return found


def _check(phi: float, ours: Sequence[float], columns: dict[str, list[float]]) -> None:
    if phi not in BETTER_AT:
        return
    for name, theirs in columns.items():
        if "one setting" not in name:
            continue
        for planted, own, other in zip(CHANGES, ours, theirs, strict=True):
            if own >= other:
                msg = f"{planted.name} at {phi}: must be found before {name}, {own} and {other}"
                raise BrokenPromiseError(msg)


def _table(phi: float, columns: dict[str, list[float]]) -> Table:
    rows = [
        [name, *("never" if math.isinf(value) else f"{value:.0f}" for value in found)]
        for name, found in columns.items()
    ]
    head = ("detector", *(planted.name for planted in CHANGES))
    return Table(f"Median delays at autocorrelation {phi:g}:", head, rows)

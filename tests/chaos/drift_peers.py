"""River's detectors on the same signals, each at settings that keep the rate."""

from __future__ import annotations

import copy
import math
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chaos.balance import BrokenPromiseError
from chaos.drift_peer_rates import (
    PEERS,
    QUICK_SIZES,
    QUICK_SLOW_SIZES,
    SIZES,
    SLOW_SIZES,
    Sizes,
    choose,
)
from chaos.drift_signals import FULL as OURS_FULL
from chaos.drift_signals import RUN_LENGTH, delays
from chaos.drift_streams import CHANGES, PHIS, changed, correlated
from chaos.tables import Found, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.drift_peer_rates import Chosen, Sample
    from chaos.drift_streams import Floats
    from chaos.figures import Figures

BETTER_AT = (0.5, 0.9)
DELAYS = 3  # a seed beside that of the proof


class Size(NamedTuple):
    """Samples for the rate, signals for delays, events before a change, and where one gives up."""

    rates: Sizes
    slow_rates: Sizes
    signals: int
    slow_signals: int
    before: int
    longest: dict[float, int]


FULL = Size(SIZES, SLOW_SIZES, 20, 3, 30_000, {0.99: 60_000})
QUICK = Size(QUICK_SIZES, QUICK_SLOW_SIZES, 10, 1, 10_000, {0.99: 20_000})
_LONGEST, _LONGEST_SLOW_AT_99 = 20_000, 500


class Row(NamedTuple):
    """Median delays of one setting; `is_safe` at every autocorrelation, or just at this one."""

    name: str
    is_safe: bool
    medians: list[float]


def peer_medians(
    make: Callable[[], Any],  # Any: River's detector
    phi: float,
    values: Floats,
    before: int,
    *,
    most: Sequence[float],
) -> list[float]:
    """Return the median delay of each change, inf for one longer than `most`."""
    ready = [_fed(make(), row[:before].tolist()) for row in values]
    medians = []
    for planted, longest in zip(CHANGES, most, strict=True):
        later = changed(planted, phi, values, before)[:, : int(longest)]
        found = [
            _delay(copy.deepcopy(detector), row.tolist())
            for detector, row in zip(ready, later, strict=True)
        ]
        medians.append(median(found))
    return medians


def _fed(detector: Any, values: list[float]) -> Any:  # Any: River's
    for value in values:
        detector.update(value)
    return detector


def _delay(detector: Any, values: list[float]) -> float:  # Any: River's
    for number, value in enumerate(values, start=1):
        detector.update(value)
        if detector.drift_detected:
            return float(number)
    return math.inf


def prove_beside(size: Size, seed: int, say: Callable[[str], None]) -> Found:
    """Compare the delays with those of River's detectors.

    Raises:
        BrokenPromiseError: A peer with one setting for all is as fast somewhere at .5 or .9.
    """
    chosen = []
    for peer in PEERS:
        for shape in peer.shapes:
            sizes = size.slow_rates if peer.is_slow else size.rates
            chosen.append(choose(peer, shape, sizes, seed))
            say(f"{peer.name} {shape}: {chosen[-1].own}, {chosen[-1].safe} {chosen[-1].alarms}")
    tables = []
    for phi in PHIS:
        ours = [median(d.events) for d in delays(phi, _ours(size), seed, size.before)]
        rows = _rows(chosen, phi, ours, size, seed=seed)
        say(f"autocorrelation {phi}: {ours}, {rows}")
        _check(phi, ours, rows)
        tables.append(_table(phi, ours, rows))
    return Found(_figures(size), [_safe_table(chosen, size), *tables])


def _rows(
    chosen: Sequence[Chosen], phi: float, ours: Sequence[float], size: Size, *, seed: int
) -> list[Row]:
    rows: list[Row] = []
    longest = size.longest.get(phi, _LONGEST)
    for peer, shape, safe, own, _ in chosen:
        before = int(shape[0]) if peer.is_slow else size.before
        most = [float(longest)] * len(CHANGES)
        if peer.is_slow:
            slowest = math.inf if phi in BETTER_AT else _LONGEST_SLOW_AT_99
            most = [min(max(delay, 100.0), slowest) for delay in ours]
        signals = size.slow_signals if peer.is_slow else size.signals
        shown = (signals, before + int(max(most)))
        values = correlated(phi, shown, np.random.default_rng([seed, DELAYS]))
        for is_safe, rung in ((True, safe), (False, own[PHIS.index(phi)])):
            name = peer.words(rung, shape) if rung else f"{peer.name} {shape}: none keeps the rate"
            medians = [math.inf] * len(CHANGES)
            if rung and not (not is_safe and rung == safe):
                make = _maker(peer.make, rung, shape)
                medians = peer_medians(make, phi, values, before, most=most)
            elif rung:
                medians = rows[-1].medians
            rows.append(Row(name, is_safe, medians))
    return rows


def _ours(size: Size) -> Any:  # Any: the other proof's Size
    return OURS_FULL._replace(delays=5 * size.signals)


def _maker(
    make: Callable[..., Any],  # Any: River's detector
    rung: float,
    shape: tuple[float, ...],
) -> Callable[[], Any]:  # Any: as above
    return lambda: make(rung, *shape)


def _check(phi: float, ours: Sequence[float], rows: Sequence[Row]) -> None:
    if phi not in BETTER_AT:
        return
    for name, is_safe, theirs in rows:
        for planted, own, other in zip(CHANGES, ours, theirs, strict=True):
            if is_safe and own >= other:
                msg = f"{planted.name} at {phi}: must be found before {name}, {own} and {other}"
                raise BrokenPromiseError(msg)


def _table(phi: float, ours: Sequence[float], rows: Sequence[Row]) -> Table:
    shown = [["this", "one setting", *_cells(ours)]]
    for name, is_safe, theirs in rows:
        shown.append([name, "one setting" if is_safe else "tuned here", *_cells(theirs)])
    head = ("detector", "", *(planted.name for planted in CHANGES))
    return Table(f"Median delays at autocorrelation {phi:g} (-: not in time):", head, shown)


def _cells(medians: Sequence[float]) -> list[str]:
    return ["-" if math.isinf(value) else f"{value:.0f}" for value in medians]


def _safe_table(chosen: Sequence[Chosen], size: Size) -> Table:
    rows = []
    for peer, shape, safe, _, alarms in chosen:
        sample = (size.slow_rates if peer.is_slow else size.rates).check
        name = peer.words(safe, shape) if safe else f"{peer.name} {shape}: none keeps the rate"
        tried = f"{sample.runs} x {sample.events:,}"
        rows.append([name, tried, f"{sample.most:.0f}", *(str(alarms) for alarms in alarms)])
    head = ("one setting", "tried on", "allowed", *(f"alarms at {phi:g}" for phi in PHIS))
    about = (
        f"Of each form of a detector the setting that is fastest while it keeps the rate, one "
        f"alarm in {RUN_LENGTH:,.0f} events, at every autocorrelation:"
    )
    return Table(about, head, rows)


def _figures(size: Size) -> Figures:
    return {
        "settings": f"looked for on {_words(size.rates.search)} (KSWIN, which is slow: "
        f"{_words(size.slow_rates.search)}), then held on others; "
        "KSWIN's are too few to hold it to the rate: its settings are too loose, in its favour, "
        "and some of what it finds is false",
        "delays": f"median of {size.signals} signals, changed after {size.before:,} events, "
        f"followed for {_LONGEST:,} ({size.longest[0.99]:,} at .99); KSWIN: {size.slow_signals}, "
        f"changed after one window, followed until this has found the change (at 0 and .99: not "
        f"beyond {_LONGEST_SLOW_AT_99:,}); this: {_ours(size).delays}, after as many",
    }


def _words(sample: Sample) -> str:
    return (
        f"{sample.runs} runs of {sample.events:,} events at each autocorrelation, "
        f"at most {sample.most:.0f} alarms"
    )

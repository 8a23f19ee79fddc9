"""False alarms, delays and costs of the detectors of single signals."""

from __future__ import annotations

import math
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chaos.balance import BrokenPromiseError
from chaos.drift_streams import CHANGES, OUTLIER, PHIS, ROBUST, changed, correlated
from chaos.tables import Found, Table
from tidemill.detection import layout as at
from tidemill.detection.changes import Change, Channel, Status
from tidemill.detection.signals import SHARES, Signals, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.drift_streams import Draw, Floats, Planted
    from chaos.figures import Figures

RUN_LENGTH = 100_000.0
MOST_ALARMS, MOST_ROBUST = 1.12, 2.0  # of those asked
SLOWEST = 1.15  # of the prototype's median
TOGETHER = 20  # signals that are watched at once
AT_ZERO = 3  # times as many signals for delays


class Size(NamedTuple):
    """How much is drawn.

    Attributes:
        runs: Stationary signals of each kind.
        events: Of each of them.
        delays: Signals for delays, so many times as many at autocorrelation 0: medians are a
            handful of events there, and whole numbers.
        noise: What counts of alarms may exceed, in standard errors.
        slack: What delays may exceed.
    """

    runs: int
    events: int
    delays: int
    noise: float
    slack: float


FULL = Size(20, 1_000_000, 400, 0.0, 1.0)
QUICK = Size(20, 100_000, 60, 3.0, 1.25)


class Counted(NamedTuple):
    """Alarms of some runs."""

    runs: list[int]
    channels: dict[Channel, int]
    watched: float


def _opened(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.status is Status.OPEN]


def count(draw: Draw, size: Size, seed: int) -> Counted:
    """Return the alarms on stationary signals: all of them are false."""
    runs, channels, watched = [], dict.fromkeys(Channel, 0), 0.0
    for run in range(size.runs):
        signals = Signals([Watch(RUN_LENGTH)])
        values = draw(size.events, np.random.default_rng([seed, run]))
        opened = _opened(signals.update(values[None], np.arange(float(size.events))))
        runs.append(len(opened))
        for change in opened:
            channels[change.channel] += 1
        watched += float(signals.rows[0, at.LEVEL + at.WATCHED]) / size.events
    return Counted(runs, channels, watched / size.runs)


def _alarm_row(name: str, found: Counted) -> list[str]:
    return [
        name,
        str(sum(found.runs)),
        str(found.channels[Channel.LEVEL]),
        str(found.channels[Channel.SPREAD]),
        f"{min(found.runs)} - {max(found.runs)}",
        f"{found.watched:.0%}",
    ]


def _check_alarms(name: str, alarms: int, most: float, size: Size, *, share: float = 1.0) -> None:
    asked = share * size.runs * size.events / RUN_LENGTH
    limit = most * asked + size.noise * math.sqrt(most * asked)
    if alarms > limit:
        msg = f"{name}: at most {limit:.0f} false alarms where {asked:.0f} are asked, was {alarms}"
        raise BrokenPromiseError(msg)


def alarm_tables(size: Size, seed: int, say: Callable[[str], None]) -> list[Table]:
    """Return the false alarms, by autocorrelation and of signals that are not normal."""
    head = ("signal", "alarms", "level first", "spread first", "of one run", "watched")
    plain, robust = [], []
    for phi in PHIS:
        found = count(_ar(phi), size, seed)
        say(f"autocorrelation {phi}: {sum(found.runs)} alarms")
        _check_alarms(f"autocorrelation {phi}", sum(found.runs), MOST_ALARMS, size)
        plain.append(_alarm_row(f"autocorrelation {phi:g}", found))
    for name, draw in ROBUST.items():
        found = count(draw, size, seed)
        say(f"{name}: {sum(found.runs)} alarms, level {found.channels[Channel.LEVEL]}")
        level = found.channels[Channel.LEVEL]
        _check_alarms(name, level, MOST_ROBUST, size, share=SHARES[Channel.LEVEL])
        robust.append(_alarm_row(name, found))
    asked = size.runs * size.events / RUN_LENGTH
    of_level = SHARES[Channel.LEVEL] * asked
    drawn = (
        f"{size.runs} runs of {size.events:,} events, {asked:.0f} alarms asked in each row, "
        f"{of_level:.0f} of them of the level"
    )
    return [
        Table(f"False alarms, {drawn}:", head, plain),
        Table(
            "The same where values are not normal; the level must keep twice the rate, what the "
            "spread reaches is reported:",
            head,
            robust,
        ),
    ]


def _ar(phi: float) -> Draw:
    return lambda events, rng: correlated(phi, (1, events), rng)[0]


class Delay(NamedTuple):
    """Of one change: events to the alarm, inf for never; error of where it began."""

    events: list[float]
    errors: list[float]

    def median_row(self) -> str:
        """Return the median delay and the median error of the start."""
        return f"{median(self.events):.0f} ({median(self.errors):.0f})"


def delays(phi: float, size: Size, seed: int, before: int) -> list[Delay]:
    """Return the delays of each change, planted in signals that were calm until then."""
    after = 60_000 if phi > 0.95 else 20_000
    found = [Delay([], []) for _ in CHANGES]
    for group in range(size.delays * (1 if phi else AT_ZERO) // TOGETHER):
        rng = np.random.default_rng([seed, group])
        values = correlated(phi, (TOGETHER, before + after), rng)
        signals = Signals([Watch(RUN_LENGTH)] * TOGETHER)
        signals.update(values[:, :before], np.arange(float(before)))
        calm = [n for n in range(TOGETHER) if not signals.standing(n).out]
        state = signals.state()
        for planted, delay in zip(CHANGES, found, strict=True):
            later = Signals.from_state(state)
            _find(later, changed(planted, phi, values, before), calm, delay)
    return found


def _find(signals: Signals, values: Floats, calm: Sequence[int], delay: Delay) -> None:
    """Add the delays of the signals that were calm; stamps count from the change on."""
    first: dict[int, Change] = {}
    begun = len(calm) and signals.standing(0).events
    stamps = np.arange(float(begun), float(begun + values.shape[1]))
    for change in _opened(signals.update(values, stamps)):
        first.setdefault(change.signal, change)
    for signal in calm:
        is_found = signal in first
        delay.events.append(first[signal].event + 1.0 if is_found else math.inf)
        delay.errors.append(abs(first[signal].started + 1.0 - begun) if is_found else math.inf)


def delay_table(size: Size, seed: int, before: int, say: Callable[[str], None]) -> Table:
    """Return the median delays beside the prototype's; a change must be found and begin in time."""
    by_phi = []
    for phi in PHIS:
        by_phi.append(delays(phi, size, seed, before))
        say(f"autocorrelation {phi}: {', '.join(d.median_row() for d in by_phi[-1])}")
    rows, missed = [], []
    for number, planted in enumerate(CHANGES):
        cells = []
        for place, phi in enumerate(PHIS):
            found = by_phi[place][number]
            missed += _late_delay(planted, place, found, size)
            cells.append(f"{found.median_row()} / {planted.medians[place]}")
            missed += _late_start(planted, phi, found, size)
        rows.append([planted.name, *cells])
    if missed:
        raise BrokenPromiseError("; ".join(missed))
    about = (
        f"Median events to the alarm (median error of where it began) / the prototype's median, "
        f"{size.delays} signals ({AT_ZERO * size.delays} at 0), changed after {before:,} events:"
    )
    return Table(about, ("change", *(f"at {phi:g}" for phi in PHIS)), rows)


def _late_delay(planted: Planted, place: int, found: Delay, size: Size) -> list[str]:
    most = SLOWEST * size.slack * planted.medians[place]
    if median(found.events) <= most:
        return []
    return [
        f"{planted.name} at {PHIS[place]}: must be found within {most:.1f} events in the median, "
        f"was {median(found.events)}"
    ]


def _late_start(planted: Planted, phi: float, found: Delay, size: Size) -> list[str]:
    """A sudden shift of 1 sd and more begins within two blocks, or 2 tau / delta^2."""
    if planted.is_gradual or planted.size < 1.0:
        return []
    tau = (1.0 + phi) / (1.0 - phi)
    most = size.slack * max(2.0 * max(1.0, tau / 4.0), 2.0 * tau / planted.size**2)
    if median(found.errors) <= most:
        return []
    return [f"{planted.name} at {phi}: must begin within {most:.0f}, was {median(found.errors)}"]


def outliers(size: Size, seed: int) -> int:
    """Return how many signals had one outlier each; none of them may open an episode.

    What opens with the value as it was, or with none in its place, is a false alarm like others.

    Raises:
        BrokenPromiseError: One did.
    """
    tried = 0
    for number, phi in enumerate(PHIS):
        rng = np.random.default_rng([seed, number])
        values = correlated(phi, (size.delays, 40_000), rng)
        without, drawn = _late(values), values[:, 39_900].copy()
        values[:, 39_900] = np.nan
        without |= _late(values)
        values[:, 39_900] = drawn + OUTLIER * rng.choice([-1.0, 1.0], size.delays)
        opened = _late(values) - without
        if opened:
            msg = f"no single outlier may open an episode, at {phi} {len(opened)} did"
            raise BrokenPromiseError(msg)
        tried += size.delays
    return tried


def _late(values: Floats) -> set[int]:
    signals = Signals([Watch(RUN_LENGTH)] * len(values))
    changes = _opened(signals.update(values, np.arange(float(values.shape[1]))))
    return {change.signal for change in changes if change.event >= 39_900}


def costs(seed: int) -> Figures:
    """Return processor time per signal and event, and bytes per signal."""
    sensors, events = 500, 20_000
    values = correlated(0.9, (sensors, events), np.random.default_rng(seed))
    signals = Signals([Watch(RUN_LENGTH * sensors)] * sensors)
    stamps = np.arange(float(events))
    signals.update(values[:, :10_000], stamps[:10_000])
    found: Figures = {}
    for batch in (5, 100):
        begun = time.process_time()
        for start in range(10_000, 15_000, batch):
            part = slice(start, start + batch)
            signals.update(np.ascontiguousarray(values[:, part]), stamps[part])
        each = (time.process_time() - begun) / (sensors * 5_000) * 1e6
        found[f"time, batches of {batch}"] = (
            f"{each:.2f} us per signal and event, all channels; 500 sensors at 100 events/s: "
            f"{each * 5:.1f} % of a processor"
        )
    found["memory"] = f"{signals.rows.nbytes // sensors:,} bytes per signal"
    found["state"] = f"{len(signals.state()) // sensors:,} bytes per signal after 20,000 events"
    return found


def prove_signals(size: Size, seed: int, say: Callable[[str], None]) -> Found:
    """Measure false alarms, delays, starts, outliers and costs.

    Raises:
        BrokenPromiseError: One of them is not what is promised.
    """
    tables = alarm_tables(size, seed, say)
    tables.append(delay_table(size, seed, 100_000, say))
    figures: Figures = {
        "run length asked": f"{RUN_LENGTH:,.0f} events per signal, all of its channels together",
        "single outliers": f"{outliers(size, seed)} of {OUTLIER:g} sd, one in each signal: none "
        "opens an episode",
        **costs(seed),
    }
    return Found(figures, tables)

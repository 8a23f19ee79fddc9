"""Many signals watched at once: what they are given, and what is said of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection import judging, learning
from tidemill.detection import layout as at
from tidemill.detection.changes import Change, Channel, Moments, Status
from tidemill.detection.promises import achieved
from tidemill.detection.saving import restored, saved
from tidemill.detection.stepping import advance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from tidemill.detection.learning import Row

_NAMES = {
    at.LEVEL: Channel.LEVEL,
    at.SPREAD: Channel.SPREAD,
    at.MISSING: Channel.MISSING,
    at.STUCK: Channel.STUCK,
}
_RATES = (at.MISSING, at.STUCK)
# Shares of the false alarms of a signal.
SHARES = {Channel.LEVEL: 0.53, Channel.SPREAD: 0.45, Channel.MISSING: 0.01, Channel.STUCK: 0.01}


@dataclass(frozen=True, slots=True)
class Watch:
    """How one signal is watched.

    Attributes:
        run_length: Events of the signal between two false alarms, on average, all channels
            together.
        channels: What is looked at.
        upward: Only a rising level is a change (errors).
        is_leaving_told: Whether it is a change when a signal leaves the only value it ever had: of
            a sensor it is, of a model that has not learned yet it is not.
    """

    run_length: float
    channels: tuple[Channel, ...] = tuple(Channel)
    upward: bool = False
    is_leaving_told: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a signal.

    Attributes:
        events: Since the reference began.
        is_watched: Whether alarms are possible; before, the reference is learned.
        is_stationary: Whether anything is promised of its level.
        out: Channels that have left their reference.
        reference: Number, mean and sd of the values, in their unit.
        tau: Values that say as much as one independent one; NaN while it is not known.
        autocorrelation: At lag 1; NaN while it is not known.
        nu: Degrees of freedom of the long-run variance of the level.
        run_length: Asked.
        achieved: By what its own past says; None where it says nothing yet.
    """

    events: int
    is_watched: bool
    is_stationary: bool
    out: tuple[Channel, ...]
    reference: Moments
    tau: float
    autocorrelation: float
    nu: float
    run_length: float
    achieved: float | None


class Signals:
    """Signals of one asset, or any others that come together event by event.

    Args:
        watches: How each is watched; the order is that of the values.
    """

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.rows = np.zeros((len(watches), at.WIDTH))
        for row, watch in zip(self.rows, watches, strict=True):
            _ask(row, watch)
            learning.fresh(row)

    def update(self, values: ArrayLike, stamps: ArrayLike) -> list[Change]:
        """Take events in; return what they changed, in the order of events, then of signals.

        Args:
            values: One row for each signal, one column for each event; NaN for a missing one.
            stamps: Of the events: any number that names them, such as micros; kept as doubles.
        """
        given = np.ascontiguousarray(values, dtype=np.float64)
        marks = np.ascontiguousarray(stamps, dtype=np.float64)
        if given.shape != (len(self.rows), len(marks)):
            msg = f"values must be {len(self.rows)} rows of {len(marks)}, were {given.shape}"
            raise ValueError(msg)
        reached = np.zeros(len(self.rows), dtype=np.intp)
        changes: list[Change] = []
        while advance(self.rows, given, marks, reached):
            for signal in np.flatnonzero(self.rows[:, at.WOKE]).tolist():
                changes += self._woken(signal, int(reached[signal]) - 1)
        changes.sort(key=lambda change: (change.event, change.signal))
        return changes

    def renew(self, signals: Iterable[int]) -> None:
        """Forget the references of some signals, and their episodes; learn them anew."""
        for signal in signals:
            learning.fresh(self.rows[signal])

    def state(self) -> bytes:
        """Return all that is known, as bytes; equal for equal pasts, however they were cut."""
        return saved(self.rows)

    @classmethod
    def from_state(cls, state: bytes) -> Signals:
        """Return signals that go on where those of `state` stood.

        Raises:
            ValueError: The bytes are not those of signals.
        """
        found = cls(())
        found.rows = restored(state)
        return found

    def standing(self, signal: int) -> Standing:
        """Return what is known of a signal."""
        row = self.rows[signal]
        level = row[at.LEVEL :]
        is_known = bool(level[at.NU])
        return Standing(
            events=int(row[at.EVENTS]),
            is_watched=bool(_are_watched(row)),
            is_stationary=not level[at.UNSTEADY],
            out=tuple(_NAMES[c] for c in at.CHANNELS if row[c + at.OUT]),
            reference=_reference(row),
            tau=float(level[at.TAU]) if is_known else math.nan,
            autocorrelation=float(level[at.LAG]) if is_known else math.nan,
            nu=float(level[at.NU]),
            run_length=float(row[at.RUN_LENGTH]),
            achieved=achieved(row),
        )

    def unwatched(self) -> int:
        """Return how many signals have neither level nor spread watched."""
        return len(self.rows) - int(np.count_nonzero(_are_watched(self.rows)))

    def _woken(self, signal: int, event: int) -> list[Change]:
        row = self.rows[signal]
        woke = int(row[at.WOKE])
        row[at.WOKE] = 0.0
        found = []
        for bit, c in enumerate(at.CHANNELS):
            if woke >> bit & 1:
                change = self._turned(signal, event, c)
                found += [change] if change else []
        if woke & at.FIT:
            for c, unsteady in learning.renew_estimates(row):
                status = Status.NOT_STATIONARY if unsteady else Status.STATIONARY
                found.append(_steadiness(row, signal, event, channel=c, status=status))
        return found

    def _turned(self, signal: int, event: int, c: int) -> Change | None:
        row = self.rows[signal]
        channel = row[c:]
        is_still = judging.is_still(row, c)
        is_rate = is_still or c in _RATES
        if channel[at.OUT]:
            back = judging.STANDS_AGAIN if is_still else judging.BACK
            if not judging.is_back(channel, is_rate=is_rate, back=back):
                return None
            change = _change(row, signal, event, channel=c, status=Status.CLOSED)
            if is_still:
                # From now on it does so now and then.
                learning.come_together(channel, channel[at.S] - channel[at.OUT_S])
            judging.come_back(channel, float(row[at.STAMP]))
            return None if _is_out(row) else change
        if not is_rate and judging.evidence(channel) <= channel[at.LIMIT]:
            return None
        is_first = not _is_out(row)
        judging.leave(channel, is_rate=is_rate)
        if not is_first:
            return None
        return _change(row, signal, event, channel=c, status=Status.OPEN)


def _ask(row: Row, watch: Watch) -> None:
    asked = [SHARES[channel] for channel in watch.channels]
    row[at.RUN_LENGTH] = watch.run_length
    row[at.TOLD] = float(watch.is_leaving_told)
    for c, name in _NAMES.items():
        share = SHARES[name] / sum(asked) if name in watch.channels else 0.0
        row[c + at.LENGTH] = watch.run_length / share if share else math.inf
        is_upward = name in {Channel.MISSING, Channel.STUCK} or (
            watch.upward and name is Channel.LEVEL
        )
        row[c + at.SIDES] = 1.0 if is_upward else 3.0


def _are_watched(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return of each row whether alarms of level or spread are possible."""
    level, spread = rows[..., at.LEVEL + at.LIMIT], rows[..., at.SPREAD + at.LIMIT]
    return np.minimum(level, spread) < math.inf


def _is_out(row: Row) -> bool:
    return any(row[c + at.OUT] for c in at.CHANNELS)


def _reference(row: Row) -> Moments:
    level = row[at.LEVEL :]
    if level[at.OUT]:
        return judging.moments(row, at.LEVEL, *judging.spans(level))[0]
    if not level[at.N]:
        return judging.NOTHING
    whole = judging.Span(level[at.N], level[at.S], level[at.X])
    return judging.moments(row, at.LEVEL, whole, whole)[0]


def _change(row: Row, signal: int, event: int, *, channel: int, status: Status) -> Change:
    c = row[channel:]
    before, after = judging.spans(c)
    first, second = judging.moments(row, channel, before, after)
    return Change(
        signal=signal,
        event=event,
        status=status,
        channel=_NAMES[channel],
        started=float(c[at.OUT_SINCE]),
        before=first,
        after=second,
        effect=_effect(row, channel),
        statistic=float(c[at.STAT]),
        tau=float(c[at.TAU]),
        autocorrelation=float(c[at.LAG]),
        run_length=float(row[at.RUN_LENGTH]),
        achieved=achieved(row),
    )


def _effect(row: Row, channel: int) -> float:
    before, after = judging.spans(row[channel:])
    is_still = judging.is_still(row, channel)
    found = judging.effect(row[channel:], before, after, is_rate=is_still or channel in _RATES)
    return math.copysign(found, after.x) if is_still else found


def _steadiness(row: Row, signal: int, event: int, *, channel: int, status: Status) -> Change:
    c = row[channel:]
    return Change(
        signal=signal,
        event=event,
        status=status,
        channel=_NAMES[channel],
        started=math.nan,
        before=_reference(row),
        after=judging.NOTHING,
        effect=0.0,
        statistic=0.0,
        tau=float(c[at.TAU]),
        autocorrelation=float(c[at.LAG]),
        run_length=float(row[at.RUN_LENGTH]),
        achieved=None,
    )

"""What is said of a signal: its episodes, and whether anything is promised for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Channel(StrEnum):
    """What is looked at in a signal."""

    LEVEL = "level"
    SPREAD = "spread"
    MISSING = "missing"
    STUCK = "stuck"


class Status(StrEnum):
    """What became of a signal."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    NOT_STATIONARY = "NOT_STATIONARY"
    STATIONARY = "STATIONARY"


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean and standard deviation of values; in the unit of the signal, or of a share."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Change:
    """One change of status.

    Attributes:
        signal: Its number.
        event: The event within those given that brought it.
        status: OPEN: the first channel of the signal has left its reference; CLOSED: the last one
            is back; NOT_STATIONARY: from here on nothing is promised of this channel; STATIONARY:
            it is again.
        channel: Which one brought it.
        started: Stamp of the last event before the change; NaN where there is none to name.
        before: The reference.
        after: Since `started`; of the last window for CLOSED.
        effect: From before to after, in standard deviations of what the channel looks at.
        statistic: Evidence; half the squared number of standard errors.
        tau: Values that say as much as one independent one.
        autocorrelation: At lag 1.
        run_length: What was promised of the whole signal, events.
        achieved: What the channel's own past says of its run length; None where it says nothing.
    """

    signal: int
    event: int
    status: Status
    channel: Channel
    started: float
    before: Moments
    after: Moments
    effect: float
    statistic: float
    tau: float
    autocorrelation: float
    run_length: float
    achieved: float | None

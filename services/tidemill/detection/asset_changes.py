"""What the check of an asset says: changes of status, and which sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Status = Literal["LEARNING", "CALM", "OPEN", "NOT_STATIONARY"]


class Ranked(NamedTuple):
    """A sensor inside an episode.

    Attributes:
        sensor: Its number.
        evidence: How far off it is given all others, in standard deviations of what was remembered.
        effect: Its level of late less that of the reference, in standard deviations.
    """

    sensor: int
    evidence: float
    effect: float


class Change(NamedTuple):
    """A change of status.

    Attributes:
        status: What it is from this event on.
        event: Number of the event, from 0.
        started: Of an episode: the first event after the statistic was last as in the reference.
        statistic: Of an episode: what was over its limit most: `together`, `alone`, `spread`.
        memory: Of an episode: weight of the newest event in that statistic.
        excess: Of an episode: that statistic, where 0 is its level in the reference and 1 its
            limit. Of a reference just learned: the share of its second half that is over limits of
            its first.
        ranked: Of an episode: all sensors that say something, most evidence first.
        silent: Of a reference just learned: sensors that are not watched, as they say nothing or
            as the reference does not hold for their block.
    """

    status: Status
    event: int
    started: int | None = None
    statistic: str | None = None
    memory: float | None = None
    excess: float | None = None
    ranked: tuple[Ranked, ...] = ()
    silent: tuple[int, ...] = ()


class Observed(NamedTuple):
    """What became of some events.

    Attributes:
        changes: Changes of status, in order.
        over: (n,) whether any statistic was over its limit at the event.
    """

    changes: list[Change]
    over: NDArray[np.bool_]

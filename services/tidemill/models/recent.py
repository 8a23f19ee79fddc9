"""What is remembered of one asset beside its models: the recent past that events are judged by."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

BEFORE_ALL_US = -(1 << 62)


class Waiting(NamedTuple):
    """A case that waits for a later reading: when it was, what models saw of it, what one said."""

    number: int
    time_us: int
    x: dict[str, Any]  # Any: numbers and, for nominal features, strings
    stored: tuple[Any, ...] | None = None  # Any: plain values


class Run(NamedTuple):
    """Readings of one sensor: the last, how many equal ones in a row, number and mean of all."""

    value: float
    length: int
    readings: int
    mean: float


class Windows(Protocol):
    """What derived features keep."""

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that it can be made of again."""


@dataclass(slots=True)
class Recent:
    """The recent past of one asset, made of events without a fault alone; bounded.

    Attributes:
        count: Events remembered since the beginning.
        newest_us: Latest event time.
        watermark_us: Second latest event time: one clock that runs ahead moves nothing.
        ids: Event ids, oldest first.
        readings: Last reading of every feature, by name.
        runs: Of the sensors that may be stuck.
        moments_us: When the readings were taken whose rate of change is limited.
        waiting: Cases whose label is a later reading, oldest first.
        windows: Readings that derived features are made of, by feature.
    """

    count: int = 0
    newest_us: int = BEFORE_ALL_US
    watermark_us: int = BEFORE_ALL_US
    ids: dict[str, None] = field(default_factory=dict)
    readings: dict[str, Any] = field(default_factory=dict)  # Any: as in Waiting
    runs: dict[str, Run] = field(default_factory=dict)
    moments_us: dict[str, int] = field(default_factory=dict)
    waiting: deque[Waiting] = field(default_factory=deque)
    windows: Windows | tuple[Any, ...] = ()  # Any: plain values, until they are asked for

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that `load` makes the same of."""
        return (
            self.count,
            self.newest_us,
            self.watermark_us,
            tuple(self.ids),
            self.readings,
            [(name, *run) for name, run in self.runs.items()],
            self.moments_us,
            [tuple(case) for case in self.waiting],
            self.windows if isinstance(self.windows, tuple) else self.windows.dump(),
        )

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Recent:  # Any: as above
        """Return what was dumped."""
        count, newest_us, watermark_us, ids, readings, runs, moments_us, waiting, windows = dumped
        return cls(
            count,
            newest_us,
            watermark_us,
            dict.fromkeys(ids),
            dict(readings),
            {name: Run(*run) for name, *run in runs},
            dict(moments_us),
            deque(Waiting(*case) for case in waiting),
            windows,
        )

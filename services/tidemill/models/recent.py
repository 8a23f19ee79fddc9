"""What is remembered of one asset beside its models: the recent past that events are judged by."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

BEFORE_ALL_US = -(1 << 62)


class Waiting(NamedTuple):
    """A case that waits for a later reading: when it was, what models saw of it, what one said.

    `event_id` and `version` are those of the prediction.
    """

    number: int
    time_us: int
    x: dict[str, Any]  # Any: numbers and, for nominal features, strings
    stored: tuple[Any, ...] | None = None  # Any: plain values
    event_id: str = ""
    version: int = 0


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
        cases: The last few cases, oldest first: what changes of a model are measured by.
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
    cases: deque[dict[str, Any]] = field(default_factory=deque)  # Any: as in Waiting

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
            _rows(self.cases),
        )

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Recent:  # Any: as above
        """Return what was dumped."""
        count, newest_us, watermark_us, ids, readings, runs, moments_us, waiting, *rest = dumped
        windows, rows = rest
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
            deque(dict(zip(names, values, strict=True)) for names, values in rows),
        )


def _rows(cases: deque[dict[str, Any]]) -> list[tuple[Any, ...]]:  # Any: as above
    """Return names and values of each case; equal names are one object, and saved once."""
    rows: list[tuple[Any, ...]] = []  # Any: as above
    names: tuple[str, ...] = ()
    for case in cases:
        if len(case) != len(names) or tuple(case) != names:
            names = tuple(case)
        rows.append((names, tuple(case.values())))
    return rows

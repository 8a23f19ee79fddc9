"""What is kept of one sensor's recent readings, by event time and bounded."""

from __future__ import annotations

import struct
from array import array
from collections import deque
from typing import TYPE_CHECKING, Protocol

from tidemill.fold.window_statistics import STATISTICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Left-behind places of a queue are given back when there are so many, and they are the most.
_SLACK = 64


class Readings:
    """A queue of times and values, 16 bytes each."""

    __slots__ = ("_head", "_times", "_values")

    def __init__(self) -> None:
        self._times = array("q")
        self._values = array("d")
        self._head = 0

    def __len__(self) -> int:
        return len(self._times) - self._head

    def time(self, place: int) -> int:
        """Return when a reading was taken, the oldest being 0."""
        return self._times[self._head + place]

    def value(self, place: int) -> float:
        """Return a value, the oldest being 0."""
        return self._values[self._head + place]

    def append(self, time_us: int, value: float) -> None:
        """Add the newest reading."""
        self._times.append(time_us)
        self._values.append(value)

    def drop(self) -> tuple[int, float]:
        """Remove and return the oldest reading."""
        head = self._head
        oldest = self._times[head], self._values[head]
        self._head = head = head + 1
        if head >= _SLACK and head * 2 >= len(self._times):
            del self._times[:head]
            del self._values[:head]
            self._head = 0
        return oldest

    def dump(self) -> bytes:
        """Return times, then values, oldest first."""
        count, head = len(self), self._head
        return struct.pack(f"<{count}q{count}d", *self._times[head:], *self._values[head:])


def unpacked(dumped: bytes) -> Iterable[tuple[int, float]]:
    """Return the readings that were dumped."""
    count = len(dumped) // 16
    numbers = struct.unpack(f"<{count}q{count}d", dumped)
    return zip(numbers[:count], numbers[count:], strict=True)


class Source(Protocol):
    """Recent readings of one sensor; `drops` counts what the cap made it forget."""

    drops: int

    def enter(self, time_us: int, value: float, /) -> None:
        """Take the newest reading."""

    def advance(self, time_us: int, /) -> None:
        """Forget what is too old at a time not before any reading's."""

    def read(self, kind: str, /) -> float | None:
        """Return the feature as it stands; None where there is none."""

    def dump(self) -> bytes:
        """Return the readings."""

    def load(self, dumped: bytes) -> None:
        """Take the readings that were dumped, being empty."""


class Back:
    """The n-th newest reading."""

    def __init__(self, events: int) -> None:
        self.drops = 0
        self._values: deque[float] = deque(maxlen=events)

    def enter(self, _: int, value: float, /) -> None:
        """Take the newest reading."""
        self._values.append(value)

    def advance(self, _: int, /) -> None:
        """Readings are counted, their age is nothing."""

    def read(self, _: str, /) -> float | None:
        """Return the reading; None where there are not so many yet."""
        values = self._values
        return values[0] if len(values) == values.maxlen else None

    def dump(self) -> bytes:
        """Return the values, oldest first."""
        return struct.pack(f"<{len(self._values)}d", *self._values)

    def load(self, dumped: bytes) -> None:
        """Take the values that were dumped."""
        self._values.extend(struct.unpack(f"<{len(dumped) // 8}d", dumped))


class Lag:
    """The newest reading of those at least a duration old."""

    def __init__(self, duration_us: int, cap: int) -> None:
        self.drops = 0
        self._duration_us, self._cap = duration_us, cap
        self._readings = Readings()
        self._until = 0

    def enter(self, time_us: int, value: float, /) -> None:
        """Take the newest reading."""
        self._readings.append(time_us, value)
        if len(self._readings) > self._cap:
            self._readings.drop()
            self.drops += 1

    def advance(self, time_us: int, /) -> None:
        """Forget all that a newer one of the old readings replaces."""
        readings = self._readings
        self._until = until = time_us - self._duration_us
        while len(readings) > 1 and readings.time(1) <= until:
            readings.drop()

    def read(self, _: str, /) -> float | None:
        """Return the reading; None where none is old enough."""
        readings = self._readings
        return readings.value(0) if len(readings) and readings.time(0) <= self._until else None

    def dump(self) -> bytes:
        """Return the readings."""
        return self._readings.dump()

    def load(self, dumped: bytes) -> None:
        """Take the readings that were dumped."""
        for time_us, value in unpacked(dumped):
            self.enter(time_us, value)


class Window:
    """The readings of a duration, and statistics of them."""

    def __init__(self, duration_us: int, cap: int, kinds: Sequence[str]) -> None:
        self.drops = 0
        self._duration_us, self._cap = duration_us, cap
        self._readings = Readings()
        self._by_kind = {kind: STATISTICS[kind]() for kind in kinds}
        self._statistics = tuple(self._by_kind.values())

    def enter(self, time_us: int, value: float, /) -> None:
        """Take the newest reading."""
        self._readings.append(time_us, value)
        for statistic in self._statistics:
            statistic.enter(time_us, value)
        if len(self._readings) > self._cap:
            self._leave()
            self.drops += 1

    def advance(self, time_us: int, /) -> None:
        """Forget readings a duration old."""
        readings, until = self._readings, time_us - self._duration_us
        while len(readings) and readings.time(0) <= until:
            self._leave()

    def _leave(self) -> None:
        time_us, value = self._readings.drop()
        for statistic in self._statistics:
            statistic.leave(time_us, value)

    def read(self, kind: str, /) -> float | None:
        """Return a statistic; None where it is undefined."""
        return self._by_kind[kind].read(len(self._readings))

    def dump(self) -> bytes:
        """Return the readings; all else follows from them."""
        return self._readings.dump()

    def load(self, dumped: bytes) -> None:
        """Take the readings that were dumped."""
        for time_us, value in unpacked(dumped):
            self.enter(time_us, value)

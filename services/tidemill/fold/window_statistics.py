"""Statistics of a window of readings, without rounding on the way.

Sums are exact: readings become whole multiples of 2**-256, and sums of whole numbers do not round.
So a statistic depends on the readings in its window alone, neither on those that left it nor on
where a run was cut, and is the correctly rounded one. Readings below 6e-62 lose digits.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BITS = 256
_SCALE = 2.0**_BITS
_ONE = 1 << _BITS
_SECOND_US = 1_000_000


class Statistic(Protocol):
    """One statistic of a window; readings leave in the order in which they entered."""

    def enter(self, time_us: int, value: float, /) -> None:
        """Take in a reading."""

    def leave(self, time_us: int, value: float, /) -> None:
        """Give up the oldest reading."""

    def read(self, count: int) -> float | None:
        """Return the statistic of the `count` readings inside; None where it is undefined."""


class Count:
    """How many readings."""

    def enter(self, _time_us: int, _value: float, /) -> None:
        """The window counts."""

    def leave(self, _time_us: int, _value: float, /) -> None:
        """The window counts."""

    def read(self, count: int) -> float:
        """Return the number, 0 where there is none."""
        return float(count)


class Average:
    """Arithmetic mean."""

    def __init__(self) -> None:
        self._sum = 0

    def enter(self, _: int, value: float, /) -> None:
        """Add a reading."""
        self._sum += int(value * _SCALE)

    def leave(self, _: int, value: float, /) -> None:
        """Take a reading away."""
        self._sum -= int(value * _SCALE)

    def read(self, count: int) -> float | None:
        """Return the mean; None of no readings."""
        return self._sum / (count << _BITS) if count else None


class Spread:
    """Standard deviation of a sample, with n - 1."""

    def __init__(self) -> None:
        self._sum = 0
        self._squares = 0

    def enter(self, _: int, value: float, /) -> None:
        """Add a reading."""
        whole = int(value * _SCALE)
        self._sum += whole
        self._squares += whole * whole

    def leave(self, _: int, value: float, /) -> None:
        """Take a reading away."""
        whole = int(value * _SCALE)
        self._sum -= whole
        self._squares -= whole * whole

    def read(self, count: int) -> float | None:
        """Return the deviation; None of fewer than two readings."""
        if count < 2:
            return None
        above = count * self._squares - self._sum * self._sum
        return sqrt(above / (count * (count - 1) << 2 * _BITS))


class Extreme:
    """The least reading times `sign`: the minimum for 1, the negated maximum for -1."""

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self._rising: deque[float] = deque()

    def enter(self, _: int, value: float, /) -> None:
        """Add a reading; larger ones before it will never be the least again."""
        signed = value * self._sign
        rising = self._rising
        while rising and rising[-1] > signed:
            rising.pop()
        rising.append(signed)

    def leave(self, _: int, value: float, /) -> None:
        """Take the oldest reading away."""
        if self._rising[0] == value * self._sign:
            self._rising.popleft()

    def read(self, count: int) -> float | None:
        """Return the extreme; None of no readings."""
        return self._rising[0] * self._sign if count else None


class Trend:
    """Slope of the least-squares line, in units per second."""

    def __init__(self) -> None:
        self._values = self._times = self._squares = self._products = 0

    def enter(self, time_us: int, value: float, /) -> None:
        """Add a reading."""
        whole = int(value * _SCALE)
        self._values += whole
        self._times += time_us
        self._squares += time_us * time_us
        self._products += time_us * whole

    def leave(self, time_us: int, value: float, /) -> None:
        """Take a reading away."""
        whole = int(value * _SCALE)
        self._values -= whole
        self._times -= time_us
        self._squares -= time_us * time_us
        self._products -= time_us * whole

    def read(self, count: int) -> float | None:
        """Return the slope; None unless there are readings at two times."""
        below = count * self._squares - self._times * self._times
        if not below:
            return None
        above = (count * self._products - self._times * self._values) * _SECOND_US
        return above / (below * _ONE)


STATISTICS: Mapping[str, Callable[[], Statistic]] = {
    "mean": Average,
    "min": lambda: Extreme(1.0),
    "max": lambda: Extreme(-1.0),
    "sd": Spread,
    "count": Count,
    "slope": Trend,
}

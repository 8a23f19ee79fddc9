"""When the truth of an event becomes known, by the kind of its stream's target."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tidemill.contracts.targets import AheadTarget, LabelTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.contracts.stream import StreamDefinition
    from tidemill.demo.happenings import Reading, Truth

NO_LABEL_YET = "no label yet"
# A gap longer than this many times the distance gives no label.
GAP = 2


class Truths(Protocol):
    """Says which truths a reading reveals, its own or those of earlier readings."""

    def is_awaited(self, reading: Reading) -> bool:
        """Return whether the truth of a reading is still to come once it was sent."""

    def naive(self, reading: Reading) -> float | None:
        """Return what the naive model predicts of it; None leaves it to the past's truths."""

    def known_at(self, reading: Reading) -> Iterator[tuple[str, Truth | None]]:
        """Yield event ids with the truth that is known now; None: it never will be."""


class KnownAtOnce:
    """The event holds it, or the simulator planted it."""

    def is_awaited(self, reading: Reading) -> bool:
        """Return whether it has one at all."""
        return reading.truth is not None

    def naive(self, _reading: Reading) -> float | None:
        """Return None: the past decides."""
        return None

    def known_at(self, reading: Reading) -> Iterator[tuple[str, Truth | None]]:
        """Yield the reading's own."""
        if reading.truth is not None:
            yield reading.event_id, reading.truth


class KnownFromLaboratory:
    """A laboratory finds it for the readings that were sampled."""

    def is_awaited(self, reading: Reading) -> bool:
        """Return whether it was sampled."""
        return reading.is_sampled

    def naive(self, _reading: Reading) -> float | None:
        """Return None: the past decides."""
        return None

    def known_at(self, _reading: Reading) -> Iterator[tuple[str, Truth | None]]:
        """Yield nothing: results come by themselves."""
        return iter(())


class _Ahead(NamedTuple):
    event_id: str
    time_us: int


class KnownAhead:
    """A later reading of the same asset holds it: the first one at or after the distance.

    Args:
        limits: Between which the field may lie; outside it says nothing.
    """

    def __init__(self, target: AheadTarget, limits: tuple[float, float]) -> None:
        self._field = target.field
        self._low, self._high = limits
        self._events = target.after_events
        self._after_us = round((target.after_s or 0.0) * 1e6)
        self._open: defaultdict[str, deque[_Ahead]] = defaultdict(deque)

    def is_awaited(self, reading: Reading) -> bool:
        """Return whether it can be waited for: broken readings are never predicted."""
        return not reading.is_broken

    def naive(self, reading: Reading) -> float | None:
        """Return the field as it reads now: nothing will change."""
        return self._sound(reading)

    def known_at(self, reading: Reading) -> Iterator[tuple[str, Truth | None]]:
        """Yield earlier readings of the asset whose distance has passed."""
        if reading.is_broken:
            return
        held = self._open[reading.asset]
        held.append(_Ahead(reading.event_id, reading.time_us))
        value = self._sound(reading)
        while held and self._is_due(held, reading.time_us):
            earlier = held.popleft()
            gap_us = reading.time_us - earlier.time_us
            is_lost = self._events is None and gap_us > GAP * self._after_us
            yield earlier.event_id, None if is_lost else value

    def _sound(self, reading: Reading) -> float | None:
        """Return the field as it reads, None where it is missing or at fault."""
        value = reading.record[self._field]
        return value if isinstance(value, float) and self._low <= value <= self._high else None

    def _is_due(self, held: deque[_Ahead], now_us: int) -> bool:
        if self._events is not None:
            return len(held) > self._events
        return now_us - held[0].time_us >= self._after_us


def truths_of(stream: StreamDefinition) -> Truths:
    """Return when truths become known in a stream."""
    match stream.target:
        case LabelTarget():
            return KnownFromLaboratory()
        case AheadTarget():
            return KnownAhead(stream.target, _limits(stream, stream.target.field))
    return KnownAtOnce()


def _limits(stream: StreamDefinition, name: str) -> tuple[float, float]:
    """Return the range of a feature; all numbers where there is none."""
    found = next((feature for feature in stream.features if feature.name == name), None)
    low, high = (None, None) if found is None else (found.low, found.high)
    return -math.inf if low is None else low, math.inf if high is None else high

"""What a simulated plant does: readings and, later, what a laboratory says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

EPOCH_US = 1_767_225_600_000_000  # 2026-01-01
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

Truth = float | bool | str


@dataclass(frozen=True, slots=True)
class Reading:
    """One event.

    Attributes:
        record: The plant's Avro record; times in microseconds.
        time_us: Its event time.
        truth: What is true of it and known at once: the target's value, or for a stream without a
            target whether a fault was planted. None: not known yet, or never.
        is_sampled: Whether a `LabResult` will follow.
        is_broken: Whether the gateway sends bytes that are no record.
    """

    stream: str
    event_id: str
    asset: str
    time_us: int
    record: dict[str, object]
    truth: Truth | None = None
    is_sampled: bool = False
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class LabResult:
    """What a laboratory found for an earlier reading, at `time_us` of event time."""

    event_id: str
    asset: str
    time_us: int
    value: Truth


Happening = Reading | LabResult


@dataclass(frozen=True, slots=True)
class Timeline:
    """When what is planted begins and ends, in readings; and event time between two readings.

    Attributes:
        drift_at: The reading from which on the process itself is another.
        fault_from: The first reading with the planted sensor fault.
        fault_to: The first reading without it again.
    """

    drift_at: int
    fault_from: int
    fault_to: int
    step_us: int

    def is_drifting(self, n: int) -> bool:
        """Return whether reading `n` comes from the changed process."""
        return n >= self.drift_at

    def is_faulty(self, n: int) -> bool:
        """Return whether the sensor fault is there at reading `n`."""
        return self.fault_from <= n < self.fault_to

    def time_us(self, n: int) -> int:
        """Return the event time of reading `n`."""
        return EPOCH_US + n * self.step_us


Simulate = Callable[[int, Timeline], Iterator[Happening]]

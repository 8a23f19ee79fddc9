"""What the demo has seen: counts for the balance, errors beside the naive model's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.demo.simulator import Reading

FADING = 0.99
LAST_SHOWN = 8


@dataclass(slots=True)
class AssetTally:
    """One pump: fading mean absolute errors, in degC.

    The naive model predicts the mean of all truths so far, as River's `dummy.StatisticRegressor`.
    """

    events: int = 0
    error: float = 0.0
    naive_error: float = 0.0
    weight: float = 0.0
    _truths: float = 0.0

    def score(self, predicted: float, truth: float) -> None:
        """Add one stored prediction against its truth."""
        naive = self._truths / self.events if self.events else 0.0
        self.events += 1
        self._truths += truth
        self.weight = 1.0 + FADING * self.weight
        self.error = abs(predicted - truth) + FADING * self.error
        self.naive_error = abs(naive - truth) + FADING * self.naive_error

    @property
    def mean_error(self) -> float:
        """Fading mean absolute error of the model, degC."""
        return self.error / self.weight if self.weight else 0.0

    @property
    def mean_naive_error(self) -> float:
        """The same of the naive model."""
        return self.naive_error / self.weight if self.weight else 0.0


@dataclass(slots=True)
class Shown:
    """One prediction as the screen shows it."""

    asset: str
    event_id: str
    predicted: float | None
    truth: float | None
    version: int
    quality: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """Everything the demo counts."""

    sent: int = 0
    predicted: int = 0
    doubled: int = 0
    dead: dict[str, int] = field(default_factory=dict)
    assets: dict[str, AssetTally] = field(default_factory=dict)
    last: deque[Shown] = field(default_factory=lambda: deque(maxlen=LAST_SHOWN))
    notes: list[str] = field(default_factory=list)
    _waiting: dict[str, float | None] = field(default_factory=dict)

    def note_sent(self, reading: Reading) -> None:
        """Count one event given to the broker."""
        self.sent += 1
        self._waiting[reading.event_id] = reading.truth

    def note_prediction(self, record: Mapping[str, Any]) -> None:  # Any: an Avro record
        """Count one prediction; a second one for the same event is a doubled one."""
        event_id = record["event_id"]
        self.predicted += 1
        if event_id not in self._waiting:
            self.doubled += 1
            return
        truth = self._waiting.pop(event_id)
        value = record["value"]
        asset = self.assets.setdefault(record["asset"], AssetTally())
        if value is not None and truth is not None:
            asset.score(value, truth)
        self.last.append(
            Shown(
                record["asset"],
                event_id,
                value,
                truth,
                record["version"],
                tuple(record["quality"]),
            )
        )

    def note_dead(self, reason: str) -> None:
        """Count one dead letter."""
        self.dead[reason] = self.dead.get(reason, 0) + 1

    @property
    def dead_letters(self) -> int:
        """Number of dead letters."""
        return sum(self.dead.values())

    @property
    def open(self) -> int:
        """Events that have neither prediction nor dead letter yet."""
        return self.sent - self.predicted - self.dead_letters

    @property
    def is_balanced(self) -> bool:
        """Whether in = predicted + dead-lettered, none of them twice."""
        return self.open == 0 and self.doubled == 0

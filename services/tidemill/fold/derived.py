"""Features derived from the recent readings of one asset, by event time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tidemill.fold.readings import Back, Lag, Window
from tidemill.kernel.errors import ConfigError
from tidemill.models.outputs import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.readings import Source

Kind = Literal["lag", "mean", "min", "max", "sd", "count", "slope"]
SourceKey = tuple[str, str, int]
Dumped = tuple[int | None, tuple[tuple[SourceKey, int, bytes], ...]]

# Readings of one window; a reading a second for more than an hour. 16 bytes each.
MOST_READINGS = 4_096


@dataclass(frozen=True, slots=True)
class DerivedFeature:
    """One derived feature.

    Attributes:
        name: Under which the models see it.
        sensor: Whose readings; a number.
        kind: `lag`, or a statistic of a window.
        duration_us: Event time back; a window is (t - duration, t].
        events: For a lag, instead: how many readings back, from 1 to 4,096.
    """

    name: str
    sensor: str
    kind: Kind
    duration_us: int | None = None
    events: int | None = None

    def __post_init__(self) -> None:
        problems = []
        if (self.duration_us is None) == (self.events is None):
            problems.append(f"{self.name}: must name a duration or a number of events, one of them")
        if self.duration_us is not None and self.duration_us < 1:
            problems.append(f"{self.name}: duration must be positive, was {self.duration_us} us")
        if self.events is not None and self.kind != "lag":
            problems.append(f"{self.name}: {self.kind} must be over a duration, was over events")
        if self.events is not None and not 1 <= self.events <= MOST_READINGS:
            problems.append(f"{self.name}: must be 1 to {MOST_READINGS} back, was {self.events}")
        if problems:
            raise ConfigError(problems)

    @property
    def source(self) -> SourceKey:
        """What it is read from; features with equal sources share it."""
        if self.events is not None:
            return (self.sensor, "back", self.events)
        assert self.duration_us is not None
        return (self.sensor, "lag" if self.kind == "lag" else "window", self.duration_us)


class Derived:
    """The derived features of one asset.

    An event older than the newest enters nothing; it is given what stands. A reading that is
    missing, not finite or beyond 1e50 is passed over, as if the event did not have that sensor.

    Args:
        held_back: Sensors whose reading in an event is not known when the event is predicted: its
            target. Windows of theirs end before the event.
        cap: Readings that one window or lag keeps, the oldest forgotten first: what needs more
            than so many within its duration is over fewer, and a lag has no value then.
    """

    def __init__(
        self,
        features: Sequence[DerivedFeature],
        *,
        held_back: Sequence[str] = (),
        cap: int = MOST_READINGS,
    ) -> None:
        self.features = features
        kinds: dict[SourceKey, dict[str, None]] = {}
        for feature in features:
            kinds.setdefault(feature.source, {})[feature.kind] = None
        self._sources = {key: _source(key, tuple(of), cap) for key, of in kinds.items()}
        self._by_sensor = tuple((key[0], source) for key, source in self._sources.items())
        self._newest: int | None = None
        self._names = tuple(feature.name for feature in features)
        named = [(f.name, self._sources[f.source], f.kind) for f in features]
        early = [f.kind == "lag" or f.sensor in held_back for f in features]
        self._early = tuple(row for row, first in zip(named, early, strict=True) if first)
        self._rest = tuple(row for row, first in zip(named, early, strict=True) if not first)

    @property
    def drops(self) -> int:
        """Readings forgotten for the cap while they were still asked for."""
        return sum(source.drops for source in self._sources.values())

    def update(self, time_us: int, x: Mapping[str, object]) -> dict[str, float]:
        """Take an event and return its derived features in their order, those that exist."""
        newest = self._newest
        if newest is not None and time_us < newest:
            return self.standing()
        self._newest = time_us
        for _, source in self._by_sensor:
            source.advance(time_us)
        found: dict[str, float] = {}
        _read(self._early, found)
        for sensor, source in self._by_sensor:
            value = x.get(sensor)
            if isinstance(value, float | int) and -LARGEST <= value <= LARGEST:
                source.enter(time_us, float(value))
        return self._completed(found)

    def standing(self) -> dict[str, float]:
        """Return the features as they stand, for an event that must leave no trace."""
        found: dict[str, float] = {}
        _read(self._early, found)
        return self._completed(found)

    def _completed(self, found: dict[str, float]) -> dict[str, float]:
        _read(self._rest, found)
        if self._early and self._rest:
            return {name: found[name] for name in self._names if name in found}
        return found

    def dump(self) -> Dumped:
        """Return the state as plain values, by source."""
        sources = self._sources.items()
        return self._newest, tuple((key, source.drops, source.dump()) for key, source in sources)

    def load(self, dumped: Dumped) -> None:
        """Take what was dumped, being new; sources that it does not name start empty."""
        newest, sources = dumped
        self._newest = newest
        for key, drops, readings in sources:
            source = self._sources.get(key)
            if source is not None:
                source.load(readings)
                source.drops = drops
        if newest is not None:
            for _, source in self._by_sensor:
                source.advance(newest)


def _source(key: SourceKey, kinds: Sequence[str], cap: int) -> Source:
    _, way, size = key
    if way == "back":
        return Back(size)
    return Lag(size, cap) if way == "lag" else Window(size, cap, kinds)


def _read(rows: Sequence[tuple[str, Source, str]], found: dict[str, float]) -> None:
    for name, source, kind in rows:
        value = source.read(kind)
        if value is not None:
            found[name] = value

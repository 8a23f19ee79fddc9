"""How far events and labels of one asset have come, in seconds of their own times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Bound(NamedTuple):
    """Events up to a second are over, as soon as all labels are read up to a turn."""

    until: int
    turn: int


@dataclass(slots=True)
class Clocks:
    """The clocks of one asset; time that goes back by more than a ttl begins anew.

    Attributes:
        events: The newest, by partition of predictions.
        labels: The newest, by partition of labels.
        bounds: What is over, by partition of predictions.
    """

    events: dict[int, int] = field(default_factory=dict)
    labels: dict[int, int] = field(default_factory=dict)
    bounds: dict[int, Bound] = field(default_factory=dict)

    def came(self, partition: int, at: int, ttl: int) -> None:
        """Note an event."""
        newest = self.events.get(partition)
        if newest is None or at > newest:
            self.events[partition] = at
        elif at + ttl < newest:
            self.events[partition] = at
            self.bounds.pop(partition, None)
            self.labels = {number: min(label, at) for number, label in self.labels.items()}

    def was_labelled(self, partition: int, at: int, ttl: int) -> None:
        """Note a label."""
        newest = self.labels.get(partition)
        if newest is None or at > newest:
            self.labels[partition] = at
        elif at + ttl < newest:
            self.labels[partition] = at
            self.bounds.clear()

    def over(self, partition: int, ttl: int) -> int | None:
        """Return the second up to which both have come two ttls beyond events."""
        events = self.events.get(partition)
        if events is None or not self.labels:
            return None
        return min(events, max(self.labels.values())) - 2 * ttl - 1

    def is_over(self, partition: int, at: int, ttl: int) -> bool:
        """Whether no label of an event is waited for, or none of the asset ever came."""
        passed = at + 1 + 2 * ttl
        is_behind = bool(self.labels) and max(self.labels.values()) < passed
        return self.events.get(partition, -1) >= passed and not is_behind

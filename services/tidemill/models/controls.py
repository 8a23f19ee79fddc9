"""What people decided of a model: what it must not use or learn, and what is taken back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

# Of a hold without an end, and of one that began before there was an event.
FOR_EVER_US = 1 << 62
SINCE_EVER_US = -(1 << 62)
# Holds that are remembered, for labels that come after them.
MOST_HOLDS = 16
# Those who froze a model.
MOST_FREEZERS = 16
# Corrections that wait and corrections in force, together.
MOST_CORRECTIONS = 256
# A model is folded again over so many events of its asset, at most.
REACH = 100_000


class Veto(NamedTuple):
    """A sensor that a model must not use.

    Attributes:
        feature: The sensor named.
        names: It, and the features that are made of its readings.
        origin: Who asked for it, as the update says.
    """

    feature: str
    names: tuple[str, ...]
    origin: str


class Hold(NamedTuple):
    """A span of event time that is not learned: from after `after_us` up to `until_us`."""

    after_us: int
    until_us: int
    origin: str


class Pending(NamedTuple):
    """A correction that waits for its re-fold.

    Attributes:
        offset: Of the update that asked for it, in the asset's partition of `model.updates`.
        entry: Ledger entry that applied that update.
        value: The update as it came.
        seen: Events in the asset's recent past when it came.
    """

    offset: int
    entry: int
    value: bytes
    seen: int = 0


class Edit(NamedTuple):
    """A correction in force: what a re-fold of the model does otherwise than the recorded order.

    Attributes:
        offset: As in `Pending`.
        entry: As in `Pending`.
        swapped: Ledger entry from which on the model is as if it had always been so.
        value: As in `Pending`.
        seen: As in `Pending`.
    """

    offset: int
    entry: int
    swapped: int
    value: bytes
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Controls:
    """What was decided of one model.

    Attributes:
        vetoes: Sensors that it is not asked with and does not learn.
        frozen_by: Who had it learn no more until it is resumed, oldest first.
        holds: Spans of event time that it does not learn, oldest first.
        pending: Corrections that wait for their re-fold, oldest first.
        edits: Corrections in force, oldest first.
        floor: The last ledger entry by which a correction was in force that is no longer kept: no
            older state may be folded from.
        ahead: In a re-fold, holds of spans that began before they came, until they come; never
            saved.
        vetoed: The features that the vetoes name.
    """

    vetoes: tuple[Veto, ...] = ()
    frozen_by: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()
    pending: tuple[Pending, ...] = ()
    edits: tuple[Edit, ...] = ()
    floor: int = -1
    ahead: tuple[Hold, ...] = field(default=(), repr=False, compare=False)
    vetoed: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = frozenset(name for veto in self.vetoes for name in veto.names)
        object.__setattr__(self, "vetoed", names)

    @property
    def held(self) -> int:
        """How many corrections wait or are in force."""
        return len(self.pending) + len(self.edits)

    @property
    def is_full(self) -> bool:
        """Whether no further correction may wait."""
        return self.held >= MOST_CORRECTIONS

    def within_reach(self, seen: int) -> Controls:
        """Return the same without the corrections in force that no re-fold can need any more.

        Args:
            seen: Events in the asset's recent past by now.
        """
        beyond = [each.swapped for each in self.edits if seen - each.seen > REACH]
        if not beyond:
            return self
        floor = max(beyond)
        edits = tuple(each for each in self.edits if each.swapped > floor)
        return replace(self, edits=edits, floor=max(floor, self.floor))

    def without_vetoed(self, x: dict[str, Any]) -> dict[str, Any]:  # Any: numbers and strings
        """Return what the model may see of a case, in the same order."""
        vetoed = self.vetoed
        return {name: x[name] for name in x if name not in vetoed} if vetoed else x

    def holds_at(self, time_us: int) -> bool:
        """Return whether what happened at this event time is not to be learned."""
        return any(hold.after_us < time_us <= hold.until_us for hold in (*self.holds, *self.ahead))

    def holding(self, hold: Hold, now_us: int) -> Controls:
        """Return the same with another hold; beyond 16 one that is over is forgotten first."""
        holds = self.holds
        if len(holds) >= MOST_HOLDS:
            gone = next((each for each in holds if each.until_us <= now_us), holds[0])
            holds = tuple(each for each in holds if each is not gone)
        ahead = tuple(each for each in self.ahead if each != hold)
        return replace(self, holds=(*holds, hold), ahead=ahead)

    def may_hold(self, now_us: int) -> bool:
        """Return whether there is room for a hold without forgetting one that is not over."""
        return len(self.holds) < MOST_HOLDS or any(each.until_us <= now_us for each in self.holds)

    def released(self, now_us: int, origin: str | None = None) -> Controls:
        """Return the same with the holds of one origin at an end; with those of all for None."""
        holds = (
            hold._replace(until_us=min(hold.until_us, now_us))
            if origin in {None, hold.origin}
            else hold
            for hold in self.holds
        )
        return replace(self, holds=tuple(h for h in holds if h.after_us < h.until_us))

    def has_held_after(self, end_us: int, now_us: int, origin: str) -> bool:
        """Return whether a hold of one origin was in force behind an end, up to an event time."""
        return any(
            max(end_us, hold.after_us) < min(now_us, hold.until_us)
            for hold in self.holds
            if hold.origin == origin
        )

    def frozen(self, origin: str) -> Controls:
        """Return the same frozen by one more; one beyond 16 is not remembered."""
        frozen_by = tuple(dict.fromkeys((*self.frozen_by, origin)))
        return replace(self, frozen_by=frozen_by[:MOST_FREEZERS])

    def lifted(self, origin: str) -> Controls:
        """Return the same without the vetoes, the freeze and the holds of one origin."""
        return replace(
            self,
            vetoes=tuple(veto for veto in self.vetoes if veto.origin != origin),
            frozen_by=tuple(by for by in self.frozen_by if by != origin),
            holds=tuple(hold for hold in self.holds if hold.origin != origin),
        )

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that `load` makes the same of."""
        parts = (self.holds, self.pending, self.edits)
        return (
            tuple(map(tuple, self.vetoes)),
            self.frozen_by,
            *(tuple(map(tuple, part)) for part in parts),
            self.floor,
        )

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Controls:  # Any: as above
        """Return what was dumped."""
        vetoes, frozen_by, holds, pending, edits, floor = dumped
        return cls(
            tuple(Veto(*each) for each in vetoes),
            frozen_by,
            tuple(Hold(*each) for each in holds),
            tuple(Pending(*each) for each in pending),
            tuple(Edit(*each) for each in edits),
            floor,
        )


NOTHING_DECIDED = Controls()

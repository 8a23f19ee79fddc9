"""All conditions of a partition: where they stand, and what was met since that was written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidemill.kernel.records import Message, Position
    from tidemill.processors.alerts.standing import At, Standing


@dataclass(slots=True)
class Met:
    """What was met of a condition in this life and is not written.

    Attributes:
        last_ms: When it was last met.
        offsets: At which offset, by topic.
        event: What was seen of it last.
        more: How much more it rests on.
    """

    last_ms: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    event: str = ""
    more: int = 0


class Book:
    """The conditions of one partition.

    Args:
        remembered: Where they stood when the last life ended.
    """

    def __init__(self, remembered: Iterable[Standing] = ()) -> None:
        self._standings = {standing.name: standing for standing in remembered}
        self._met: dict[str, Met] = {}
        self._caused: dict[Position, list[Standing]] = defaultdict(list)
        self._told: dict[str, set[int]] = defaultdict(set)
        for standing in self._standings.values():
            if standing.cause is not None:
                self._caused[standing.cause].append(standing)
                if standing.said:
                    self._told[standing.cause.topic].add(standing.cause.offset)

    def __len__(self) -> int:
        return len(self._standings)

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standings.values())

    def get(self, name: str) -> Standing | None:
        """Return where a condition stands, with what was met of it since; None if it never did."""
        standing, met = self._standings.get(name), self._met.get(name)
        if standing is None or met is None:
            return standing
        return replace(
            standing,
            last_ms=max(standing.last_ms, met.last_ms),
            offsets={**standing.offsets, **met.offsets},
            count=standing.count + met.more,
        )

    def written(self, name: str) -> Standing | None:
        """Return where a condition stands by what is remembered; None where nothing is."""
        return self._standings.get(name)

    def last_ms(self, standing: Standing) -> int:
        """Return when a remembered condition was last met, in this life or before."""
        met = self._met.get(standing.name)
        return standing.last_ms if met is None else max(standing.last_ms, met.last_ms)

    def met(self, name: str) -> Met | None:
        """Return what was met of a condition in this life; None where nothing was."""
        return self._met.get(name)

    def meet(self, name: str, at: At, *, event: str = "", more: int = 0) -> None:
        """Note that a condition was met; that is not remembered beyond this life."""
        met = self._met.setdefault(name, Met())
        met.last_ms = max(met.last_ms, at.ms)
        met.offsets[at.position.topic] = at.position.offset
        met.event = event
        met.more += more

    def has_told(self, message: Message) -> bool:
        """Return whether a record told something in a life before, which it must tell again."""
        return message.offset in self._told.get(message.topic, ())

    def caused(self, position: Position) -> list[Standing]:
        """Return the conditions whose last change in a life before followed from a record."""
        return self._caused.pop(position, [])

    def is_done(self, name: str, at: At) -> bool:
        """Return whether a condition takes account of a record already."""
        standing = self._standings.get(name)
        done = -1 if standing is None else standing.offsets.get(at.position.topic, -1)
        return done >= at.position.offset

    def keep(self, standing: Standing) -> None:
        """Take note of where a condition stands."""
        self._standings[standing.name] = standing
        if standing.name in self._met:
            self._met[standing.name].more = 0

    def forget(self, name: str) -> None:
        """Know nothing of a condition any more."""
        self._standings.pop(name, None)
        self._met.pop(name, None)

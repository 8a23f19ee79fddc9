"""What was in force on a partition before its terms: definitions replaced, versions reached."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# So many definitions are known again as old ones, and so many retired models go on counting.
MOST_REPLACED = 16
MOST_FLOORS = 64


class Floor(NamedTuple):
    """From where a model that starts goes on counting: its name was retired there."""

    version: int = 0
    structure: int = 0


GROUND = Floor()


class Replaced(NamedTuple):
    """A definition that another one replaced, at a ledger entry."""

    definition: str
    entry: int


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger keeps, beside terms, of those before; bounded.

    Attributes:
        entry: Ledger entry that put the terms in force.
        replaced: Digests of definitions that were in force before, newest first.
        floors: By stream and model, for names that were retired: those retired last.
    """

    entry: int = 0
    replaced: tuple[Replaced, ...] = ()
    floors: Mapping[tuple[str, str], Floor] = field(default_factory=dict)

    def when_replaced(self, definition: str) -> int | None:
        """Return the entry at which a definition was replaced; None if it is not known as old."""
        return next((old.entry for old in self.replaced if old.definition == definition), None)

    def then(
        self, before: str, now: str, *, entry: int, retired: Mapping[tuple[str, str], Floor]
    ) -> Past:
        """Return the past of terms that come into force at a ledger entry.

        Args:
            before: Digest of the definition in force until then.
            now: Digest of the one from then on.
            entry: The ledger entry.
            retired: Floors of the names that vanish.
        """
        replaced = [old for old in self.replaced if old.definition not in {before, now}]
        if before != now:
            replaced.insert(0, Replaced(before, entry))
        floors = {name: floor for name, floor in self.floors.items() if name not in retired}
        newest = [*floors.items(), *retired.items()][-MOST_FLOORS:]
        return Past(entry, tuple(replaced[:MOST_REPLACED]), dict(newest))

    def text(self) -> str:
        """Return the past as a ledger action keeps it."""
        floors = [[*name, *floor] for name, floor in self.floors.items()]
        return json.dumps({"entry": self.entry, "replaced": self.replaced, "floors": floors})

    @classmethod
    def of(cls, text: str) -> Past:
        """Return the past that `text` wrote."""
        read = json.loads(text)
        floors = {(stream, model): Floor(*floor) for stream, model, *floor in read["floors"]}
        return cls(read["entry"], tuple(Replaced(*old) for old in read["replaced"]), floors)


FIRST_TERMS = Past()

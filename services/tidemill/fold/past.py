"""What was in force on a partition before its terms: definitions replaced, versions reached."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# So many definitions are known again as old ones, so many retired models and assets go on counting.
MOST_REPLACED = 16
MOST_FLOORS = 64
MOST_RETIRED = 256


class Floor(NamedTuple):
    """From where a model that starts goes on counting: its name or asset was retired there."""

    version: int = 0
    structure: int = 0


GROUND = Floor()


class Replaced(NamedTuple):
    """A definition that another one replaced, at a ledger entry."""

    definition: str
    entry: int


class Retired(NamedTuple):
    """At which ledger entry an asset was retired, and how far its models had come."""

    entry: int
    floor: Floor


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger keeps, beside terms, of those before; bounded.

    Attributes:
        entry: Ledger entry that put the terms in force.
        replaced: Digests of definitions that were in force before, newest first.
        floors: By stream and model, for names that were retired: those retired last.
        assets: By stream and asset, for assets that were retired: those retired last.
    """

    entry: int = 0
    replaced: tuple[Replaced, ...] = ()
    floors: Mapping[tuple[str, str], Floor] = field(default_factory=dict)
    assets: Mapping[tuple[str, str], Retired] = field(default_factory=dict)

    def when_replaced(self, definition: str) -> int | None:
        """Return the entry at which a definition was replaced; None if it is not known as old."""
        return next((old.entry for old in self.replaced if old.definition == definition), None)

    def floor(self, stream: str, asset: str, model: str) -> Floor:
        """Return from where a model goes on counting."""
        named = self.floors.get((stream, model), GROUND)
        retired = self.assets.get((stream, asset))
        return named if retired is None else Floor(*map(max, named, retired.floor))

    def retiring(self, stream: str, asset: str, retired: Retired) -> Past:
        """Return the past from when on an asset is retired."""
        others = {name: each for name, each in self.assets.items() if name != (stream, asset)}
        newest = [*others.items(), ((stream, asset), retired)][-MOST_RETIRED:]
        return replace(self, assets=dict(newest))

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
        return Past(entry, tuple(replaced[:MOST_REPLACED]), dict(newest), self.assets)

    def text(self) -> str:
        """Return the past as a ledger action keeps it."""
        floors = [[*name, *floor] for name, floor in self.floors.items()]
        assets = [[*name, each.entry, *each.floor] for name, each in self.assets.items()]
        return json.dumps(
            {"entry": self.entry, "replaced": self.replaced, "floors": floors, "assets": assets}
        )

    @classmethod
    def of(cls, text: str) -> Past:
        """Return the past that `text` wrote."""
        read = json.loads(text)
        floors = {(stream, model): Floor(*floor) for stream, model, *floor in read["floors"]}
        assets = {
            (stream, asset): Retired(entry, Floor(*floor))
            for stream, asset, entry, *floor in read.get("assets", ())
        }
        replaced = tuple(Replaced(*old) for old in read["replaced"])
        return cls(read["entry"], replaced, floors, assets)


FIRST_TERMS = Past()

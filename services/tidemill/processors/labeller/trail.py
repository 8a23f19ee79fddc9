"""From where on topics are still needed, to know again what Redis forgot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tidemill.kernel.errors import InvariantError

# A mark is at most 4,096 bytes by a broker's own default.
MOST_CHUNKS = 8
FIRST_SIZE = 1_000
BEFORE_ALL_US = -(1 << 62)


class Starts(NamedTuple):
    """An offset in each topic that a partition is rebuilt from."""

    predictions: int
    labels: int
    updates: int
    dead: int


@dataclass(slots=True)
class Chunk:
    """A stretch of records; `last_us` is the latest time up to which any of them is needed."""

    starts: Starts
    last_us: int = BEFORE_ALL_US


@dataclass(slots=True)
class Trail:
    """The stretches that are still needed, the oldest first.

    Attributes:
        given_up: How many times labels were given up.
        size: Records in a stretch, about.
        count: Records in the last.
        is_bare: Whether nothing was left of all of them when that was last looked at.
    """

    chunks: list[Chunk]
    given_up: int = 0
    size: int = FIRST_SIZE
    count: int = 0
    is_bare: bool = False

    @property
    def lows(self) -> Starts:
        """From where on all is needed."""
        return self.chunks[0].starts

    def note(self, deadline_us: int) -> None:
        """Note that a record was read that is needed until a time."""
        self.count += 1
        self.chunks[-1].last_us = max(self.chunks[-1].last_us, deadline_us)

    def begin(self, starts: Starts) -> None:
        """Begin another stretch."""
        self.chunks.append(Chunk(starts))
        self.count = 0
        self.is_bare = False
        if len(self.chunks) > MOST_CHUNKS:
            self._merge()

    @property
    def is_due(self) -> bool:
        """Whether another stretch should begin."""
        return self.count >= (1 if self.is_bare else self.size)

    def drop(self, oldest_us: int | None) -> None:
        """Forget stretches of which nothing is left; the oldest that is left ends at a time."""
        self.is_bare = oldest_us is None
        while len(self.chunks) > 1 and (oldest_us is None or self.chunks[0].last_us < oldest_us):
            del self.chunks[0]

    def _merge(self) -> None:
        """Make one of every two, so that a mark stays short."""
        self.size *= 2
        last = self.chunks.pop()
        self.chunks = [
            Chunk(one.starts, max(one.last_us, other.last_us))
            for one, other in list(pairwise(self.chunks))[::2]
        ]
        self.chunks.append(last)

    def encode(self) -> str:
        """Return the mark that is committed with the offsets."""
        chunks = [[*chunk.starts, chunk.last_us] for chunk in self.chunks]
        value = {"given_up": self.given_up, "size": self.size, "needed": chunks}
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def decode(cls, mark: str) -> Trail:
        """Return what `encode` wrote.

        Raises:
            InvariantError: Another text.
        """
        try:
            value = json.loads(mark)
            chunks = [Chunk(Starts(*starts), last) for *starts, last in value["needed"]]
            trail = cls(chunks, value["given_up"], value["size"])
        except (ValueError, TypeError, KeyError) as error:
            msg = f"the mark of a labeller's offsets must be its own, was {mark[:60]!r}: {error}"
            raise InvariantError(msg) from error
        if not chunks:
            msg = f"the mark of a labeller's offsets must name what is needed, was {mark[:60]!r}"
            raise InvariantError(msg)
        return trail

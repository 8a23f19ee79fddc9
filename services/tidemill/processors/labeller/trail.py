"""From where on topics are still needed, to know again what Redis forgot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from tidemill.kernel.errors import InvariantError

# A mark is at most 4,096 bytes by a broker's own default.
MOST_STRETCHES = 9
# So few, and they are made shorter again.
FEW_STRETCHES = 2
FIRST_SIZE = 1_000


class Starts(NamedTuple):
    """An offset in each topic that a partition is rebuilt from."""

    predictions: int
    labels: int
    updates: int
    dead: int


@dataclass(slots=True)
class Trail:
    """Where the stretches begin that are still needed, the oldest first.

    Attributes:
        given_up: How many times labels were given up.
        size: Records in a stretch, about.
        count: Records in the last.
        is_bare: Whether nothing was left of all of them when that was last looked at.
    """

    starts: list[Starts]
    given_up: int = 0
    size: int = FIRST_SIZE
    count: int = 0
    is_bare: bool = False

    @property
    def lows(self) -> Starts:
        """From where on all is needed."""
        return self.starts[0]

    def note(self) -> None:
        """Note that a record was read that may be needed."""
        self.count += 1

    def begin(self, starts: Starts) -> None:
        """Begin another stretch."""
        self.starts.append(starts)
        self.count = 0
        self.is_bare = False
        if len(self.starts) > MOST_STRETCHES:
            # One of every two, so that a mark stays short.
            self.size *= 2
            self.starts = [*self.starts[:-1:2], starts]

    @property
    def is_due(self) -> bool:
        """Whether another stretch should begin."""
        return self.count >= (1 if self.is_bare else self.size)

    def drop(self, prediction: int | None, label: int | None) -> None:
        """Forget stretches before the oldest prediction and label that are left."""
        self.is_bare = prediction is None and label is None
        while len(self.starts) > 1 and self._is_before(self.starts[1], prediction, label):
            del self.starts[0]
        if len(self.starts) <= FEW_STRETCHES:
            self.size = max(self.size // 2, min(self.size, FIRST_SIZE))

    @staticmethod
    def _is_before(starts: Starts, prediction: int | None, label: int | None) -> bool:
        is_past = prediction is None or prediction >= starts.predictions
        return is_past and (label is None or label >= starts.labels)

    def encode(self) -> str:
        """Return the mark that is committed with the offsets."""
        value = {"given_up": self.given_up, "size": self.size, "needed": self.starts}
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def decode(cls, mark: str) -> Trail:
        """Return what `encode` wrote.

        Raises:
            InvariantError: Another text.
        """
        try:
            value = json.loads(mark)
            starts = [Starts(*each) for each in value["needed"]]
            trail = cls(starts, value["given_up"], value["size"])
        except (ValueError, TypeError, KeyError) as error:
            msg = f"the mark of a labeller's offsets must be its own, was {mark[:60]!r}: {error}"
            raise InvariantError(msg) from error
        if not starts:
            msg = f"the mark of a labeller's offsets must name what is needed, was {mark[:60]!r}"
            raise InvariantError(msg)
        return trail

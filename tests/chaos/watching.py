"""What a worker's growth looks like from outside: resident memory, and the states it saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.figures import mebibytes
from tidemill.contracts.codec import codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.reading import Record

CHUNK_BAR = b"|#"


class Sample(NamedTuple):
    """One look: how much of the input was done, from 0 to 1, and a size in bytes."""

    progress: float
    size: int


@dataclass(frozen=True, slots=True)
class Level:
    """The largest size in each third of a run."""

    first: int
    middle: int
    last: int

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Level:
        """Summarise samples.

        Raises:
            BrokenPromiseError: A third has none, so that nothing can be said.
        """
        thirds: list[list[int]] = [[], [], []]
        for progress, size in samples:
            thirds[min(2, int(3 * progress))].append(size)
        if not all(thirds):
            msg = f"each third must have a sample, have {[len(third) for third in thirds]}"
            raise BrokenPromiseError(msg)
        return cls(*(max(third) for third in thirds))

    def check(self, what: str, *, share: float, slack: int) -> None:
        """Hold that the last third is no larger than the middle one, but for a tolerance.

        Raises:
            BrokenPromiseError: It still grows.
        """
        allowed = self.middle * (1 + share) + slack
        if self.last > allowed:
            msg = f"{what} must level off at {mebibytes(allowed)}, was {self}"
            raise BrokenPromiseError(msg)

    def __str__(self) -> str:
        """Say it in words."""
        sizes = [mebibytes(size) for size in (self.first, self.middle, self.last)]
        return f"{sizes[0]}, {sizes[1]}, {sizes[2]}"


class Saved:
    """Sizes of the states a worker saves, as its snapshots arrive.

    Args:
        steps: Learning steps of each model in the whole run.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._decode = codec("Snapshot").decode
        self._sizes: dict[tuple[bytes, int], Sample] = {}

    def take(self, record: Record, _: float) -> None:
        """Note one snapshot record: a state or a chunk of one."""
        if record.key is None or record.value is None:
            return
        model = record.key.partition(CHUNK_BAR)[0]
        snapshot = self._decode(record.value)
        key = (model, snapshot["sequence"])
        before = self._sizes.get(key)
        size = len(record.value) + (before.size if before else 0)
        self._sizes[key] = Sample(snapshot["version"] / self._steps, size)

    def level(self) -> Level:
        """Return the largest saved states in each third, a sum over the models."""
        by_model: dict[bytes, list[Sample]] = {}
        for (model, _), sample in list(self._sizes.items()):
            by_model.setdefault(model, []).append(sample)
        levels = [Level.of(samples) for samples in by_model.values()]
        return Level(
            sum(level.first for level in levels),
            sum(level.middle for level in levels),
            sum(level.last for level in levels),
        )

    def is_told(self) -> bool:
        """Return whether there are states of every third, so that something can be said."""
        try:
            return self.level().last > 0
        except BrokenPromiseError:
            return False

    def __len__(self) -> int:
        return len(self._sizes)

"""One re-fold under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.fold.refolding import Refolded, Refolding

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidemill.fold.meanwhile import Live
    from tidemill.fold.swapping import Why
    from tidemill.models.state import ModelKey


@dataclass(slots=True)
class Job:
    """One re-fold under way, of all models of an asset that have corrections waiting.

    Attributes:
        offsets: By model, the updates whose corrections it puts in force.
        spent_s: Seconds of work so far.
    """

    name: tuple[str, str]
    offsets: dict[ModelKey, tuple[int, ...]]
    live: Live
    refolding: Refolding | None = None
    spent_s: float = 0.0
    found: Refolded = field(default_factory=Refolded)
    _steps: Generator[None, None, Refolded] | None = None

    def start(self, refolding: Refolding) -> None:
        """Begin the re-fold."""
        self.refolding, self.found = refolding, refolding.result
        self._steps = refolding.run()

    @property
    def laps(self) -> int:
        """How often it set out to read up to the present."""
        return 0 if self.refolding is None else self.refolding.laps

    def step(self) -> bool:
        """Take a step; return whether that was the last."""
        assert self._steps is not None
        try:
            next(self._steps)
        except StopIteration:
            return True
        return False

    def close(self) -> None:
        """Let go of its readers."""
        if self._steps is not None:
            self._steps.close()

    def give_up(self, why: Why) -> None:
        """End it: none of its models is folded again."""
        self.close()
        self.found.failed.update(dict.fromkeys(self.offsets, why))

"""What a fold has done since it was built; for metrics and the balance only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.reports import Scores

if TYPE_CHECKING:
    from tidemill.models.refining import Score


class Counts:
    """Events, lessons, dead letters and flags, and what labels made of predictions."""

    def __init__(self) -> None:
        self.predicted = 0
        self.learned = 0
        self.examples = 0
        self.repeated = 0
        self.foreign_keys = 0
        self.dead: dict[str, int] = {}
        self.flags: dict[str, int] = {}
        self.scores: dict[str, Scores] = {}

    def score(self, stream: str, score: Score | None) -> None:
        """Count what became of a prediction of a champion."""
        if score is not None:
            scores = self.scores.get(stream)
            if scores is None:
                scores = self.scores[stream] = Scores()
            scores.add(*score)

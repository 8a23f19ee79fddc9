"""Scorers of one number, applied to every feature of an event."""

from __future__ import annotations

from typing import Any

from river import base


class LargestScore(base.AnomalyDetector):
    """One of River's scorers for each feature; the largest score counts.

    The scorers want the number in the place of a label. A feature seen for the first time scores
    nothing.
    """

    def __init__(self, scorer: Any) -> None:  # Any: River's scorer
        self.scorer = scorer
        self.scorers: dict[str, Any] = {}  # Any: as above

    def learn_one(self, x: dict[Any, Any]) -> None:  # Any: numbers
        """Learn every feature of an event."""
        for name, value in x.items():
            scorer = self.scorers.get(name)
            if scorer is None:
                scorer = self.scorers[name] = self.scorer.clone()
            scorer.learn_one(None, value)

    def score_one(self, x: dict[Any, Any]) -> float:  # Any: as above
        """Return the largest score of the features; 0 where none is known."""
        scores = [
            scorer.score_one(None, x[name]) for name, scorer in self.scorers.items() if name in x
        ]
        return float(max(scores, default=0.0))

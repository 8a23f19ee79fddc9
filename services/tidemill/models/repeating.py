"""Rare classes are learned several times; their probabilities are put right again."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

from tidemill.models.outputs import MOST_CLASSES, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of the gradient, a label. For two classes the log-odds move by twice that.
STEP = 0.025
# After so many events of delay a step is half as large: what answers late must answer gently.
DELAY_EVENTS = 100.0
# The shift of a class may make its odds up to 148 times larger, or smaller.
FURTHEST = 5.0

Dumped = tuple[tuple[str, float], ...]


def corrected(
    probabilities: Mapping[str, float], factors: Mapping[str, float]
) -> Mapping[str, float]:
    """Return the probabilities with each class's odds multiplied by its factor.

        p_c' = p_c f_c / sum over k of p_k f_k

    A class learned r times looks r times as frequent as it is: its factor is 1 / r. For two
    classes, one of them repeated, that is p / (p + r (1 - p)). Probabilities all 0 stay so.

    Source: Saerens, Latinne & Decaestecker (2002), Neural Computation 14:21-41, eq. 2.4.

    Args:
        factors: Positive, by class; 1 where not named.
    """
    weights = {key: p * factors.get(key, 1.0) for key, p in probabilities.items()}
    total = sum(weights.values())
    if not total > 0.0:
        return probabilities
    return {key: weight / total for key, weight in weights.items()}


class RepeatCorrection:
    """The correction of one model of one asset that learns classes r times.

    The factor of class c is exp(b_c) / r_c. Were copies to change frequencies only, b = 0 would do.
    They also make leaves purer and forests more certain than they should be, so b is learned: with
    p' what was said, corrected, and y 1 for the class that came and 0 for the others,

        b_c' = b_c + g (y_c - p_c')        g = .025 / (1 + d / 100)

    which is the gradient of log loss, d being the events between prediction and label. The mean of
    y_c - p_c' over n labels without delay is then (b_c at the end - b_c at the start) / (.025 n).

    Args:
        repeats: How often each example of a class is learned, from 1; once where not named.
    """

    __slots__ = ("_factors", "_repeats", "_shifts")

    def __init__(self, repeats: Mapping[str, int]) -> None:
        self._repeats = dict(repeats)
        self._factors = {key: 1.0 / count for key, count in repeats.items()}
        self._shifts: dict[str, float] = {}

    def correct(self, answer: Answer) -> Answer:
        """Return the answer corrected, with the class that is then the likeliest.

        The class stays where another is only as likely.
        """
        if answer.probabilities is None:
            return answer
        probabilities = corrected(answer.probabilities, self._factors)
        outcome, best = answer.outcome, probabilities.get(answer.outcome or "", 0.0)
        for key, p in probabilities.items():
            if p > best:
                outcome, best = key, p
        return Answer(None, probabilities, outcome)

    def observe(self, stored: Mapping[str, float], label: str, *, delay: float = 0.0) -> None:
        """Learn from a label, once, however often the model learns the example.

        Of more than 256 classes those met first are shifted.

        Args:
            stored: The corrected probabilities predicted, finite.
            delay: Events between the prediction and its label, from 0.
        """
        step = STEP / (1.0 + delay / DELAY_EVENTS)
        shifts, factors = self._shifts, self._factors
        for key, p in stored.items():
            shift = shifts.get(key)
            if shift is None:
                if len(shifts) >= MOST_CLASSES:
                    continue
                shift = 0.0
            shift += step * ((1.0 if key == label else 0.0) - p)
            shifts[key] = shift = min(max(shift, -FURTHEST), FURTHEST)
            factors[key] = exp(shift) / self._repeats.get(key, 1)

    def dump(self) -> Dumped:
        """Return what was learned, as plain values."""
        return tuple(self._shifts.items())

    def load(self, dumped: Dumped) -> None:
        """Take what was dumped, being new."""
        self._shifts = dict(dumped)
        for key, shift in dumped:
            self._factors[key] = exp(shift) / self._repeats.get(key, 1)

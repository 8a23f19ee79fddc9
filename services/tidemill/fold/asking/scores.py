"""How much the label of a prediction would teach: the less sure the model, the more.

Every score lies in [0, 1]; 1 where the model could say nothing yet.

Source: Settles (2009), Active Learning Literature Survey, section 3.1 (margin and entropy).
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidemill.contracts.targets import ModelKind
    from tidemill.fold.asking.recent import Case

# With fewer answers of an asset than this, those of the whole stream say how far they spread.
ENOUGH = 10


def class_score(probabilities: Mapping[str, float]) -> float:
    """Return how undecided the model is between classes.

    Of two classes: 1 less the margin between them. Of more: the entropy, of the most there can be.
    """
    total = math.fsum(probabilities.values())
    if not total > 0.0:
        return 1.0
    shares = sorted((p / total for p in probabilities.values()), reverse=True)
    if len(shares) <= 2:
        return 1.0 - (shares[0] - sum(shares[1:]))
    entropy = -math.fsum(p * math.log(p) for p in shares if p > 0.0)
    return min(1.0, entropy / math.log(len(shares)))


def width_score(width: float | None, spread: float) -> float:
    """Return how wide an interval is beside how far answers spread, as width / (width + spread).

    Args:
        width: None where there is no interval yet.
        spread: Standard deviation of the recent answers, in the same unit, from 0.
    """
    if width is None:
        return 1.0
    return width / (width + spread) if width > 0.0 else 0.0


class Habit(NamedTuple):
    """What the recent answers of an asset, or of a stream, were like.

    Attributes:
        spread: Standard deviation of the numbers.
        numbers: How many there were.
    """

    spread: float
    numbers: int


class Scorer:
    """Scores cases by what their neighbours in the range were like.

    Args:
        cases: All predictions of the range, asked for or not.
        kinds: What the models of each stream do.
    """

    def __init__(self, cases: Iterable[Case], kinds: Mapping[str, ModelKind]) -> None:
        self._kinds = kinds
        answers: defaultdict[tuple[str, str | None], list[Case]] = defaultdict(list)
        for case in cases:
            if case.value is not None:
                answers[case.stream, case.asset].append(case)
                answers[case.stream, None].append(case)
        self._habits = {about: _habit(found) for about, found in answers.items()}

    def score(self, case: Case) -> float:
        """Return how much the label of a case would teach."""
        kind = self._kinds[case.stream]
        if kind in {"binary", "multiclass"}:
            return 0.0 if case.probabilities is None else class_score(case.probabilities)
        if case.value is None:
            return 0.0
        return width_score(case.width, self._of(case).spread)

    def _of(self, case: Case) -> Habit:
        own = self._habits[case.stream, case.asset]
        return own if own.numbers >= ENOUGH else self._habits[case.stream, None]


def _habit(cases: Sequence[Case]) -> Habit:
    numbers = [case.value for case in cases if case.value is not None]
    return Habit(statistics.pstdev(numbers), len(numbers))

"""Any model at all: Shapley values of its answer, sensors that have not joined being at the mean.

A sensor that has not joined takes the mean of the cases learned, of categories the most frequent;
one that was never learned is left out. Whole events go through the whole pipeline.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tidemill.attribution.explained import Explained
from tidemill.attribution.playing import PERMUTATIONS, Table, play
from tidemill.attribution.question import is_said

if TYPE_CHECKING:
    from tidemill.attribution.question import Question
    from tidemill.models.means import Means

_SPACES = {"regression": "value", "anomaly": "anomaly score"}


class SamplingMethod:
    """Explains whatever answers, by asking it.

    Args:
        pipeline: River's, asked as its task asks it.
        permutations: Drawn where all subsets would be more questions.
    """

    def __init__(
        self,
        pipeline: Any,  # Any: River carries no types
        question: Question,
        means: Means,
        permutations: int = PERMUTATIONS,
    ) -> None:
        self._pipeline = pipeline
        self._question = question
        self._means = means
        self._permutations = permutations
        self._space = _SPACES.get(question.task.name, "probability")

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # Any: numbers and texts
        """Return the explanation; None where the model has no finite answer."""
        question, means, target = self._question, self._means, None
        if self._space == "probability":
            target = question.target(self._pipeline.predict_proba_one(x))
            if target is None:
                return None
        answer, key = self._ask(x, target), question.key(target)
        if not is_said(answer, self._space):
            return None
        if not means.n:
            space = self._space
            return question.unmoved("SAMPLED", answer, x, output_space=space, target_class=key)
        names = [name for name in question.names if name in x or name in means]
        table = Table(x, means.case(), {name: (name,) for name in names})
        played = play(table, lambda case: self._ask(case, target), seed, self._permutations)
        if played is None:
            return None
        return Explained(
            "SAMPLED",
            exact=played.samples is None,
            output_space=self._space,
            base=played.base,
            prediction=played.prediction,
            shares=played.shares,
            target_class=key,
            reference_kind="running mean",
            reference_n=means.n,
            missing=tuple(name for name in names if name not in x),
            samples=played.samples,
        )

    def _ask(self, x: dict[str, Any], target: Any) -> float:  # Any: as above, and River's label
        """Return the probability of a class, the score or the number; NaN where there is none."""
        if target is not None:
            return float(self._pipeline.predict_proba_one(x).get(target, 0.0))
        if self._space == "anomaly score":
            return float(self._pipeline.score_one(x))
        said = self._pipeline.predict_one(x)
        return math.nan if said is None else float(said)

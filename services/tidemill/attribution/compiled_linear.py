"""Linear models in their compiled form: the numbers are read where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.attribution.linear import Reference, Score, is_sigmoid, space_of, taken_apart
from tidemill.attribution.question import is_said

if TYPE_CHECKING:
    from tidemill.attribution.explained import Explained
    from tidemill.attribution.question import Question
    from tidemill.models.means import Means


class CompiledMethod:
    """Explains a compiled linear model; equal to the bit to explaining River's.

    Args:
        linear: What `tidemill.models.compiled.compiled` made.
    """

    def __init__(self, linear: Any, question: Question, means: Means) -> None:  # Any: as compiled
        steps = getattr(linear.river, "steps", None)
        model = linear.river if steps is None else list(steps.values())[-1]
        self._linear = linear
        self._question = question
        self._means = means
        self.is_scaled = steps is not None
        self._about = space_of(sigmoid=is_sigmoid(model), question=question)
        self._columns = {name: (name,) for name in question.names}

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # noqa: ARG002 - as every method; Any: numbers
        """Return the explanation; None where the model has no finite answer."""
        answer = self._linear.predict_one(x)
        if not is_said(answer, self._about[0]):
            return None
        intercept, _, slots = self._linear.give()
        weights = {name: weight for name, _, _, _, weight in slots}
        if self.is_scaled:
            z = {
                name: (x[name] - mean) / var**0.5 if var else 0.0
                for name, _, mean, var, _ in slots
                if name in x
            }
            cases = int(max((count for _, count, *_ in slots), default=0))
            reference = Reference({}, cases, self._columns)
        else:
            z, reference = x, Reference(self._means.numbers, self._means.n, self._columns)
        score = Score(answer, intercept, weights, *self._about)
        return taken_apart(score, self._question, reference, x=x, z=z)

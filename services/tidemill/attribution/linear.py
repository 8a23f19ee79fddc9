"""Linear models, exactly: each sensor's weight times how far it is from the mean learned.

    phi_i = w_i (z_i - m_i)        base = b + sum over i of w_i m_i

z is what the model is given (scaled, encoded), m the mean case in the same space; the columns of
one sensor are summed. A column that is missing adds nothing to River's score: its z is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.attribution.explained import Explained, Share
from tidemill.attribution.passage import kind_of
from tidemill.attribution.question import is_said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.attribution.passage import Passage
    from tidemill.attribution.question import Question
    from tidemill.models.means import Means

_GLM = frozenset({"LinearRegression", "LogisticRegression"})
_AGGRESSIVE = frozenset({"PARegressor", "PAClassifier"})
_BAYESIAN = frozenset({"BayesianLinearRegression"})
_SOFTMAX = frozenset({"SoftmaxRegression"})
_BAG = frozenset({"BaggingRegressor"})
_ONE_SCORE = _GLM | _AGGRESSIVE | _BAYESIAN
_SIGMOID = frozenset({"PAClassifier"})
# Losses whose link is the logistic function; others have none.
_SIGMOID_LOSSES = frozenset({"BinaryLoss"})


class Score(NamedTuple):
    """A linear function of what a model is given, and its value there.

    Attributes:
        space: The output space, one of `OUTPUT_SPACES`.
        classes: River's labels of target and contrast, where classes are compared.
    """

    answer: float
    intercept: float
    weights: Mapping[str, float]
    space: str
    classes: tuple[Any, Any] = (None, None)  # Any: as River has them


class Reference(NamedTuple):
    """The mean case by column, how many cases it is of, and the columns of each sensor."""

    means: Mapping[str, float]
    cases: int
    columns: Mapping[str, Sequence[str]]


def is_linear(model: Any) -> bool:  # Any: River carries no types
    """Return whether a model's number or log-odds are a linear function of what it is given.

    A bag's are where it answers with the mean of such numbers; of classes it takes the mean of
    probabilities, which is none.
    """
    if kind_of(model, _BAG):
        return all(kind_of(one, _ONE_SCORE) and not is_sigmoid(one) for one in model.models)
    return kind_of(model, _ONE_SCORE | _SOFTMAX) != ""


def is_sigmoid(model: Any) -> bool:  # Any: as above
    """Return whether a model answers with the sigmoid of its score, which is then log-odds."""
    if kind_of(model, _GLM):
        return kind_of(model.loss, _SIGMOID_LOSSES) != ""
    return kind_of(model, _SIGMOID) != ""


def space_of(*, sigmoid: bool, question: Question) -> tuple[str, tuple[Any, Any]]:  # Any: labels
    """Return the space of a model with one score, and the classes that it compares."""
    if not question.is_binary:
        return ("log-odds" if sigmoid else "value"), (None, None)
    return ("log-odds", (True, False)) if sigmoid else ("probability", (True, None))


class LinearMethod:
    """Explains one linear model behind its transformers.

    Log-odds are the score itself: where River answers 0 or 1, beyond 30, they go on.
    """

    def __init__(self, passage: Passage, question: Question, means: Means) -> None:
        self._passage = passage
        self._question = question
        self._means = means

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # noqa: ARG002 - as every method; Any: numbers and texts
        """Return the explanation; None where the model has no finite answer."""
        passage, question, model = self._passage, self._question, self._passage.predictor
        z = passage.transform(x)
        if not kind_of(model, _SOFTMAX):
            score = _score(model, z, question)
        else:
            target = question.target(model.predict_proba_one(z))
            if target is None:
                return None
            if target not in model.weights or len(model.weights) == 1:
                p = 1.0 if target in model.weights else 0.0
                return question.one_class("LINEAR", target, x, p)
            score = _contrasted(model, z, target, question)
        if not is_said(score.answer, score.space):
            return None
        reference = Reference(*passage.reference(self._means), passage.columns())
        return taken_apart(score, question, reference, x=x, z=z)


def taken_apart(
    score: Score,
    question: Question,
    reference: Reference,
    *,
    x: Mapping[str, Any],  # Any: numbers and texts
    z: Mapping[str, float],
) -> Explained:
    """Return what each sensor of `x` adds to the score at the reference; sums run in order."""
    answer, base, weights, space, (target, contrast) = score
    means, cases, columns = reference
    shares, missing = [], []
    for name in question.names:
        share, is_known = 0.0, False
        for column in columns[name]:
            weight = weights.get(column)
            if weight is not None:
                is_known, mean = True, means.get(column, 0.0)
                base += weight * mean
                share += weight * (z.get(column, 0.0) - mean)
        if name in x or is_known:
            shares.append(Share(name, float(share)))
        if name not in x and is_known:
            missing.append(name)
    return Explained(
        "LINEAR",
        exact=True,
        output_space=space,
        base=float(base),
        prediction=answer,
        shares=tuple(shares),
        target_class=question.key(target),
        contrast_class=question.key(contrast),
        reference_kind="running mean",
        reference_n=cases,
        missing=tuple(missing),
    )


def _score(model: Any, z: dict[str, float], question: Question) -> Score:  # Any: River's
    """Return the score of a model that has one."""
    space, classes = space_of(sigmoid=is_sigmoid(model), question=question)
    if kind_of(model, _BAG):
        parts = [_parts(one, z) for one in model.models]
        count = len(parts)
        intercept = sum(part.intercept for part in parts) / count
        names = dict.fromkeys(column for part in parts for column in part.weights)
        weights = {
            column: sum(part.weights.get(column, 0.0) for part in parts) / count for column in names
        }
        return Score(float(model.predict_one(z)), intercept, weights, space)
    part = _parts(model, z)
    return Score(part.answer, part.intercept, part.weights, space, classes)


class _Parts(NamedTuple):
    answer: float
    intercept: float
    weights: Mapping[str, float]


def _parts(model: Any, z: dict[str, float]) -> _Parts:  # Any: as above
    if kind_of(model, _GLM):
        return _Parts(model._raw_dot_one(z), model.intercept, model.weights)
    if kind_of(model, _BAYESIAN):
        answer = model.predict_one(z)
        weights = {column: float(model._m_arr[n]) for column, n in model._idx.items()}
        return _Parts(answer, 0.0, weights)
    answer = float(_dot(z, model.weights) + model.intercept)
    return _Parts(answer, float(model.intercept), model.weights)


def _contrasted(
    model: Any, z: dict[str, float], target: Any, question: Question
) -> Score:  # Any: as above, and a label
    """Return the target's logit less the contrast's.

    Logits are told apart by their differences only, so this is that of the centred ones too.
    """
    logits = {label: _dot(weights, z) for label, weights in model.weights.items()}
    contrast = question.contrast(target, logits)
    one, other = model.weights[target], model.weights[contrast]
    weights = {
        column: one.get(column, 0.0) - other.get(column, 0.0)
        for column in dict.fromkeys((*one, *other))
    }
    answer = float(logits[target] - logits[contrast])
    return Score(answer, 0.0, weights, "logit", (target, contrast))


def _dot(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Return the dot product as River computes it, over the shorter of the two."""
    if len(a) < len(b):
        return sum(value * b[name] for name, value in a.items() if name in b)
    return sum(a[name] * value for name, value in b.items() if name in a)

"""Naive Bayes, exactly: one term of the log-odds for each column, measured from its absence.

    log P(t | z) / P(c | z) = log n_t / n_c + sum over columns of log p(z_i | t) / p(z_i | c)

The reference is a case of which nothing is known: the base is the prior. A Bernoulli model counts a
column that it knows and is not given as false, which is a term of the sensor that is missing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tidemill.attribution.explained import Explained, Share
from tidemill.attribution.passage import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.attribution.passage import Passage
    from tidemill.attribution.question import Question

_GAUSSIAN = frozenset({"GaussianNB"})
NAIVE_BAYES = _GAUSSIAN | {"BernoulliNB"}
# What River adds to every probability, so that none is 0.
_LEAST = 10e-10


class NaiveBayesMethod:
    """Explains one naive Bayes model behind its transformers."""

    def __init__(self, passage: Passage, question: Question) -> None:
        self._passage = passage
        self._question = question

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # noqa: ARG002 - as every method; Any: numbers
        """Return the explanation; None before the model knows a class."""
        passage, question, model = self._passage, self._question, self._passage.predictor
        z = passage.transform(x)
        target = question.target(model.predict_proba_one(z))
        if target is None:
            return None
        counts, likelihoods = model.class_counts, model.joint_log_likelihood(z)
        if target not in counts or len(counts) == 1:
            p = 1.0 if target in counts else 0.0
            return question.one_class("NAIVE_BAYES", target, x, p)
        contrast = question.contrast(target, likelihoods)
        shares, missing = self._shares(x, z, target, contrast)
        total = sum(counts.values())
        return Explained(
            "NAIVE_BAYES",
            exact=True,
            output_space="log-odds",
            base=math.log(counts[target] / total) - math.log(counts[contrast] / total),
            prediction=likelihoods[target] - likelihoods[contrast],
            shares=shares,
            target_class=question.key(target),
            contrast_class=question.key(contrast),
            reference_kind="absent",
            reference_n=total,
            missing=missing,
        )

    def _shares(
        self,
        x: Mapping[str, Any],  # Any: numbers
        z: Mapping[str, float],
        target: Any,  # Any: River's labels
        contrast: Any,  # Any: as above
    ) -> tuple[tuple[Share, ...], tuple[str, ...]]:
        model, columns = self._passage.predictor, self._passage.columns()
        term = _gaussian if kind_of(model, _GAUSSIAN) else _bernoulli
        shares, missing = [], []
        for name in self._question.names:
            share = 0.0
            for column in columns[name]:
                share += term(model, column, z, target) - term(model, column, z, contrast)
            if name in x:
                shares.append(Share(name, share))
            elif any(_is_known(model, column) for column in columns[name]):
                shares.append(Share(name, share))
                missing.append(name)
        return tuple(shares), tuple(missing)


def _gaussian(model: Any, column: str, z: Mapping[str, float], label: Any) -> float:  # Any: River's
    """Return what a column adds to the log-likelihood of a class."""
    if column not in z:
        return 0.0
    gaussian = model.gaussians.get(label, {}).get(column)
    added: float = model._log_gaussian_pdf(gaussian, z[column])
    return added


def _bernoulli(
    model: Any, column: str, z: Mapping[str, float], label: Any
) -> float:  # Any: River's
    """Return what a column adds to the log-likelihood of a class."""
    if column not in model.feature_counts:
        return 0.0
    p: float = model.p_feature_given_class(column, label)
    is_true = column in z and z[column] > model.true_threshold
    return math.log(_LEAST + p) if is_true else math.log(_LEAST + (1.0 - p))


def _is_known(model: Any, column: str) -> bool:  # Any: as above
    if kind_of(model, _GAUSSIAN):
        return any(column in columns for columns in model.gaussians.values())
    return column in model.feature_counts

"""Who explains which model: one way in for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from tidemill.attribution.compiled_linear import CompiledMethod
from tidemill.attribution.linear import LinearMethod, is_linear
from tidemill.attribution.naive_bayes import NAIVE_BAYES, NaiveBayesMethod
from tidemill.attribution.neighbours import NEIGHBOURS, NeighboursMethod
from tidemill.attribution.passage import Passage, kind_of
from tidemill.attribution.question import Question
from tidemill.attribution.sampling import SamplingMethod
from tidemill.models import compiled
from tidemill.models.means import Means, take_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.attribution.explained import Explained
    from tidemill.attribution.trees import TreeExplainer
    from tidemill.models.outputs import Task
    from tidemill.models.state import Blueprint, ModelState


class Method(Protocol):
    """One way of explaining one model; `learned` too, where it keeps what a case may change."""

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # Any: numbers and texts
        """Return the explanation; None where the model has no answer to explain."""


class TreesMethod:
    """Explains trees, and what is made of them, behind their transformers."""

    def __init__(self, passage: Passage, question: Question, trees: TreeExplainer) -> None:
        self._passage = passage
        self._question = question
        self._trees = trees

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # noqa: ARG002 - as Method; Any: numbers and texts
        """Return the explanation; a sensor is missing that the event lacks, imputed or not."""
        passage = self._passage
        said = self._trees.explain(passage.transform(x), passage.owners(), self._question.task)
        if said is None:
            return None
        missing = tuple(share.feature for share in said.shares if share.feature not in x)
        return replace(said, missing=missing)

    def learned(self, x: dict[str, Any]) -> None:  # Any: as above
        """Pass on what the trees were given: the transformers had learned the case by then."""
        self._trees.learned(self._passage.transform(x))


class Explainer:
    """Explains what one model answers, as it is at that moment.

    It holds to the pipeline it was made for: who puts another in its place makes another explainer.
    Nothing it keeps decides what it says, `means` excepted: that is state, and belongs to the
    model's own.

    Attributes:
        means: What sensors are measured from, where the model does not know it itself.
    """

    def __init__(self, pipeline: Any, method: Method, means: Means | None) -> None:  # Any: River's
        self.means = means
        self._pipeline = pipeline
        self._method = method
        self._tell = getattr(method, "learned", None)

    def learning(self, x: dict[str, Any]) -> None:  # Any: numbers and texts
        """Take note of a case before the model learns it, as often as it does.

        What a filter will keep from its detector is passed over.
        """
        if self.means is not None:
            take_note(self.means, self._pipeline, x)

    def learned(self, x: dict[str, Any]) -> None:  # Any: as above
        """Refresh what is kept for speed, after the model has learned a case."""
        if self._tell is not None:
            self._tell(x)

    def explain(self, x: dict[str, Any], seed: bytes) -> Explained | None:  # Any: as above
        """Return why the model answers `x` as it does; None where it has no answer.

        Args:
            x: The event's features as the model is asked with them.
            seed: Decides what is drawn, where something is: the event's own.
        """
        return self._method.explain(x, seed)


def explainer_of(
    state: ModelState, blueprint: Blueprint, task: Task, means: Means | None = None
) -> Explainer:
    """Return the explainer of a model as it stands; the arguments as in `explainer_of_pipeline`."""
    names = [feature.name for feature in blueprint.features]
    return explainer_of_pipeline(state.pipeline, names, task, means)


def explainer_of_pipeline(
    pipeline: Any,  # Any: River carries no types
    names: Sequence[str],
    task: Task,
    means: Means | None = None,
) -> Explainer:
    """Return the explainer of a model.

    Args:
        pipeline: A model's pipeline, River's or compiled.
        names: Its features, in the order of the definition.
        means: What the model has learned from, where this is known; new where it is new.
    """
    means, question = means or Means(), Question(task, tuple(names))
    if compiled.Linear is not None and isinstance(pipeline, compiled.Linear):
        fast = CompiledMethod(pipeline, question, means)
        return Explainer(pipeline, fast, None if fast.is_scaled else means)
    passage = Passage(pipeline, question.names)
    predictor = passage.predictor
    if is_linear(predictor):
        linear = LinearMethod(passage, question, means)
        return Explainer(pipeline, linear, None if passage.is_centred else means)
    if kind_of(predictor, NAIVE_BAYES):
        return Explainer(pipeline, NaiveBayesMethod(passage, question), None)
    if kind_of(predictor, NEIGHBOURS):
        return Explainer(pipeline, NeighboursMethod(passage, question), None)
    trees = _trees_of(predictor)
    if trees is not None:
        return Explainer(pipeline, TreesMethod(passage, question, trees), None)
    return Explainer(pipeline, SamplingMethod(pipeline, question, means), means)


def _trees_of(predictor: Any) -> TreeExplainer | None:  # Any: River's
    from tidemill.attribution.trees import explainer_of_trees  # noqa: PLC0415 - imports River

    return explainer_of_trees(predictor)

"""From River's answers to what a prediction records, and from plant values to River's labels."""

from __future__ import annotations

import inspect
import math
from functools import cache
from heapq import nlargest
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Fifth powers of anything smaller stay finite, and so do sums of more squares, weighted, than a
# plant can send: trees multiply squares by features, and raise an error where that overflows.
LARGEST = 1e50

# Bytes of UTF-8, and how many classes one prediction names: what a label can add to a record.
LONGEST_CLASS = 256
MOST_CLASSES = 256

Label = float | bool | str


class Answer(NamedTuple):
    """What a model says of one event: a number, or classes with probabilities."""

    value: float | None
    probabilities: Mapping[str, float] | None
    outcome: str | None


NO_ANSWER = Answer(None, None, None)
# A model that has no number or class to name yet, or lost all of its trees to a drift, is not
# broken: it goes on learning.
NO_CLASS = Answer(None, {}, None)


class Task(Protocol):
    """How a kind of target is asked for and read; `name` as the definition writes it."""

    name: str

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: River's pipeline and x
        """Return the pipeline's answer for `x`; changes nothing."""

    def read_label(self, raw: object) -> Label | None:
        """Return the label River learns; None where the value is no fault but cannot be learned.

        Raises:
            InvalidRecordError: The value contradicts the definition.
        """

    def key(self, label: Label) -> float | str:
        """Return a label as predictions name it: a number, or the key of a class."""

    def learn(
        self, pipeline: Any, x: dict[str, Any], y: Label | None, weight: float = 1.0
    ) -> None:  # Any: River's pipeline and x
        """Let the pipeline learn a case; `weight` says how often it counts, 1 is once.

        A model that takes no weights learns the case once.
        """


class _Labelled:
    """Learning with a label."""

    def learn(
        self, pipeline: Any, x: dict[str, Any], y: Label | None, weight: float = 1.0
    ) -> None:  # Any: as in Task
        """Let the pipeline learn a case with its label."""
        if weight == 1.0 or not takes_weights(pipeline):
            pipeline.learn_one(x, y)
        else:
            pipeline.learn_one(x, y, w=weight)


def takes_weights(pipeline: Any) -> bool:  # Any: River's pipeline
    """Return whether a pipeline can learn a case with a weight."""
    steps = getattr(pipeline, "steps", None)
    model = pipeline if steps is None else list(steps.values())[-1]
    cls: Any = type(getattr(model, "model", model))
    return _has_weight(cls)


@cache
def _has_weight(cls: Any) -> bool:  # Any: River's class
    try:
        return "w" in inspect.signature(cls.learn_one).parameters
    except ValueError:
        return True  # compiled, as the linear models are: it tells no signature


class Regression(_Labelled):
    """Numbers."""

    name = "regression"

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: as in Task
        """Return the number; no answer where the model has diverged to no finite number.

        None is what a Mondrian forest says before it has learned.
        """
        said = pipeline.predict_one(x)
        if said is None:
            return NO_CLASS
        value = float(said)
        return Answer(value, None, None) if -LARGEST <= value <= LARGEST else NO_ANSWER

    def key(self, label: Label) -> float | str:
        """Return the number."""
        return float(label)

    def read_label(self, raw: object) -> Label | None:
        """Return a finite number of reasonable size, else None."""
        if not isinstance(raw, int | float):
            raise _domain("a number", raw)
        y = float(raw)
        return y if -LARGEST <= y <= LARGEST else None


class Binary(_Labelled):
    """Two classes; River is given a bool, because its linear models mislearn anything else.

    Args:
        negative: Key of the class that is False.
        positive: Key of the class that is True.
    """

    name = "binary"

    def __init__(self, negative: str, positive: str) -> None:
        self._keys = {False: negative, True: positive}
        self._classes = {negative: False, positive: True}

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: as in Task
        """Return the probabilities by class key and the likelier class, False where they tie."""
        scores = pipeline.predict_proba_one(x)
        if not scores:
            return NO_CLASS
        if not all(map(math.isfinite, scores.values())):
            return NO_ANSWER
        outcome = scores.get(True, 0.0) > scores.get(False, 0.0)
        keys = self._keys
        return Answer(None, {keys[c]: float(p) for c, p in scores.items()}, keys[outcome])

    def key(self, label: Label) -> float | str:
        """Return the key of the class."""
        return self._keys[bool(label)]

    def read_label(self, raw: object) -> Label | None:
        """Return whether `raw` names the positive class."""
        key = class_key(raw)
        if key is None:
            return None
        label = self._classes.get(key)
        if label is None:
            raise _domain(f"one of {sorted(self._classes)}", raw)
        return label


class Multiclass(_Labelled):
    """Any number of classes, by key."""

    name = "multiclass"

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: as in Task
        """Return the probabilities by class key and the likeliest class.

        Of more than 256 classes those likeliest are named: a label must not swell predictions.
        """
        scores = pipeline.predict_proba_one(x)
        if not scores:
            return NO_CLASS
        if not all(map(math.isfinite, scores.values())):
            return NO_ANSWER
        outcome = max(scores, key=scores.get)
        if len(scores) > MOST_CLASSES:
            scores = dict(nlargest(MOST_CLASSES, scores.items(), key=lambda item: item[1]))
        return Answer(None, {str(c): float(p) for c, p in scores.items()}, str(outcome))

    def key(self, label: Label) -> float | str:
        """Return the key of the class, which is the label."""
        return str(label)

    def read_label(self, raw: object) -> Label | None:
        """Return the class key."""
        return class_key(raw)


class Anomaly:
    """Scores without a label, the higher the stranger, and whether one raises an alarm."""

    name = "anomaly"

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: as in Task
        """Return the score, and `true` where it is an alarm."""
        score = pipeline.score_one(x)
        if not math.isfinite(score):
            return NO_ANSWER
        return Answer(float(score), None, "true" if pipeline.classify(score) else "false")

    def key(self, label: Label) -> float | str:
        """Return the label; there is none to ask for."""
        return str(label)

    def read_label(self, raw: object) -> Label | None:  # noqa: ARG002 - Task's signature
        """Return None: no label is learned."""
        return None

    def learn(
        self,
        pipeline: Any,  # Any: as in Task
        x: dict[str, Any],  # Any: as in Task
        y: Label | None = None,  # noqa: ARG002 - Task's signature
        weight: float = 1.0,  # noqa: ARG002 - Task's signature
    ) -> None:
        """Let the pipeline learn a case that raises no alarm; its filter keeps others away."""
        pipeline.learn_one(x)


def class_key(raw: object, name: str = "the target") -> str | None:
    """Return the key of a class: true/false, an integer in decimal, a string as it is.

    None for NaN and infinity: a fault of the label, not of the record.

    Raises:
        InvalidRecordError: A number that is no integer, or more than 256 bytes of text.
    """
    match raw:
        case bool():
            return "true" if raw else "false"
        case int():
            return str(raw)
        case str() if len(raw) * 4 <= LONGEST_CLASS or len(raw.encode()) <= LONGEST_CLASS:
            return raw
        case str():
            raise _domain(f"a class of at most {LONGEST_CLASS} bytes", raw, name)
        case float() if raw - raw != 0.0:
            return None
        case float() if raw.is_integer() and -LARGEST <= raw <= LARGEST:
            return str(int(raw))
    raise _domain("a class: a truth value, an integer or a text", raw, name)


def _domain(rule: str, raw: object, name: str = "the target") -> InvalidRecordError:
    return InvalidRecordError(DeadLetterReason.DOMAIN, f"{name} must be {rule}, was {raw!r}")

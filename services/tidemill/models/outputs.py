"""From River's answers to what a prediction records, and from plant values to River's labels."""

from __future__ import annotations

import math
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


class Regression:
    """Numbers."""

    name = "regression"

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: as in Task
        """Return the number; no answer where the model has diverged to no finite number."""
        value = float(pipeline.predict_one(x))
        return Answer(value, None, None) if -LARGEST <= value <= LARGEST else NO_ANSWER

    def read_label(self, raw: object) -> Label | None:
        """Return a finite number of reasonable size, else None."""
        if not isinstance(raw, int | float):
            raise _domain("a number", raw)
        y = float(raw)
        return y if -LARGEST <= y <= LARGEST else None


class Binary:
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
        if not scores or not all(map(math.isfinite, scores.values())):
            return NO_ANSWER
        outcome = max(scores, key=scores.get)
        keys = self._keys
        return Answer(None, {keys[c]: float(p) for c, p in scores.items()}, keys[outcome])

    def read_label(self, raw: object) -> Label | None:
        """Return whether `raw` names the positive class."""
        key = class_key(raw)
        if key is None:
            return None
        label = self._classes.get(key)
        if label is None:
            raise _domain(f"one of {sorted(self._classes)}", raw)
        return label


class Multiclass:
    """Any number of classes, by key."""

    name = "multiclass"

    def ask(self, pipeline: Any, x: dict[str, Any]) -> Answer:  # Any: as in Task
        """Return the probabilities by class key and the likeliest class.

        Of more than 256 classes those likeliest are named: a label must not swell predictions.
        """
        scores = pipeline.predict_proba_one(x)
        if not scores or not all(map(math.isfinite, scores.values())):
            return NO_ANSWER
        outcome = max(scores, key=scores.get)
        if len(scores) > MOST_CLASSES:
            scores = dict(nlargest(MOST_CLASSES, scores.items(), key=lambda item: item[1]))
        return Answer(None, {str(c): float(p) for c, p in scores.items()}, str(outcome))

    def read_label(self, raw: object) -> Label | None:
        """Return the class key."""
        return class_key(raw)


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

"""What is explained of an answer: a number, or one class, perhaps against another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.attribution.explained import Explained, Share
from tidemill.models.outputs import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.attribution.explained import Method
    from tidemill.models.outputs import Label, Task


@dataclass(frozen=True, slots=True)
class Question:
    """A task, and the sensors in the definition's order."""

    task: Task
    names: tuple[str, ...]

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes, of which the positive one is always explained."""
        return self.task.name == "binary"

    def key(self, label: Label | None) -> str | None:
        """Return how predictions name a class."""
        return None if label is None else str(self.task.key(label))

    def target(self, scores: Mapping[Any, float]) -> Any:  # Any: River's labels
        """Return the class explained: the positive one, or the one predicted; None before any."""
        if not scores:
            return None
        return True if self.is_binary else max(scores, key=scores.__getitem__)

    def contrast(self, target: Any, scores: Mapping[Any, float]) -> Any:  # Any: as above
        """Return the class it is compared with: the negative one, or the runner-up; None if none.

        Of classes that score alike the first by name.
        """
        others = sorted(label for label in scores if label != target)
        return max(others, key=scores.__getitem__, default=None)

    def unmoved(
        self, method: Method, prediction: float, x: Mapping[str, Any], **more: Any
    ) -> Explained:  # Any: a case, and fields
        """Return the explanation of an answer that no sensor could have changed."""
        shares = tuple(Share(name, 0.0) for name in self.names if name in x)
        return Explained(
            method, exact=True, base=prediction, prediction=prediction, shares=shares, **more
        )

    def one_class(self, method: Method, target: Any, x: Mapping[str, Any], p: float) -> Explained:
        """Return the explanation of a probability that is 0 or 1, as only one class is known."""
        return self.unmoved(method, p, x, output_space="probability", target_class=self.key(target))


def is_finite(value: float) -> bool:
    """Return whether a number is neither NaN nor infinite."""
    return value - value == 0.0


def is_said(value: float, space: str) -> bool:
    """Return whether a model's answer is one: a number beyond 1e50 is taken for diverged."""
    return -LARGEST <= value <= LARGEST if space == "value" else is_finite(value)

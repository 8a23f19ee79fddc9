"""How good an asset's predictions have been, beside the naive model's: one class for each task."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from tidemill.contracts.targets import class_key

if TYPE_CHECKING:
    from tidemill.demo.cases import Answer, Case
    from tidemill.demo.happenings import Truth

FADING = 0.98
LEAST_PROBABILITY = 1e-6


class Score(Protocol):
    """Fading figures of one asset, and how a task's answers and truths read."""

    columns: ClassVar[tuple[str, ...]]

    def note(self, case: Case) -> None:
        """Add one case that has its answer and its truth."""

    def cells(self) -> tuple[str, ...]:
        """Return the figures, one for each column."""

    @staticmethod
    def said(answer: Answer) -> str:
        """Return an answer as people read it."""

    @staticmethod
    def true(truth: Truth) -> str:
        """Return a truth as people read it."""


@dataclass(slots=True)
class FadingMeans:
    """Two means that forget geometrically: the model's error and the naive model's."""

    model: float = 0.0
    naive: float = 0.0
    weight: float = 0.0
    count: int = 0

    def add(self, model: float, naive: float) -> None:
        """Add one error of each."""
        self.count += 1
        self.weight = 1.0 + FADING * self.weight
        self.model = model + FADING * self.model
        self.naive = naive + FADING * self.naive

    @property
    def mean_model(self) -> float:
        """The model's mean error."""
        return self.model / self.weight if self.weight else 0.0

    @property
    def mean_naive(self) -> float:
        """The naive model's mean error."""
        return self.naive / self.weight if self.weight else 0.0

    def cells(self) -> tuple[str, str, str, str]:
        """Return count, both means and their ratio."""
        naive = self.mean_naive
        share = f"{self.mean_model / naive:.0%}" if naive else "-"
        return str(self.count), f"{self.mean_model:.2f}", f"{naive:.2f}", share


@dataclass(slots=True)
class RegressionScore:
    """Mean absolute errors, in the target's unit.

    Where a case brings no naive prediction, the naive model predicts the mean of all truths so far,
    as River's `dummy.StatisticRegressor`.
    """

    columns: ClassVar[tuple[str, ...]] = ("scored", "model", "naive model", "model / naive")
    means: FadingMeans = field(default_factory=FadingMeans)
    _truths: float = 0.0

    def note(self, case: Case) -> None:
        """Add one case whose answer is a number."""
        if case.answer is None or case.answer.value is None or not isinstance(case.truth, float):
            return
        count = self.means.count
        mean = self._truths / count if count else 0.0
        naive = mean if case.naive is None else case.naive
        self._truths += case.truth
        self.means.add(abs(case.answer.value - case.truth), abs(naive - case.truth))

    def cells(self) -> tuple[str, ...]:
        """Return count, both mean errors and their ratio."""
        return self.means.cells()

    @staticmethod
    def said(answer: Answer) -> str:
        """Return the number."""
        return "-" if answer.value is None else f"{answer.value:.2f}"

    @staticmethod
    def true(truth: Truth) -> str:
        """Return the number."""
        return f"{truth:.2f}"


@dataclass(slots=True)
class ClassScore:
    """Log losses in nats, and the share of right answers.

    The naive model predicts each class as often as it was so far, one more for a class never seen.
    A probability below one in a million counts as that.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "scored", "model", "naive model", "model / naive", "right",
    )  # fmt: skip
    means: FadingMeans = field(default_factory=FadingMeans)
    right: int = 0
    _classes: Counter[str] = field(default_factory=Counter)

    def note(self, case: Case) -> None:
        """Add one case; a model that knows no class yet gives the true one no probability."""
        if case.answer is None or case.truth is None or isinstance(case.truth, float):
            return
        key = class_key(case.truth)
        given = (case.answer.probabilities or {}).get(key, 0.0)
        seen = self._classes
        naive = (seen[key] + 1) / (seen.total() + len(seen) + 1)
        self.means.add(-math.log(max(given, LEAST_PROBABILITY)), -math.log(naive))
        self.right += case.answer.outcome == key
        seen[key] += 1

    def cells(self) -> tuple[str, ...]:
        """Return count, both mean losses, their ratio, and the share of right answers."""
        count = self.means.count
        return (*self.means.cells(), f"{self.right / count:.1%}" if count else "-")

    @staticmethod
    def said(answer: Answer) -> str:
        """Return the likeliest class with its probability."""
        if answer.probabilities is None or answer.outcome is None:
            return "-"
        key = str(answer.outcome)
        return f"{key} {answer.probabilities[key]:.0%}"

    @staticmethod
    def true(truth: Truth) -> str:
        """Return the class."""
        return str(truth) if isinstance(truth, float) else class_key(truth)


@dataclass(slots=True)
class AnomalyScore:
    """The score now and the alarms, of which some met a fault that the simulator planted."""

    columns: ClassVar[tuple[str, ...]] = (
        "events", "score", "alarms", "in planted faults", "planted",
    )  # fmt: skip
    events: int = 0
    alarms: int = 0
    planted: int = 0
    met: int = 0
    _score: float = 0.0
    _weight: float = 0.0

    def note(self, case: Case) -> None:
        """Add one case; nothing was ever true of it but whether a fault was planted."""
        if case.answer is None or case.answer.value is None:
            return
        is_alarm = case.answer.outcome == "true"
        self.events += 1
        self.alarms += is_alarm
        self.planted += case.truth is True
        self.met += is_alarm and case.truth is True
        self._weight = 1.0 + FADING * self._weight
        self._score = case.answer.value + FADING * self._score

    def cells(self) -> tuple[str, ...]:
        """Return events, the fading mean score, alarms, those in planted faults, all planted."""
        score = f"{self._score / self._weight:.2f}" if self._weight else "-"
        return str(self.events), score, str(self.alarms), str(self.met), str(self.planted)

    @staticmethod
    def said(answer: Answer) -> str:
        """Return the score, and whether it is an alarm."""
        if answer.value is None:
            return "-"
        return f"{answer.value:.2f} alarm" if answer.outcome == "true" else f"{answer.value:.2f}"

    @staticmethod
    def true(truth: Truth) -> str:
        """Return whether a fault was planted."""
        return "planted fault" if truth is True else "nothing planted"


SCORES: dict[str, type[Score]] = {
    "regression": RegressionScore,
    "binary": ClassScore,
    "multiclass": ClassScore,
    "anomaly": AnomalyScore,
}

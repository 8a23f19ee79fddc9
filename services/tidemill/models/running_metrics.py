"""Running metrics of a model and of the naive one beside it, over all labels so far."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.models.outputs import Answer

# River's bound, and scikit-learn's: what was said to be impossible costs 34.5.
SMALLEST = 1e-15

SumDumped = tuple[float, float, int]
Dumped = tuple[SumDumped, ...]


class Mean:
    """The mean of a stream from a compensated sum: its rounding does not grow with the stream.

    Source: Neumaier (1974), ZAMM 54:39-51, algorithm IV.
    """

    __slots__ = ("_lost", "_total", "count")

    def __init__(self, total: float = 0.0, lost: float = 0.0, count: int = 0) -> None:
        self._total = total
        self._lost = lost
        self.count = count

    def add(self, value: float) -> None:
        """Add a finite value, not below 0."""
        total = self._total
        new = total + value
        self._lost += (total - new) + value if total >= value else (value - new) + total
        self._total = new
        self.count += 1

    def mean(self) -> float:
        """Return the mean; there must be a value."""
        return (self._total + self._lost) / self.count

    def dump(self) -> SumDumped:
        """Return the state as plain values."""
        return self._total, self._lost, self.count


class NumberMetrics:
    """Absolute error and coverage of predicted numbers.

    Each metric is over the labels for which there was what it judges: a model's first labels have
    no interval yet, and the very first no naive answer.
    """

    __slots__ = ("_covered", "_error", "_naive")

    def __init__(self) -> None:
        self._error, self._naive, self._covered = Mean(), Mean(), Mean()

    def observe(
        self, label: float, said: float, *, naive: float | None, covered: bool | None
    ) -> None:
        """Judge what was said before the label was known; an error not finite is passed over.

        Args:
            naive: What the naive model said then; None where it had no answer.
            covered: Whether the stored interval holds the label; None where there was none.
        """
        error = abs(label - said)
        if error - error != 0.0:
            return
        self._error.add(error)
        if naive is not None:
            self._naive.add(abs(label - naive))
        if covered is not None:
            self._covered.add(float(covered))

    def metrics(self) -> dict[str, float]:
        """Return `count`, `mae`, `naive_count`, `naive_mae` and `coverage`, those that exist."""
        return _named(
            ("count", "mae", self._error),
            ("naive_count", "naive_mae", self._naive),
            ("", "coverage", self._covered),
        )

    def dump(self) -> Dumped:
        """Return the state as plain values."""
        return self._error.dump(), self._naive.dump(), self._covered.dump()

    @classmethod
    def load(cls, dumped: Dumped) -> NumberMetrics:
        """Return what was dumped."""
        found = cls()
        found._error, found._naive, found._covered = (Mean(*sums) for sums in dumped)
        return found


class ClassMetrics:
    """Accuracy, log loss and coverage of predicted classes; see `NumberMetrics`."""

    __slots__ = ("_covered", "_hits", "_loss", "_naive_hits", "_naive_loss")

    def __init__(self) -> None:
        self._hits, self._loss, self._covered = Mean(), Mean(), Mean()
        self._naive_hits, self._naive_loss = Mean(), Mean()

    def observe(self, label: str, said: Answer, *, naive: Answer, covered: bool | None) -> None:
        """Judge what was said before the label was known; an answer without classes counts nowhere.

        Args:
            naive: What the naive model said then.
            covered: Whether the stored class set holds the label; None where there was none.
        """
        if not said.probabilities:
            return
        self._hits.add(float(said.outcome == label))
        self._loss.add(log_loss(said.probabilities.get(label, 0.0)))
        if naive.probabilities:
            self._naive_hits.add(float(naive.outcome == label))
            self._naive_loss.add(log_loss(naive.probabilities.get(label, 0.0)))
        if covered is not None:
            self._covered.add(float(covered))

    def metrics(self) -> dict[str, float]:
        """Return count, accuracy, log loss, those of the naive model, and coverage, if they exist.

        Named `count`, `accuracy`, `log_loss`, the same with `naive_` before, and `coverage`.
        """
        return _named(
            ("count", "accuracy", self._hits),
            ("", "log_loss", self._loss),
            ("naive_count", "naive_accuracy", self._naive_hits),
            ("", "naive_log_loss", self._naive_loss),
            ("", "coverage", self._covered),
        )

    def dump(self) -> Dumped:
        """Return the state as plain values."""
        means = (self._hits, self._loss, self._naive_hits, self._naive_loss, self._covered)
        return tuple(mean.dump() for mean in means)

    @classmethod
    def load(cls, dumped: Dumped) -> ClassMetrics:
        """Return what was dumped."""
        found = cls()
        means = [Mean(*sums) for sums in dumped]
        found._hits, found._loss, found._naive_hits, found._naive_loss, found._covered = means
        return found


RunningMetrics = NumberMetrics | ClassMetrics
_SUMS_OF_NUMBERS = len(NumberMetrics().dump())


def load_metrics(dumped: Dumped) -> RunningMetrics:
    """Return what was dumped: of numbers and of classes there is another number of sums."""
    cls = NumberMetrics if len(dumped) == _SUMS_OF_NUMBERS else ClassMetrics
    return cls.load(dumped)


def log_loss(probability: float) -> float:
    """Return -ln p of the probability given to what came, p held within [1e-15, 1]."""
    return -log(min(max(probability, SMALLEST), 1.0))


def _named(*rows: tuple[str, str, Mean]) -> dict[str, float]:
    named: dict[str, float] = {}
    for counted, name, mean in rows:
        if mean.count:
            if counted:
                named[counted] = float(mean.count)
            named[name] = mean.mean()
    return named

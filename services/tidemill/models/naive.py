"""Naive models: the floor that a learner must beat."""

from __future__ import annotations

from tidemill.models.outputs import LARGEST, MOST_CLASSES, NO_ANSWER, Answer

CountsDumped = tuple[int, str | None, tuple[tuple[str, int], ...]]


class Persistence:
    """Says the number it was told last.

    For a target in the event, or labelled later, it is told each label as it is learned. For a
    target ahead it is told the field's reading before it is asked: what it says is then, seen from
    the label, the reading `after` ago.
    """

    __slots__ = ("_last",)

    def __init__(self, last: float | None = None) -> None:
        self._last = last

    def ask(self) -> float | None:
        """Return the last number; None before the first."""
        return self._last

    def observe(self, number: float) -> None:
        """Take a number; NaN, infinity and numbers beyond 1e50 are passed over."""
        if -LARGEST <= number <= LARGEST:
            self._last = number

    def dump(self) -> tuple[float | None]:
        """Return the state as plain values."""
        return (self._last,)

    @classmethod
    def load(cls, dumped: tuple[float | None]) -> Persistence:
        """Return what was dumped."""
        return cls(*dumped)


class Frequencies:
    """Says how often each class was the label so far, and the most frequent one.

    Of classes equally frequent it says the one that was so frequent first. Beyond 256 classes a new
    one is counted among all labels only.
    """

    __slots__ = ("_counts", "_majority", "_total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._total = 0
        self._majority: str | None = None

    def ask(self) -> Answer:
        """Return probabilities and class; no answer before the first label."""
        total = self._total
        if not total:
            return NO_ANSWER
        probabilities = {key: count / total for key, count in self._counts.items()}
        return Answer(None, probabilities, self._majority)

    def observe(self, label: str) -> None:
        """Count a label."""
        counts = self._counts
        self._total += 1
        count = counts.get(label, 0) + 1
        if count == 1 and len(counts) >= MOST_CLASSES:
            return
        counts[label] = count
        majority = self._majority
        if majority is None or count > counts[majority]:
            self._majority = label

    def dump(self) -> CountsDumped:
        """Return the state as plain values."""
        return self._total, self._majority, tuple(self._counts.items())

    @classmethod
    def load(cls, dumped: CountsDumped) -> Frequencies:
        """Return what was dumped."""
        found = cls()
        found._total, found._majority, counts = dumped
        found._counts = dict(counts)
        return found

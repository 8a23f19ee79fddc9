"""What a model learns of its own answers: how often it is right, and how far it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tidemill.models.class_sets import ClassSets
from tidemill.models.intervals import Intervals
from tidemill.models.outputs import Answer
from tidemill.models.repeating import RepeatCorrection

if TYPE_CHECKING:
    from collections.abc import Mapping

RegionKind = Literal["interval", "classes", "none"]


class Region(NamedTuple):
    """Where the label lies nine times in ten: an interval, or a set of classes."""

    interval: tuple[float, float, int] | None = None
    class_set: tuple[str, ...] | None = None


NO_REGION = Region()


class Stored(NamedTuple):
    """What a prediction said, as its label must find it."""

    answer: Answer
    region: Region

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that `load` makes the same of."""
        return tuple(self.answer), tuple(self.region)

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Stored:  # Any: as above
        """Return what was dumped."""
        answer, region = dumped
        return cls(Answer(*answer), Region(*region))


class Refinement:
    """Corrects a model's answers for the classes it learns repeatedly, and says how sure it is.

    Its numbers are part of the model's state; what it does with them is the definition's.
    """

    __slots__ = ("_correction", "_dumped", "_intervals", "_sets")

    def __init__(self, dumped: tuple[Any, ...] = (None, None, None)) -> None:  # Any: plain values
        self._dumped = dumped
        self._correction: RepeatCorrection | None = None
        self._intervals: Intervals | None = None
        self._sets: ClassSets | None = None

    def attach(self, repeats: Mapping[str, int], region: RegionKind) -> None:
        """Work as a definition says, from the numbers there are.

        Args:
            repeats: How often each class is learned.
            region: What comes with the answers.
        """
        shifts, intervals, sets = self.dump()
        self._correction = self._intervals = self._sets = None
        self._dumped = (shifts, intervals, sets)
        if repeats:
            self._correction = RepeatCorrection(repeats)
            self._correction.load(shifts or ())
        if region == "interval":
            self._intervals = Intervals.load(intervals) if intervals else Intervals()
        elif region == "classes":
            self._sets = ClassSets.load(sets) if sets else ClassSets()

    @property
    def is_idle(self) -> bool:
        """Whether the definition asks for nothing of it."""
        return self._correction is None and self._intervals is None and self._sets is None

    def refine(self, answer: Answer) -> Answer:
        """Return the answer as if every case had been learned once."""
        return answer if self._correction is None else self._correction.correct(answer)

    def region(self, answer: Answer) -> Region:
        """Return where the label lies nine times in ten; nothing before 100 labels."""
        if self._intervals is not None:
            if answer.value is None:
                return NO_REGION
            interval = self._intervals.interval(answer.value)
            return NO_REGION if interval is None else Region(interval)
        if self._sets is not None and answer.probabilities:
            return Region(None, self._sets.class_set(answer.probabilities))
        return NO_REGION

    def observe(self, stored: Stored, label: float | str, *, delay: float = 0.0) -> None:
        """Learn from the label of a prediction, once.

        Args:
            label: The number, or the key of the class.
            delay: Events between the prediction and its label.
        """
        (value, probabilities, _), (interval, class_set) = stored
        if self._intervals is not None and value is not None:
            assert not isinstance(label, str)
            covered = None if interval is None else interval[0] <= label <= interval[1]
            self._intervals.observe(value, label, covered=covered, delay=delay)
        if probabilities:
            key = str(label)
            if self._sets is not None:
                self._sets.observe(probabilities, key, class_set=class_set, delay=delay)
            if self._correction is not None:
                self._correction.observe(probabilities, key, delay=delay)

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return the numbers; those that the definition has no use for stay."""
        shifts, intervals, sets = self._dumped
        return (
            shifts if self._correction is None else self._correction.dump(),
            intervals if self._intervals is None else self._intervals.dump(),
            sets if self._sets is None else self._sets.dump(),
        )

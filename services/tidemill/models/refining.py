"""What a model learns of its own answers: how often it is right, and how far it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tidemill.models.class_sets import ClassSets
from tidemill.models.intervals import Intervals
from tidemill.models.naive import Frequencies, Persistence
from tidemill.models.outputs import NO_ANSWER, Answer
from tidemill.models.repeating import RepeatCorrection
from tidemill.models.running_metrics import log_loss

if TYPE_CHECKING:
    from collections.abc import Mapping

RegionKind = Literal["interval", "classes", "none"]


class Region(NamedTuple):
    """Where the label lies nine times in ten: an interval, or a set of classes."""

    interval: tuple[float, float, int] | None = None
    class_set: tuple[str, ...] | None = None


NO_REGION = Region()


class Stored(NamedTuple):
    """What a prediction said, and the naive model beside it, as its label must find it."""

    answer: Answer
    region: Region
    naive: Answer = NO_ANSWER

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that `load` makes the same of."""
        return tuple(self.answer), tuple(self.region), tuple(self.naive)

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Stored:  # Any: as above
        """Return what was dumped."""
        answer, region, naive = dumped
        return cls(Answer(*answer), Region(*region), Answer(*naive))


class Score(NamedTuple):
    """What became of a prediction: absolute error, or log loss of classes.

    Attributes:
        naive: The same of the naive model; None where it had no answer.
        is_covered: Whether the label lay in the region; None where there was none.
    """

    error: float
    naive: float | None
    is_covered: bool | None


NOTHING = (None, None, None, None, None)


class Refinement:
    """Corrects a model's answers for the classes it learns repeatedly, and says how sure it is.

    Beside a champion stands the naive model, which it must beat.

    Its numbers are part of the model's state; what it does with them is the definition's.
    """

    __slots__ = ("_correction", "_dumped", "_frequencies", "_intervals", "_persistence", "_sets")

    def __init__(self, dumped: tuple[Any, ...] = NOTHING) -> None:  # Any: plain values
        self._dumped = dumped
        self._correction: RepeatCorrection | None = None
        self._intervals: Intervals | None = None
        self._sets: ClassSets | None = None
        self._persistence: Persistence | None = None
        self._frequencies: Frequencies | None = None

    def attach(self, repeats: Mapping[str, int], region: RegionKind) -> None:
        """Work as a definition says, from the numbers there are.

        Args:
            repeats: How often each class is learned.
            region: What comes with the answers.
        """
        self._dumped = shifts, intervals, sets, last, frequencies = self.dump()
        self._correction = self._intervals = self._sets = None
        self._persistence = self._frequencies = None
        if repeats:
            self._correction = RepeatCorrection(repeats)
            self._correction.load(shifts or ())
        if region == "interval":
            self._intervals = Intervals.load(intervals) if intervals else Intervals()
            self._persistence = Persistence.load(last) if last else Persistence()
        elif region == "classes":
            self._sets = ClassSets.load(sets) if sets else ClassSets()
            self._frequencies = Frequencies.load(frequencies) if frequencies else Frequencies()

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

    def naive(self) -> Answer:
        """Return what the naive model beside the champion says."""
        if self._persistence is not None:
            return Answer(self._persistence.ask(), None, None)
        return NO_ANSWER if self._frequencies is None else self._frequencies.ask()

    def observe(self, stored: Stored, label: float | str, *, delay: float = 0.0) -> Score | None:
        """Learn from the label of a prediction, once; return what became of it.

        Args:
            label: The number, or the key of the class.
            delay: Events between the prediction and its label.

        Returns:
            The score; None where nothing was said, or nobody asks for it.
        """
        if self._correction is not None and stored.answer.probabilities:
            self._correction.observe(stored.answer.probabilities, str(label), delay=delay)
        if isinstance(label, str):
            return self._observe_class(stored, label, delay)
        return self._observe_number(stored, label, delay)

    def _observe_number(self, stored: Stored, label: float, delay: float) -> Score | None:
        if self._intervals is None or self._persistence is None:
            return None
        self._persistence.observe(label)
        value, naive, interval = stored.answer.value, stored.naive.value, stored.region.interval
        if value is None:
            return None
        covered = None if interval is None else interval[0] <= label <= interval[1]
        self._intervals.observe(value, label, covered=covered, delay=delay)
        return Score(abs(label - value), None if naive is None else abs(label - naive), covered)

    def _observe_class(self, stored: Stored, label: str, delay: float) -> Score | None:
        if self._sets is None or self._frequencies is None:
            return None
        self._frequencies.observe(label)
        (_, said, _), region, (_, naive, _) = stored
        if not said:
            return None
        chosen = region.class_set
        self._sets.observe(said, label, class_set=chosen, delay=delay)
        covered = None if chosen is None else label in chosen
        beside = log_loss(naive.get(label, 0.0)) if naive else None
        return Score(log_loss(said.get(label, 0.0)), beside, covered)

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return the numbers; those that the definition has no use for stay."""
        shifts, intervals, sets, last, frequencies = self._dumped
        return (
            shifts if self._correction is None else self._correction.dump(),
            intervals if self._intervals is None else self._intervals.dump(),
            sets if self._sets is None else self._sets.dump(),
            last if self._persistence is None else self._persistence.dump(),
            frequencies if self._frequencies is None else self._frequencies.dump(),
        )

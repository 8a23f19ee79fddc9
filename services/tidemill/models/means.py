"""What a model has learned from, sensor by sensor: means, and how often each category came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.models.allowed import ALLOWED, component, parameters_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.stream import Step

# Categories of one sensor that are counted, as many as the encoders learn.
MOST_CATEGORIES = 256

# Predictors that know themselves what their answers are measured from.
_KNOWN = ("tree.", "forest.", "naive_bayes.", "neighbors.", "anomaly.HalfSpaceTrees")
_CENTRED = "preprocessing.StandardScaler"
_NESTED = ("anomaly_detector", "model")

Number = tuple[int, float]
Dumped = tuple[
    int,
    tuple[tuple[str, int, float], ...],
    tuple[tuple[str, int, tuple[tuple[str, int], ...]], ...],
]


def keeps_means(steps: Sequence[Step]) -> bool:
    """Return whether explanations of a pipeline are measured from means that it does not keep."""
    name = steps[-1].name
    parameters = parameters_of(name, steps[-1].parameters) if name in ALLOWED else {}
    is_bag = name.startswith("ensemble.")
    for nested in _NESTED:
        if nested in parameters:
            name, _ = component(parameters[nested])
    if is_bag:
        return not name.startswith("tree.")
    if name.startswith(_KNOWN):
        return False
    is_linear = name.startswith("linear_model.")
    return not (is_linear and any(step.name == _CENTRED for step in steps))


def take_note(means: Means, pipeline: Any, x: Mapping[str, Any]) -> None:  # Any: River's, and x
    """Add a case before its pipeline learns it, unless a filter will keep it from its detector."""
    is_filter = hasattr(pipeline, "classify")
    if not (is_filter and pipeline.classify(pipeline.score_one(x))):
        means.learn(x)


class Means:
    """The running mean of every sensor over the cases learned: what shares are measured from.

    A sensor that is missing from a case counts for nothing. Means are Welford's, in the order
    learned, with the bits of River's scalers:

        n += 1        m += (x - m) / n

    Beyond 256 categories of one sensor a new one counts among all cases only.

    Attributes:
        n: Cases learned.
    """

    __slots__ = ("_categories", "_numbers", "n")

    def __init__(self) -> None:
        self.n = 0
        self._numbers: dict[str, Number] = {}
        self._categories: dict[str, tuple[int, dict[str, int]]] = {}

    def learn(self, x: Mapping[str, float | str]) -> None:
        """Take a case that the model learns; numbers are finite."""
        self.n += 1
        numbers = self._numbers
        for name, value in x.items():
            if isinstance(value, str):
                self._count(name, value)
                continue
            count, mean = numbers.get(name, (0, 0.0))
            count += 1
            numbers[name] = count, mean + (value - mean) / count

    def _count(self, name: str, category: str) -> None:
        count, categories = self._categories.get(name, (0, {}))
        self._categories[name] = count + 1, categories
        if category in categories or len(categories) < MOST_CATEGORIES:
            categories[category] = categories.get(category, 0) + 1

    def __contains__(self, name: object) -> bool:
        """Return whether a case ever had this sensor."""
        return name in self._numbers or name in self._categories

    @property
    def numbers(self) -> dict[str, float]:
        """The mean of each sensor with numbers."""
        return {name: mean for name, (_, mean) in self._numbers.items()}

    def frequencies(self, name: str) -> dict[str, float]:
        """Return the share of each category in the cases that had the sensor."""
        count, categories = self._categories.get(name, (0, {}))
        return {category: times / count for category, times in categories.items()}

    def case(self) -> dict[str, float | str]:
        """Return the mean case: means, and of categories the most frequent.

        Of categories equally frequent the one that came first.
        """
        case: dict[str, float | str] = dict(self.numbers)
        for name, (_, categories) in self._categories.items():
            case[name] = max(categories, key=categories.__getitem__)
        return case

    def dump(self) -> Dumped:
        """Return the state as plain values."""
        numbers = tuple((name, count, mean) for name, (count, mean) in self._numbers.items())
        counted = self._categories.items()
        return self.n, numbers, tuple((name, n, tuple(c.items())) for name, (n, c) in counted)

    @classmethod
    def load(cls, dumped: Dumped) -> Means:
        """Return what was dumped."""
        found = cls()
        found.n, numbers, counted = dumped
        found._numbers = {name: (count, mean) for name, count, mean in numbers}
        found._categories = {name: (count, dict(items)) for name, count, items in counted}
        return found

"""Plain River of every family, and nothing of ours: ask, then learn, as a person would write it."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.plain_river import bits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.sheets import X

river_anomaly, river_preprocessing, river_stats = (  # Any: River carries no types
    import_module(f"river.{name}") for name in ("anomaly", "preprocessing", "stats")
)


class Said(NamedTuple):
    """What one model says: a number or the probability of each class, in bits; and an alarm."""

    value: bytes | None = None
    probabilities: tuple[tuple[str, bytes], ...] | None = None
    alarm: str | None = None


class PlainNumber:
    """A regression."""

    def __init__(self, model: Any) -> None:  # Any: as above
        self.model = model

    def ask(self, x: X) -> Said:
        """Return the number."""
        said = self.model.predict_one(x)
        return Said(None if said is None else bits(float(said)))

    def learn(self, x: X, y: Any) -> None:  # Any: as above
        """Teach the model."""
        self.model.learn_one(x, y)


class PlainMinMax(PlainNumber):
    """River's scaler makes NaN of what it has not learned: until then no feature is shown."""

    is_taught = False

    def ask(self, x: X) -> Said:
        """Return the number."""
        return super().ask(x if self.is_taught else {})

    def learn(self, x: X, y: Any) -> None:  # Any: as above
        """Teach the model."""
        super().learn(x, y)
        self.is_taught = True


class PlainClasses:
    """A classification into classes named in order.

    River keeps the classes it met in a set, and sums in the order of that set, which for texts
    differs from process to process. It is given the place of a class among the names instead:
    small numbers have one order, which is that of the names.

    Args:
        names: Of all classes, in order.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:  # Any: as above
        self.model = model
        self.names = tuple(names)
        self.is_binary = len(self.names) == 2

    def ask(self, x: X) -> Said:
        """Return the probability of each class."""
        scores = self.model.predict_proba_one(x)
        if not scores:
            return Said()
        return Said(None, tuple(sorted((self.names[int(c)], bits(p)) for c, p in scores.items())))

    def learn(self, x: X, y: Any) -> None:  # Any: as above
        """Teach the model."""
        self.model.learn_one(x, bool(y) if self.is_binary else self.names.index(y))


class PlainEncoded(PlainClasses):
    """A classification of numbers, and of one nominal feature behind one of River's encoders."""

    def __init__(
        self,
        encoder: Any,
        model: Any,
        names: Sequence[str],
        nominal: str,
    ) -> None:  # Any: as above
        super().__init__(model, names)
        self.encoder = encoder
        self.nominal = nominal
        self.known: set[str] = set()

    def ask(self, x: X) -> Said:
        """Return the probability of each class; a category met for the first time is missing."""
        return super().ask(self._encoded(x))

    def learn(self, x: X, y: Any) -> None:  # Any: as above
        """Teach encoder and model."""
        self.known.add(x[self.nominal])
        self.encoder.learn_one({f"{self.nominal}=": x[self.nominal]})
        super().learn(self._encoded(x), y)

    def _encoded(self, x: X) -> X:
        category = x[self.nominal]
        seen = {f"{self.nominal}=": category} if category in self.known else {}
        numbers = {name: value for name, value in x.items() if name != self.nominal}
        return {**self.encoder.transform_one(seen), **numbers}


class PlainFilter:
    """A detector that is not taught what scores higher than most."""

    def __init__(self, detector: Any, q: float) -> None:  # Any: as above
        self.model = river_anomaly.QuantileFilter(detector, q=q)

    def ask(self, x: X) -> Said:
        """Return the score, and whether it is an alarm."""
        score = self.model.score_one(x)
        return Said(bits(float(score)), None, "true" if self.model.classify(score) else "false")

    def learn(self, x: X, _: Any) -> None:  # Any: as above
        """Teach the detector what is no alarm."""
        self.model.learn_one(x)


class PlainScorers:
    """One of River's scorers for each feature; the largest score counts.

    Args:
        make: Returns a scorer.
        q: Of the scores, above which there is an alarm; 0 takes the threshold.
    """

    def __init__(
        self,
        make: Callable[[], Any],  # Any: as above
        *,
        q: float = 0.0,
        threshold: float = math.inf,
    ) -> None:
        self.make = make
        self.scorers: dict[str, Any] = {}  # Any: as above
        self.quantile = river_stats.Quantile(q) if q else None
        self.threshold = threshold

    def _score(self, x: X) -> float:
        known = self.scorers.items()
        scores = [scorer.score_one(None, x[name]) for name, scorer in known if name in x]
        return max(scores, default=0.0)

    def _limit(self) -> float:
        return self.threshold if self.quantile is None else self.quantile.get() or math.inf

    def ask(self, x: X) -> Said:
        """Return the largest score, and whether it is an alarm."""
        score = self._score(x)
        return Said(bits(float(score)), None, "true" if score >= self._limit() else "false")

    def learn(self, x: X, _: Any) -> None:  # Any: as above
        """Teach every scorer what is no alarm."""
        score = self._score(x)
        if score < self._limit():
            for name, value in x.items():
                self.scorers.setdefault(name, self.make()).learn_one(None, value)
        if self.quantile is not None:
            self.quantile.update(score)


Plain = PlainNumber | PlainClasses | PlainFilter | PlainScorers

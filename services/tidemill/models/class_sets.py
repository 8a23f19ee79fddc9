"""Sets of classes that hold 90 % of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.prediction import LEVEL
from tidemill.models.conformal import Calibration, Dumped

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# A model right more often than 90 % raises the level for ever, to no end: no set is empty. Twice
# the miss rate aimed at is soon undone when the model errs again.
_HIGHEST = 2.0 * (1.0 - LEVEL)


class ClassSets:
    """The class set of one model of one asset: the likeliest class, and all that are likely enough.

    The score of a class is 1 - p, and those within the reach are in the set. A model that is right
    more often than 90 % is covered at least as often as it is right.

    Source: Sadinle, Lei & Wasserman (2019), Least ambiguous set-valued classifiers with bounded
    error levels, JASA 114:223-234.
    """

    __slots__ = ("_calibration",)

    def __init__(self, calibration: Calibration | None = None) -> None:
        self._calibration = calibration or Calibration()

    def class_set(self, probabilities: Mapping[str, float]) -> tuple[str, ...] | None:
        """Return the classes, likeliest first; None before 100 labels, or without classes."""
        if not self._calibration.is_ready or not probabilities:
            return None
        reach = self._calibration.reach
        chosen = [(-p, key) for key, p in probabilities.items() if 1.0 - p <= reach]
        if len(chosen) > 1:
            chosen.sort()
            return tuple([key for _, key in chosen])
        return (chosen[0][1] if chosen else max(probabilities, key=probabilities.__getitem__),)

    def observe(
        self,
        stored: Mapping[str, float],
        label: str,
        *,
        class_set: Collection[str] | None,
        delay: float = 0.0,
    ) -> None:
        """Learn from a label, unless no classes were named or its probability is not finite.

        The level rests at twice the miss rate aimed at, and where the set held all classes.

        Args:
            stored: The probabilities predicted; a class not named there has none.
            class_set: The set stored with the prediction; None where there was none.
            delay: Events between the prediction and its label, from 0.
        """
        score = 1.0 - stored.get(label, 0.0)
        if not stored or score - score != 0.0:
            return
        calibration = self._calibration
        if class_set is not None:
            covered = label in class_set
            if calibration.alpha < _HIGHEST if covered else len(class_set) < len(stored):
                calibration.step(covered=covered, delay=delay)
        calibration.add(score)

    def dump(self) -> Dumped:
        """Return the state as plain values."""
        return self._calibration.dump()

    @classmethod
    def load(cls, dumped: Dumped) -> ClassSets:
        """Return what was dumped.

        Raises:
            InvariantError: No such state.
        """
        return cls(Calibration.load(dumped))

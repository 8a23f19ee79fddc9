"""Intervals around a predicted number that hold 90 % of the labels."""

from __future__ import annotations

from tidemill.models.conformal import FEWEST, Calibration, Dumped


class Intervals:
    """The interval of one model of one asset, calibrated on its own absolute residuals."""

    __slots__ = ("_calibration",)

    def __init__(self, calibration: Calibration | None = None) -> None:
        self._calibration = calibration or Calibration()

    def interval(self, value: float) -> tuple[float, float, int] | None:
        """Return low, high and the labels learned so far; None before 100 labels."""
        calibration = self._calibration
        labels = calibration.labels
        if labels < FEWEST:
            return None
        reach = calibration.reach
        return value - reach, value + reach, labels

    def observe(
        self, stored: float, label: float, *, covered: bool | None, delay: float = 0.0
    ) -> None:
        """Learn from a label; one that leaves no finite residual changes nothing.

        The level does not rise where no smaller interval is left: through hours of equal residuals
        it would rise without end, and what follows them would be missed.

        Args:
            stored: What was predicted.
            covered: Whether the interval stored with the prediction holds the label; None where
                there was none.
            delay: Events between the prediction and its label, from 0.
        """
        residual = abs(label - stored)
        if residual - residual != 0.0:
            return
        calibration = self._calibration
        if covered is not None and not (covered and calibration.is_least):
            calibration.step(covered=covered, delay=delay)
        calibration.add(residual)

    def dump(self) -> Dumped:
        """Return the state as plain values."""
        return self._calibration.dump()

    @classmethod
    def load(cls, dumped: Dumped) -> Intervals:
        """Return what was dumped.

        Raises:
            InvariantError: No such state.
        """
        return cls(Calibration.load(dumped))

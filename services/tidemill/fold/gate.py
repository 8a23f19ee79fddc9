"""The quality gate: what reaches a model is finite, in range and in canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.hot import floats_within
from tidemill.contracts.prediction import Quality
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.outputs import LARGEST, class_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.stream import Feature


class Checked(NamedTuple):
    """Features that a model may see, and what was wrong with those it may not.

    `withheld` are the features with a fault; one that is merely missing is not among them.
    """

    x: dict[str, Any]  # Any: numbers and, for nominal features, strings
    quality: tuple[Quality, ...]
    is_learnable: bool
    withheld: tuple[str, ...] = ()

    def with_fault(self, fault: Quality) -> Checked:
        """Return the same with a fault that is none of the features'."""
        quality = tuple(sorted({*self.quality, fault}))
        return Checked(self.x, quality, is_learnable=False, withheld=self.withheld)


# Bounds that no number keeps.
_NOMINAL = (1.0, -1.0)

_CLEAN: tuple[Quality, ...] = ()


class Gate:
    """Checks the features of one stream.

    A feature that is null or absent is missing: no fault, unless the definition requires it. NaN,
    infinity and values outside the range are faults: the feature is withheld from the model as if
    it were missing, the event is predicted and flagged, and never learned. Where the definition
    gives no range, values must stay within ±1e50, so that nothing in a model overflows.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self._required = frozenset(feature.name for feature in features if feature.required)
        self._bounds = tuple((feature.name, *_bounds(feature)) for feature in features)

    def check(self, values: dict[str, Any]) -> Checked:  # Any: Avro values
        """Return what a model may see of `values`, in definition order.

        Raises:
            InvalidRecordError: A value is of a kind that the definition does not allow.
        """
        plain = floats_within(values, self._bounds)
        return Checked(plain, _CLEAN, True) if plain is not None else self._check_each(values)

    def _check_each(self, values: dict[str, Any]) -> Checked:  # Any: as above
        x: dict[str, Any] = {}  # Any: as in Checked
        faults: set[Quality] = set()
        withheld: list[str] = []
        for name, low, high in self._bounds:
            fault = _withhold(x, name, values.get(name), (low, high))
            if fault is not None:
                faults.add(fault)
                if fault is not Quality.MISSING:
                    withheld.append(name)
        if not faults:
            return Checked(x, _CLEAN, is_learnable=True)
        is_learnable = self._learnable(faults, values)
        return Checked(x, tuple(sorted(faults)), is_learnable, tuple(withheld))

    def _learnable(self, faults: set[Quality], values: Mapping[str, Any]) -> bool:  # Any: Avro
        if faults != {Quality.MISSING}:
            return False
        return all(values.get(name) is not None for name in self._required)


def _bounds(feature: Feature) -> tuple[float, float]:
    if feature.kind == "nominal":
        return _NOMINAL
    low = -LARGEST if feature.low is None else max(feature.low, -LARGEST)
    return low, LARGEST if feature.high is None else min(feature.high, LARGEST)


def _withhold(
    x: dict[str, Any],  # Any: as in Checked
    name: str,
    value: object,
    bounds: tuple[float, float],
) -> Quality | None:
    """Put `value` into `x` if it may be seen; return why not otherwise."""
    if value is None:
        return Quality.MISSING
    low, high = bounds
    if bounds == _NOMINAL:
        key = class_key(value, name)
        if key is None:
            return Quality.NOT_FINITE
        x[name] = key
        return None
    if not isinstance(value, int | float):
        msg = f"{name} must be a number, was {value!r}"
        raise InvalidRecordError(DeadLetterReason.CONTRACT, msg)
    number = float(value)
    if low <= number <= high:
        x[name] = number
        return None
    return Quality.NOT_FINITE if number - number != 0.0 else Quality.OUT_OF_RANGE

"""What one rule does to one field: its value in, its value out, `ValueError` where it cannot."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.targets import class_key
from tidemill.runtime.csv_values import parse_ticks
from tidemill.runtime.dlq_units import way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.runtime.dlq_fix_document import ConvertDocument, ScaleDocument
    from tidemill.runtime.dlq_records import TopicRecords

    Edit = Callable[[object, Any, "Place"], object]  # Any: each action's own argument, checked

_MICROSECONDS = {
    "s": Fraction(1_000_000),
    "ms": Fraction(1_000),
    "us": Fraction(1),
    "ns": Fraction(1, 1_000),
}


class Place(NamedTuple):
    """The field that is edited, and the schema it will be written by."""

    records: TopicRecords
    schema_id: int
    name: str

    @property
    def unit(self) -> str | None:
        """The unit that the definition gives this sensor."""
        return definition_unit(self.records, self.schema_id, self.name)


def definition_unit(records: TopicRecords, schema_id: int | None, name: str) -> str | None:
    """Return the unit that the definition gives a sensor, or None."""
    stream = records.stream(schema_id)
    features = stream.features if stream is not None else ()
    return next((each.unit for each in features if each.name == name), None)


def _default(value: object, argument: object, _: Place) -> object:
    return argument if value is None else value


def _constant(_: object, argument: object, __: Place) -> object:
    return argument


def _scale(value: object, argument: ScaleDocument, _: Place) -> object:
    factor, offset = Fraction(str(argument.factor)), Fraction(str(argument.offset))
    return _affine(value, factor, offset)


def _convert(value: object, argument: ConvertDocument, place: Place) -> object:
    target = argument.to or place.unit
    if target is None:
        msg = f"must say to which unit: the definition gives {place.name} none"
        raise ValueError(msg)
    return _affine(value, *way(argument.source, target))


def _affine(value: object, factor: Fraction, offset: Fraction) -> int | float:
    number = _number(value)
    if isinstance(number, float) and not math.isfinite(number):
        return number * float(factor) + float(offset)
    moved = Fraction(str(number)) * factor + offset
    if isinstance(number, int) and moved.denominator == 1:
        return int(moved)
    try:
        return float(moved)
    except OverflowError as error:
        msg = f"must stay a finite number, {number!r} becomes too large"
        raise ValueError(msg) from error


def _clamp(value: object, argument: list[float | None], _: Place) -> object:
    number, (low, high) = _number(value), argument
    if low is not None and number < low:
        return low
    return high if high is not None and number > high else value


def _blank(value: object, argument: list[float | None], place: Place) -> object:
    number = _number(value)
    if isinstance(number, float) and math.isnan(number):
        return None
    return value if _clamp(value, argument, place) == number else None


def _mapped(value: object, argument: Mapping[str, object], _: Place) -> object:
    key = class_key(value) if isinstance(value, bool | int | str) else str(value)
    return argument.get(key, value)


def _parsed(value: object, argument: str, _: Place) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    other = "," if argument == "." else "."
    digits = text.replace(argument, ".")
    if other in text or "_" in text:
        msg = f"must be a number whose decimal separator is {argument!r}, was {value!r}"
        raise ValueError(msg)
    try:
        return float(digits)
    except ValueError as error:
        msg = f"must be a number, was {value!r}"
        raise ValueError(msg) from error


def _time(value: object, argument: str, place: Place) -> object:
    target = place.records.unit(place.schema_id, place.name)
    if argument == "iso":
        return parse_ticks(value, target) if isinstance(value, str) else value
    number = _number(value)
    if not math.isfinite(number):
        msg = f"must be a time, was {value!r}"
        raise ValueError(msg)
    return math.floor(Fraction(str(number)) * _MICROSECONDS[argument] / _MICROSECONDS[target])


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"must be a number, was {value!r}; a rule number reads text"
        raise ValueError(msg)
    return value


EDITS: Mapping[str, Edit] = {
    "default": _default,
    "constant": _constant,
    "scale": _scale,
    "convert": _convert,
    "clamp": _clamp,
    "blank": _blank,
    "classes": _mapped,
    "number": _parsed,
    "time": _time,
}

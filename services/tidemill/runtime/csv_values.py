"""One cell of a CSV as an Avro value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tidemill.contracts.avro import kind_of, logical_type, without_null
from tidemill.contracts.targets import class_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.contracts.codec import JsonSchema
    from tidemill.contracts.targets import LabelTarget

Cell = bool | int | float | str

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TICKS_PER_US = {"s": Decimal("0.000001"), "ms": Decimal("0.001"), "us": Decimal(1)} | {
    "ns": Decimal(1000)
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False} | {
    "yes": True, "no": False
}  # fmt: skip
_LARGEST_FLOAT = 3.4028234663852886e38  # IEEE 754 binary32
_LOGICAL_UNITS = {"timestamp-millis": "ms", "timestamp-micros": "us"}


def parser_for(schema: JsonSchema) -> Callable[[str], Cell] | None:
    """Return what reads a cell as `schema` (null apart), or None if no cell can hold it.

    The parsers raise `ValueError` with what must hold.
    """
    inner = without_null(schema)
    unit = _LOGICAL_UNITS.get(logical_type(inner) or "")
    if unit is not None:
        return lambda cell: parse_ticks(cell, unit)
    kind = kind_of(inner)
    if kind == "enum":
        symbols = list(inner["symbols"])
        return lambda cell: _symbol(cell, symbols)
    return _PARSERS.get(kind)


def parse_ticks(cell: str, unit: str) -> int:
    """Return a time in `unit` since 1970 from ISO 8601 (UTC where it names no zone) or a number.

    Raises:
        ValueError: Neither, or not a calendar time.
    """
    text = cell.strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return ticks_of(_iso_us(text), unit)
    if not number.is_finite():
        msg = f"must be a time, was {cell!r}"
        raise ValueError(msg)
    return int(number.to_integral_value(ROUND_FLOOR))


def ticks_of(time_us: int, unit: str) -> int:
    """Return microseconds since 1970 in `unit`, rounded towards the past."""
    return int((time_us * _TICKS_PER_US[unit]).to_integral_value(ROUND_FLOOR))


def micros_of(ticks: int, unit: str) -> int:
    """Return ticks of `unit` as microseconds, rounded towards the past."""
    return int((ticks / _TICKS_PER_US[unit]).to_integral_value(ROUND_FLOOR))


def label_value(cell: str, target: LabelTarget) -> bool | float | str:
    """Return a label as `plant.labels` carries it: a number, a boolean, or a class by its key.

    Raises:
        ValueError: Not a number for a regression, or no class of a binary target.
    """
    text = cell.strip()
    if target.kind == "regression":
        return _double(text)
    number = _number_or_none(text)
    whole = class_key(int(number)) if number is not None and number == int(number) else text
    if target.classes is None:
        return whole
    if set(target.classes) == {"false", "true"}:
        return _boolean(text)
    for key in (text, whole):
        if key in target.classes:
            return key
    msg = f"must be one of the classes {', '.join(target.classes)}, was {cell!r}"
    raise ValueError(msg)


def _iso_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"must be ISO 8601 or a number since 1970, was {text!r}"
        raise ValueError(msg) from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _number_or_none(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _double(cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        msg = f"must be a number, was {cell!r}"
        raise ValueError(msg) from error


def _float(cell: str) -> float:
    number = _double(cell)
    if _LARGEST_FLOAT < abs(number) < float("inf"):
        msg = f"must fit a float of 32 bits, was {cell!r}"
        raise ValueError(msg)
    return number


def _whole(bits: int) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        number = _number_or_none(cell.strip())
        if number is None or number != number.to_integral_value():
            msg = f"must be a whole number, was {cell!r}"
            raise ValueError(msg)
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            msg = f"must fit {bits} bits, was {cell!r}"
            raise ValueError(msg)
        return int(number)

    return parse


def _boolean(cell: str) -> bool:
    found = _BOOLEANS.get(cell.strip().lower())
    if found is None:
        msg = f"must be true or false, was {cell!r}"
        raise ValueError(msg)
    return found


def _symbol(cell: str, symbols: list[str]) -> str:
    text = cell.strip()
    if text not in symbols:
        msg = f"must be one of {', '.join(symbols)}, was {cell!r}"
        raise ValueError(msg)
    return text


_PARSERS: dict[str, Callable[[str], Cell]] = {
    "double": _double,
    "float": _float,
    "int": _whole(32),
    "long": _whole(64),
    "boolean": _boolean,
    "string": str,
}

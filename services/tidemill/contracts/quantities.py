"""Durations and sizes as people write them: `5m`, `2h`, `8MiB`."""

from __future__ import annotations

import math
import re

MEBIBYTE = 1 << 20

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")


def parse_duration_s(value: object) -> float:
    """Return seconds from `90`, `1.5` (seconds) or `"250ms"`, `"5m"`, `"2h"`, `"1d"`.

    Raises:
        ValueError: Not a positive, finite duration.
    """
    seconds = _quantity(value, _SECONDS)
    if seconds is None or not (0.0 < seconds < math.inf):
        msg = f"must be a duration above 0 such as 30s, 5m, 2h or 1d, was {value!r}"
        raise ValueError(msg)
    return seconds


def parse_bytes(value: object) -> float:
    """Return bytes from `8388608` or `"8MiB"`, `"500kB"`.

    Raises:
        ValueError: Not a positive, finite size.
    """
    size = _quantity(value, _BYTES)
    if size is None or not (0.0 < size < math.inf):
        msg = f"must be a size above 0 such as 8MiB or 500kB, was {value!r}"
        raise ValueError(msg)
    return size


def parse_distance(value: object) -> int | float:
    """Return a number of events (int, from `500` or `"500"`) or seconds (float, from `"2h"`).

    Raises:
        ValueError: Neither a whole number of events from 1 nor a duration above 0.
    """
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and (seconds := _quantity(value, _SECONDS)):
        return seconds
    msg = f"must be a number of events from 1 or a duration such as 30s or 2h, was {value!r}"
    raise ValueError(msg)


def _quantity(value: object, units: dict[str, float] | dict[str, int]) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    unit = units.get(match[2]) if match else None
    return float(match[1]) * unit if match and unit is not None else None

"""What runs for every event and is nothing but loops: in Python, compiled where it was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Bounds", "floats_within", "plain_floats_within", "plain_varint", "varint"]

Bounds = tuple[tuple[str, float, float], ...]

# Two bytes of a varint at a time: all but the last pair of a number, and its last one or two.
_PAIR = 1 << 14
_FOLLOWED = tuple(bytes((n & 0x7F | 0x80, n >> 7 | 0x80)) for n in range(_PAIR))
_ENDING = tuple(bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(_PAIR))


def plain_varint(number: int) -> bytes:
    """Return a signed integer of 64 bits as Avro writes it: zigzag, seven bits a byte."""
    rest = (number << 1) ^ (number >> 63)
    out = b""
    while rest >= _PAIR:
        out += _FOLLOWED[rest % _PAIR]
        rest //= _PAIR
    return out + _ENDING[rest]


def plain_floats_within(values: Mapping[str, object], bounds: Bounds) -> dict[str, float] | None:
    """Return the named values in the order of `bounds`; None if one is not plainly in bounds.

    Args:
        values: By name.
        bounds: Name, lowest and highest value of each, both included.
    """
    found: dict[str, float] = {}
    for name, low, high in bounds:
        value = values.get(name)
        if type(value) is not float or not low <= value <= high:
            return None
        found[name] = value
    return found


try:
    from tidemill.contracts._fast import floats_within, varint
except ImportError:  # built without a compiler
    floats_within, varint = plain_floats_within, plain_varint

"""What runs for every event and is nothing but loops: in Python, compiled where it was built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Bounds",
    "FlatReader",
    "flat_reader",
    "floats_within",
    "plain_floats_within",
    "plain_varint",
    "varint",
]

Bounds = tuple[tuple[str, float, float], ...]

MOST_FIELDS = 256
_KINDS = {"string": 0, "long": 1, "int": 1, "double": 2, "float": 3, "boolean": 4}

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


class FlatReader(Protocol):
    """Reads records of plain fields; whatever is not plainly one record is left to others."""

    def read(self, value: bytes, start: int) -> dict[str, object] | None:
        """Return the fields of the record from `start` to the end; None if not plainly one."""


def flat_reader(schema: Any) -> FlatReader | None:  # Any: an Avro schema in JSON
    """Return a compiled reader of a record; None where it has other than plain fields, or unbuilt.

    Plain are strings, whole and real numbers and truth values, each nullable or not.
    """
    if _fast is None or len(schema["fields"]) > MOST_FIELDS:
        return None
    fields = []
    for field in schema["fields"]:
        kind, null = field["type"], -1
        if isinstance(kind, list):
            if len(kind) != 2 or "null" not in kind:
                return None
            null = kind.index("null")
            kind = kind[1 - null]
        kind = kind["type"] if isinstance(kind, dict) and set(kind) == {"type"} else kind
        if not isinstance(kind, str) or kind not in _KINDS:
            return None
        fields.append((field["name"], _KINDS[kind], null))
    return _fast.FlatReader(tuple(fields))


try:
    from tidemill.contracts import _fast
    from tidemill.contracts._fast import floats_within, varint
except ImportError:  # built without a compiler
    _fast = None  # type: ignore[assignment]  # a module where it is there
    floats_within, varint = plain_floats_within, plain_varint

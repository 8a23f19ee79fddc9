"""The first texts of a record in wire format, read without decoding the rest."""

from __future__ import annotations

from tidemill.contracts.codec import PREFIX

_MORE = 0x80
_MOST_BYTES = 5  # of a varint, for lengths below 2**31


def first_texts(value: bytes | None, count: int) -> list[bytes]:
    """Return the first `count` fields of a record that begins with so many strings, as UTF-8.

    Fewer where the bytes end before: then they are no such record.
    """
    found: list[bytes] = []
    at = PREFIX.size
    while value is not None and len(found) < count:
        length, at = _length(value, at)
        if length < 0 or at + length > len(value):
            break
        found.append(value[at : at + length])
        at += length
    return found


def _length(value: bytes, at: int) -> tuple[int, int]:
    """Return the length that stands at a place, and where it ends; -1 where none stands there."""
    zigzag = 0
    for shift, byte in enumerate(value[at : at + _MOST_BYTES]):
        zigzag |= (byte & ~_MORE) << 7 * shift
        if not byte & _MORE:
            return (-1 if zigzag & 1 else zigzag >> 1), at + shift + 1
    return -1, at

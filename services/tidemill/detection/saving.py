"""Rows of signals as bytes, and back: what is nothing takes no room."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORM = 2
_HEAD = struct.Struct("<HHI")  # form, width of a row, rows
_BITS = np.dtype("<u8")
_HULLS = tuple(
    (c + size, c + at.HULLS + place)
    for c in at.CHANNELS
    for size, place in ((at.LOWER, 0), (at.UPPER, at.HULL))
    if size == at.LOWER or c in {at.LEVEL, at.SPREAD}
)


def saved(rows: Floats) -> bytes:
    """Return rows as bytes: for each which of its numbers are not nothing, then these."""
    kept = rows.copy()
    for size, place in _HULLS:
        for row in kept:
            row[place + int(row[size]) * at.VERTEX : place + at.HULL] = 0.0
    bits = kept.view(np.uint64)
    there = bits != 0
    mask = np.packbits(there, axis=1)
    numbers = bits[there].astype(_BITS)
    head = _HEAD.pack(FORM, at.WIDTH, len(rows))
    return b"".join((head, mask.tobytes(), numbers.tobytes()))


def restored(state: bytes) -> Floats:
    """Return the rows again.

    Raises:
        ValueError: The bytes are not those of rows of this form.
    """
    if len(state) < _HEAD.size or _HEAD.unpack_from(state)[:2] != (FORM, at.WIDTH):
        msg = f"the state of signals must be of form {FORM} and width {at.WIDTH}"
        raise ValueError(msg)
    count = _HEAD.unpack_from(state)[2]
    wide = (at.WIDTH + 7) // 8
    begin = _HEAD.size + count * wide
    mask = np.frombuffer(state[_HEAD.size : begin], dtype=np.uint8)
    numbers = np.frombuffer(state[begin : begin + (len(state) - begin) // 8 * 8], dtype=_BITS)
    if len(mask) == count * wide:
        there = np.unpackbits(mask.reshape(count, wide), axis=1, count=at.WIDTH).astype(bool)
        if int(there.sum()) == len(numbers) and begin + numbers.nbytes == len(state):
            bits = np.zeros((count, at.WIDTH), dtype=np.uint64)
            bits[there] = numbers
            return bits.view(np.float64)
    msg = f"the state of {count} signals must be whole, were {len(state)} bytes"
    raise ValueError(msg)

"""What stands behind a saved state: as much of it as can be read without loading it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from tidemill.models.state import ModelState

_LAYOUT = struct.Struct(">Qq??")


class Outline(NamedTuple):
    """What a saved state says of itself.

    Attributes:
        seen: Events in the recent past of the model's asset.
        newest_us: The latest event time there.
        is_frozen: Whether the model learns no more.
        has_pending: Whether corrections wait for their re-fold.
    """

    seen: int
    newest_us: int
    is_frozen: bool
    has_pending: bool


def outline_of(state: ModelState) -> bytes:
    """Return the bytes that end those of a state."""
    recent = state.recent
    return _LAYOUT.pack(recent.count, recent.newest_us, state.is_frozen, state.has_pending)


def read_outline(data: bytes) -> Outline:
    """Return the outline at the end of a state, whose signature the caller has verified.

    Raises:
        InvariantError: Not a state of ours.
    """
    if len(data) < _LAYOUT.size:
        msg = f"a verified snapshot must end with its state's outline, found {len(data)} bytes"
        raise InvariantError(msg)
    return Outline(*_LAYOUT.unpack(data[-_LAYOUT.size :]))

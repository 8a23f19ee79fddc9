"""What tells all models of a partition that anything has changed from any others."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tidemill.fold.tracked import Tracked
    from tidemill.models.state import ModelKey

MODULUS = 1 << 256


class Standing(NamedTuple):
    """Which models stand where: how many, and the sum of a digest of each."""

    models: int
    total: int

    @property
    def digest(self) -> bytes:
        """The sum as the ledger keeps it."""
        return self.total.to_bytes(32)

    def counting(self, before: int, after: int) -> Standing:
        """Return the sum once a model counts `after` in place of `before`; 0 is not at all."""
        count = self.models + (after != 0) - (before != 0)
        return Standing(count, (self.total + after - before) % MODULUS)


NONE_LEARNED = Standing(0, 0)


def mark_of(key: ModelKey, version: int, lineage: bytes, seen: int) -> int:
    """Return what a model counts in `Fleet.standing` once an entry names it: it was changed.

    By anything: a label of a prediction at fault changes neither version nor lineage.
    """
    text = key.encode() + b"\0" + version.to_bytes(8) + seen.to_bytes(8) + lineage
    return int.from_bytes(hashlib.sha256(text).digest())


class Roll:
    """The standing of a fleet.

    Attributes:
        changed: Models whose part in it may not be that of now.
    """

    def __init__(self) -> None:
        self.changed: dict[ModelKey, Tracked] = {}
        self._standing = NONE_LEARNED

    def replace(self, key: ModelKey, before: int, after: int) -> None:
        """Let a model count `after` in place of `before`, whatever it was noted for."""
        self.changed.pop(key, None)
        self._standing = self._standing.counting(before, after)

    def settle(self) -> Standing:
        """Return the standing of now."""
        for key, tracked in self.changed.items():
            state = tracked.state
            mark = mark_of(key, state.version, state.lineage, state.recent.count)
            self._standing = self._standing.counting(tracked.mark, mark)
            tracked.mark = mark
        self.changed.clear()
        return self._standing

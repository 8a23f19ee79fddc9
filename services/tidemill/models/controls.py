"""What people decided of a model: what it must not use or learn, and what is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

# Of a hold without an end.
FOR_EVER_US = 1 << 62


class Pending(NamedTuple):
    """A correction that waits for its re-fold.

    Attributes:
        offset: Of the update that asked for it, in the asset's partition of `model.updates`.
        entry: Ledger entry that applied that update.
        value: The update as it came.
    """

    offset: int
    entry: int
    value: bytes


class Edit(NamedTuple):
    """A correction in force: what a re-fold of the model does otherwise than the recorded order.

    Attributes:
        offset: As in `Pending`.
        entry: As in `Pending`.
        swapped: Ledger entry from which on the model is as if it had always been so.
        value: As in `Pending`.
    """

    offset: int
    entry: int
    swapped: int
    value: bytes


@dataclass(slots=True)
class Controls:
    """What was decided of one model.

    Attributes:
        vetoed: Features that it is not asked with and does not learn.
        is_frozen: Whether it learns no more until it is resumed.
        held_until_us: Event time up to which it does not learn; None where it is not held.
        pending: Corrections that wait for their re-fold, oldest first.
        edits: Corrections in force, oldest first.
    """

    vetoed: tuple[str, ...] = ()
    is_frozen: bool = False
    held_until_us: int | None = None
    pending: tuple[Pending, ...] = ()
    edits: tuple[Edit, ...] = ()

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that `load` makes the same of."""
        return (
            self.vetoed,
            self.is_frozen,
            self.held_until_us,
            tuple(map(tuple, self.pending)),
            tuple(map(tuple, self.edits)),
        )

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Controls:  # Any: as above
        """Return what was dumped."""
        vetoed, is_frozen, held_until_us, pending, edits = dumped
        return cls(
            vetoed,
            is_frozen,
            held_until_us,
            tuple(Pending(*each) for each in pending),
            tuple(Edit(*each) for each in edits),
        )

"""How a replica crosses corrections: it takes the swapped state from the anchor of that entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tidemill.contracts.topics import ANCHORS
from tidemill.fold.anchors import Anchors
from tidemill.fold.swapping import COMPENSATE, SWAP, Compensation, Swap
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.kernel.reports import WhyCompensated

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidemill.fold.anchors import Anchor
    from tidemill.fold.applying import Fold
    from tidemill.fold.ledger import Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit
    from tidemill.models.state import ModelState

RETRY_AFTER_S = 0.5


class Swaps(Protocol):
    """Where the states of swapped models come from."""

    def __call__(
        self, fold: Fold, swap: Swap, entry: Entry, /
    ) -> Generator[None, None, ModelState]:
        """Return the state that a model of `fold` has after an entry that swaps it.

        Raises:
            InvariantError: There is no such state.
            DependencyUnavailableError: It cannot be seen yet.
        """


class Anchored:
    """Takes states from `model.anchors`.

    Args:
        log: The topics.
        partition: The partition number.
        signing: The key of anchors; None finds none, and says so.
    """

    def __init__(self, log: Log, partition: int, signing: SigningKey | None) -> None:
        self._partition = partition
        self._anchors = None if signing is None else Anchors(log, partition, signing)

    def __call__(self, _: Fold, swap: Swap, entry: Entry) -> Generator[None, None, ModelState]:
        """Return a swapped state; see `Swaps`."""
        where = (
            f"ledger entry {entry.sequence} of partition {self._partition}: "
            f"{swap.key.encode().decode()} was swapped for its re-fold there, its state"
        )
        if self._anchors is None:
            msg = f"{where} is in {ANCHORS} and must be verified; give the signing key"
            raise InvariantError(msg)

        def is_late(anchor: Anchor) -> bool:
            return anchor.sequence > entry.sequence

        anchor = yield from self._anchors.at(swap.key, entry.sequence)
        if anchor is None:
            # Others may be altered, and mislead.
            anchor = yield from self._anchors.newest(swap.key, is_late)
        if anchor is None or anchor.sequence < entry.sequence:
            msg = f"{where} in {ANCHORS}-{self._partition}: restore the record;"
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)
        restored = yield from self._anchors.load(swap.key, anchor)
        if restored is None:
            msg = (
                f"{where} must be at {ANCHORS}-{self._partition}@{anchor.offset}, whole and signed "
                "with the key given; it was altered"
            )
            raise InvariantError(msg)
        if restored.lineage != swap.lineage:
            msg = (
                f"{where} must have lineage {swap.lineage.hex()[:16]}, has "
                f"{restored.lineage.hex()[:16]} at {ANCHORS}-{self._partition}@{anchor.offset}"
            )
            raise InvariantError(msg)
        return restored.load()


def cross(fold: Fold, entry: Entry, swaps: Swaps) -> Generator[None, None, list[Emit]]:
    """Repeat the corrections of an entry; return what they cause.

    A model whose state has them already is left as it is: then not all is caused again.
    """
    emits: list[Emit] = []
    for action in entry.actions:
        if action.kind == SWAP:
            swap = Swap.of(action)
            if _stands_before(fold, swap, entry.sequence):
                state = yield from swaps(fold, swap, entry)
                emits += fold.swap(swap.key, state, swap.offsets, entry.sequence, idle=swap.idle)
        elif action.kind == COMPENSATE:
            done = Compensation.of(action)
            if done.why.kind is WhyCompensated.FULL:
                continue
            if _stands_before(fold, done, entry.sequence):
                emits += fold.compensate(done.key, done.offsets, done.why.words, entry.sequence)
    return emits


def _stands_before(fold: Fold, what: Swap | Compensation, sequence: int) -> bool:
    """Return whether a model is to be corrected by an entry; else the fold is partial."""
    tracked = fold.fleet.get(what.key)
    if tracked is not None and tracked.since < sequence:
        return True
    fold.is_partial = True
    return False

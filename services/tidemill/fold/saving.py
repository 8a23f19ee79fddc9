"""Which models are saved with a transaction, and the records that save them."""

from __future__ import annotations

from itertools import chain
from math import ceil
from typing import TYPE_CHECKING

from tidemill.contracts.stream import ASSET_TYPE
from tidemill.fold.snapshots import Kept, chunk_key, save
from tidemill.kernel.records import Emit
from tidemill.models.pickles import dump_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.books import Policy
    from tidemill.fold.snapshots import SigningKey, State
    from tidemill.fold.tracked import Tracked

# So many models are saved in one transaction without a thought.
CROWD = 64


class Saving:
    """Saves the models of one partition before they lag too far.

    Args:
        fold: The models.
        signing: Signs what is saved.
        policy: How far a saved state may lag, and how large a part of it is in one record.
    """

    def __init__(self, fold: Fold, signing: SigningKey, policy: Policy) -> None:
        self._fold = fold
        self._signing = signing
        self.policy = policy
        self._records = fold.records

    def due(self, is_all: bool, named: Sequence[Tracked] = ()) -> list[Tracked]:
        """Return the models to save now: heirs, and those that lag, or all when the terms change.

        Those named are saved in any case.

        A re-fold never has to cross a change of terms that dropped models, nor to start an heir.
        Nor is a state of an asset ever newer than those of its type: what it taught them could not
        be found out from there any more.
        """
        fleet, records = self._fold.fleet, self._fold.records
        lag = 0 if is_all else self.policy.snapshot_every
        ahead = self._ahead(lag)
        first = {tracked.key: tracked for tracked in (*fleet.heirs.values(), *named)}
        due = list(first.values())
        fleet.heirs.clear()
        for each in due:
            fleet.saved(each.key)
        for key, (_, before) in fleet.dirty.items():
            if records - before < lag and len(due) >= ahead:
                break
            tracked = fleet.get(key)
            assert tracked is not None
            due.append(tracked)
        due += self._of_types(due)
        for tracked in due:
            fleet.saved(tracked.key)
        return due

    def _of_types(self, due: Sequence[Tracked]) -> list[Tracked]:
        """Return the changed models of asset types to save beside those of their assets."""
        fold, chosen = self._fold, {tracked.key for tracked in due}
        streams = sorted({key.stream for key in chosen if fold.plans[key.stream].starts_from_type})
        return [
            tracked
            for stream in streams
            for tracked in fold.fleet.of(stream, ASSET_TYPE).models
            if tracked.key in fold.fleet.dirty and tracked.key not in chosen
        ]

    def _ahead(self, lag: int) -> int:
        """Return how many models to save at least, so that a crowd is not due all at once.

        From half the bound on, the crowd is shared among the entries that are left before it.
        """
        dirty, records = self._fold.fleet.dirty, self._fold.records
        size = records - self._records
        self._records = records
        if len(dirty) <= CROWD:
            return 0
        oldest = records - next(iter(dirty.values()))[1]
        left = lag - oldest
        if oldest < lag / 2 or left <= 0 or not size:
            return 0
        return max(CROWD, ceil(len(dirty) * size / left))

    def save(
        self,
        tracked: Tracked,
        sequence: int,
        positions: Mapping[str, int],
        *,
        topics: Sequence[str],
        state: bytes | None = None,
    ) -> list[Emit]:
        """Return the records of a model as it stands after ledger entry `sequence`.

        Args:
            positions: Next offset of every input topic.
            topics: Where they go; the first of them is compacted, and loses chunks no longer
                needed.
            state: The state's bytes, where they are at hand.
        """
        data = dump_state(tracked.state) if state is None else state
        kept = Kept.of(tracked, sequence, data)
        emits = [self.keep(kept, positions, topic=topic) for topic in topics]
        key, before, now = tracked.key.encode(), tracked.chunks, len(emits[0])
        tracked.chunks = now
        unneeded = [
            Emit(topics[0], self._fold.partition, chunk_key(key, chunk), None)
            for chunk in range(now, before)
        ]
        return [*chain.from_iterable(emits), *unneeded]

    def keep(self, kept: State, positions: Mapping[str, int], *, topic: str) -> list[Emit]:
        """Return the records of a state: a model's, or what is kept beside models."""
        partition = self._fold.partition
        where = [
            {"topic": topic, "partition": partition, "offset": offset}
            for topic, offset in sorted(positions.items())
        ]
        saved = save(
            kept,
            where,
            place=(self._fold.terms.definition.plant, partition),
            signing=self._signing,
            chunk_bytes=self.policy.chunk_bytes,
        )
        return [Emit(topic, partition, key, value) for key, value in saved]

"""Letting go of what is watched of an asset: an action of the drift ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidemill.fold.books import Policy
from tidemill.fold.ledger import Action
from tidemill.fold.retirement import KIND
from tidemill.processors.drift.books import Books
from tidemill.processors.drift.plans import REFERENCE
from tidemill.processors.drift.restoring import recover

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit
    from tidemill.models.state import ModelKey
    from tidemill.processors.drift.restoring import Recovered

# What is saved with it is what the next worker would save otherwise.
POLICY = Policy()


class Unwatched(NamedTuple):
    """What letting go of an asset would do on a partition, found out without doing it."""

    recovered: Recovered
    keys: tuple[ModelKey, ...]

    @property
    def entry(self) -> int:
        """Sequence of the entry of the drift ledger that it would be."""
        return self.recovered.tail.sequence + 1


def prepare(
    log: Log,
    partition: int,
    committed: Mapping[str, int | None],
    *,
    asset: str,
    stream: str | None,
    terms: Terms,
    signing: SigningKey,
    reference: int = REFERENCE,
) -> Generator[None, None, Unwatched | None]:
    """Rebuild a partition, and find what is watched of an asset there; None where that is nothing.

    Raises:
        InvariantError: Topics and ledger contradict one another.
        DependencyUnavailableError: The broker has not yet shown the end of what was committed.
    """
    recovered = yield from recover(
        log, partition, committed, terms=terms, signing=signing, reference=reference
    )
    if recovered is None:
        return None
    keys = tuple(
        key
        for key in sorted(recovered.watching.watched)
        if key.asset == asset and stream in {None, key.stream}
    )
    return Unwatched(recovered, keys) if keys else None


def retire(found: Unwatched, actor: str, signing: SigningKey) -> tuple[list[Emit], dict[str, int]]:
    """Return what ends its episodes, ledger entry, states, tombstones and offsets.

    All other states that changed are saved with the entry: no rebuild has to cross it.
    """
    watching = found.recovered.watching
    books = Books(watching, found.recovered.tail, signing=signing, policy=POLICY)
    books.chunks = dict(found.recovered.chunks)
    caused = [each for key in found.keys for each in watching.retire(key, books.sequence)]
    told = books.tell(caused)
    positions = dict(found.recovered.positions)
    actions = [_action(key, actor) for key in found.keys]
    entry = books.seal(positions, kind="ACTION", actions=actions)
    return [*told, *entry, *books.forget(found.keys)], positions


def _action(key: ModelKey, actor: str) -> Action:
    return Action(KIND, {"stream": key.stream, "asset": key.asset, "actor": actor})

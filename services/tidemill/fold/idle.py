"""Models out of memory: what is known of each without its state, which lies in a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tidemill.fold.tracked import Tracked
from tidemill.kernel.errors import InvariantError
from tidemill.models.pickles import dump_state, load_state

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tidemill.models.state import Blueprint, ModelKey


@dataclass(slots=True)
class Idle:
    """One model out of memory; fields as those of `Tracked`.

    Attributes:
        is_frozen: Whether it learns no more.
        has_pending: Whether corrections wait for their re-fold.
    """

    key: ModelKey
    blueprint: Blueprint
    since: int
    chunks: int
    mark: int
    is_frozen: bool
    has_pending: bool

    def adopt(self, blueprint: Blueprint) -> None:
        """Go on under an equal blueprint; its terms hold when the model wakes."""
        self.blueprint = blueprint


class Room:
    """How many models all partitions of a worker may hold in memory.

    Args:
        most: So many; None is all there are.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._live: WeakKeyDictionary[IdleModels, int] = WeakKeyDictionary()

    def excess(self, of: IdleModels, live: int) -> int:
        """Return how many models are too many, a partition now having `live` of them in memory.

        A partition that is left to another worker counts no more once its models are forgotten.
        """
        if self._most is None:
            return 0
        self._live[of] = live
        return sum(self._live.values()) - self._most


class IdleModels:
    """The idle models of one partition.

    Args:
        store: Takes their states, by model; worthless to anybody else. While a partition is
            rebuilt it takes those on the shelf, too.
        room: How many models may be in memory.
    """

    def __init__(
        self, store: MutableMapping[bytes, bytes] | None = None, room: Room | None = None
    ) -> None:
        self._room = Room() if room is None else room
        self.store: MutableMapping[bytes, bytes] = {} if store is None else store
        self._known: dict[ModelKey, Idle] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Idle]:
        return iter(self._known.values())

    def excess(self, live: int) -> int:
        """Return how many of the models in memory should rest, `live` being this partition's."""
        return self._room.excess(self, live)

    def get(self, key: ModelKey) -> Idle | None:
        """Return what is known of a model, if it is idle."""
        return self._known.get(key)

    def rest(self, tracked: Tracked, state: bytes | None) -> None:
        """Take a model that no transaction has changed since it was saved.

        Args:
            state: Its bytes, where they are at hand.
        """
        if not tracked.is_stored:
            found = dump_state(tracked.state) if state is None else state
            self.store[tracked.key.encode()] = found
        self._known[tracked.key] = Idle(
            tracked.key,
            tracked.blueprint,
            tracked.since,
            tracked.chunks,
            tracked.mark,
            tracked.state.is_frozen,
            tracked.state.has_pending,
        )

    def lay(self, idle: Idle, state: bytes) -> None:
        """Take a model that was never in memory, by its snapshot."""
        self.store[idle.key.encode()] = state
        self._known[idle.key] = idle

    def wake(self, key: ModelKey) -> Tracked:
        """Return a model as it went to rest; it is idle no more."""
        woken = self.look_at(key)
        del self._known[key]
        return woken

    def look_at(self, key: ModelKey) -> Tracked:
        """Return what a model would be if it woke.

        Raises:
            InvariantError: The store lost its state.
        """
        idle, data = self._known[key], self.store.get(key.encode())
        if data is None:
            msg = (
                f"the store of idle models must hold {key.encode().decode()}, has lost it; "
                "start the worker again"
            )
            raise InvariantError(msg)
        state = load_state(data)
        tracked = Tracked(
            key, state, idle.blueprint, idle.since, chunks=idle.chunks, mark=idle.mark
        )
        tracked.is_stored = True
        return tracked

    def drop(self, key: ModelKey) -> None:
        """Forget a model and its state, idle or not."""
        self._known.pop(key, None)
        self.store.pop(key.encode(), None)

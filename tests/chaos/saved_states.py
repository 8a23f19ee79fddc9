"""The newest saved state of every model, as a reader of the snapshot topic sees it arrive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.models.pickles import load_state
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chaos.reading import Record

CHUNK_BAR = b"|#"
LOADS = 3  # of which the shortest counts: the first pays for imports


class Weighed(NamedTuple):
    """One model's newest state: bytes, chunks, and how long it took to make a model of it."""

    key: ModelKey
    size: int
    chunks: int
    load_s: float


class NewestStates:
    """Keeps the newest snapshot of each model: as much as a compacted topic would."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def take(self, record: Record, _: float) -> None:
        """Note one snapshot record: a state or a chunk of one."""
        if record.key is not None and record.value is not None:
            self._values[record.key] = record.value

    def take_all(self, partitions: Iterable[Iterable[Record]]) -> None:
        """Take a topic as it stands in the end: whoever follows it may not have come so far."""
        for records in partitions:
            for record in records:
                self.take(record, 0.0)

    def weigh(self) -> Iterator[Weighed]:
        """Yield every model, loaded from its newest state."""
        decode = codec("Snapshot").decode
        for key, value in self._values.items():
            if CHUNK_BAR in key:
                continue
            first = decode(value)
            others = [key + CHUNK_BAR + b"%d" % number for number in range(1, first["chunks"])]
            parts = [first, *(decode(self._values[other]) for other in others)]
            state = b"".join(part["state"] for part in parts)
            load_s = min(_load_s(state) for _ in range(LOADS))
            yield Weighed(ModelKey.decode(key), len(state), len(parts), load_s)


def _load_s(state: bytes) -> float:
    begun = time.perf_counter()
    load_state(state)
    return time.perf_counter() - begun

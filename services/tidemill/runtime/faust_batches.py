"""Topics of the control plane whose records are read in batches, past Faust's streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from faust.types import TP

MOST_WAITING = 2
# Fewer offsets between two batches are markers and what was aborted; more are looked at.
MOST_MARKERS = 100


class Fetching(Protocol):
    """What is asked of Faust's consumer here."""

    flow_active: bool
    app: Any  # Any: Faust's


class Batch(NamedTuple):
    """Records of one partition as they were fetched.

    Attributes:
        tp: The partition.
        records: As aiokafka has them, in order; at least one.
        follows: The end of the batch that was fetched before; None where that is not known.
    """

    tp: TP
    records: Sequence[Any]  # Any: aiokafka's records
    follows: int | None

    def is_next(self, next_offset: int) -> bool:
        """Return whether no record lies between what was decided and this batch."""
        first: int = self.records[0].offset
        if first <= next_offset:
            return True
        is_known = self.follows is not None and self.follows <= next_offset
        return is_known and first - next_offset <= MOST_MARKERS

    def messages(self, start: int) -> list[Message]:
        """Return what the kernel sees of the records from an offset on."""
        return [
            Message(
                found.topic,
                found.partition,
                found.offset,
                found.key,
                found.value,
                tuple(found.headers),
                found.timestamp,
            )
            for found in self.records
            if found.offset >= start
        ]


class Batches:
    """What was fetched of some topics and waits to be decided.

    Args:
        topics: Which.
    """

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue(MOST_WAITING)
        self._ends: dict[TP, int] = {}
        self._looked: dict[TP, int] = {}

    async def take(self) -> Batch:
        """Return the next batch, once there is one."""
        return await self._waiting.get()

    async def divert(
        self, consumer: Fetching, records: MutableMapping[TP, list[Any]]
    ) -> None:  # Any: as above
        """Take these topics' records out of what was fetched, and wait until there is room."""
        for tp in [tp for tp in records if tp.topic in self.topics]:
            found = records.pop(tp)
            follows = self._ends.pop(tp, None)
            if found and consumer.flow_active:
                generation = consumer.app.consumer_generation_id
                await self._waiting.put(Batch(tp, found, follows))
                if generation == consumer.app.consumer_generation_id:
                    self._ends[tp] = found[-1].offset + 1

    def forget(self) -> None:
        """Know of no batch before the next ones: partitions went."""
        self._ends.clear()
        self._looked.clear()
        while not self._waiting.empty():
            self._waiting.get_nowait()

    def is_moving(self, tp: TP, next_offset: int) -> bool:
        """Return whether records of a partition may yet come in a batch.

        They do where some wait, and where it stands elsewhere than at the last look.
        """
        if tp.topic not in self.topics:
            return False
        before, self._looked[tp] = self._looked.get(tp), next_offset
        return before != next_offset or not self._waiting.empty()

"""Waiting for what becomes of feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.feedback_form import ACCEPTED
from tidemill.contracts.topics import RECEIPTS
from tidemill.runtime.feedback_topics import decoded, is_final
from tidemill.runtime.tailing import BEGINNING, END, Place, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tidemill.contracts.codec import Codec
    from tidemill.kernel.records import Position
    from tidemill.runtime.clients import KafkaClients
    from tidemill.runtime.feedback_topics import Said


class Receipts:
    """Receipts from now on; opened before anything is sent, so that none is missed.

    Args:
        is_new: Whether what is waited for is yet to be sent; else receipts of the past count.

    Attributes:
        accepted: Feedback that was accepted, by its id, as far as was read.
    """

    def __init__(
        self, clients: KafkaClients, partitions: Sequence[int], reading: Codec, *, is_new: bool
    ) -> None:
        self._reading = reading
        self._batches = follow(
            clients.reader(),
            RECEIPTS,
            partitions,
            Place(END if is_new else BEGINNING),
            is_endless=True,
            failures=clients.failures.take,
        )
        self._first = list(decoded(next(self._batches), reading))
        self.accepted: set[str] = set()

    def final(
        self, wanted: Mapping[str, Position | None], deadline: float, clock: Callable[[], float]
    ) -> Iterator[Said]:
        """Yield the first final receipt of each feedback as it comes, until the deadline.

        Args:
            wanted: By feedback, behind which position it may stand: where it was refused before it
                was sent again.
        """
        waiting = set(wanted)
        batch, self._first = self._first, []
        while waiting:
            for said in batch:
                name = said.record["feedback_id"]
                behind = wanted.get(name)
                if behind is not None and said.position <= behind:
                    continue
                if said.record["status"] == ACCEPTED:
                    self.accepted.add(name)
                if name in waiting and is_final(said.record):
                    waiting.discard(name)
                    yield said
            if clock() >= deadline:
                return
            batch = list(decoded(next(self._batches), self._reading)) if waiting else []

    def close(self) -> None:
        """Close the reader."""
        self._batches.close()

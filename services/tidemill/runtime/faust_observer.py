"""What a worker of the control plane reports; metrics and logs listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faust.types import TP

    from tidemill.kernel.deciding import Handled
    from tidemill.kernel.records import Message


class ControlObserver(Protocol):
    """Hears of every change of state; must not raise and must not block."""

    def turned(self, now: float) -> None:
        """The loop turned."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """These partitions are ours now; empty after a revocation."""

    def restored(self, partition: int, remembered: int, seconds: float, /) -> None:
        """A partition's decisions are at hand, so many."""

    def mended(self, partition: int, entries: int, /) -> None:
        """Faust's table was not what its topic holds, by so many entries; now it is."""

    def handled(self, message: Message, handled: Handled, remembered: int, /) -> None:
        """A record was decided, and all it causes is written."""

    def noted(self, tp: TP, records: int, remembered: int, /) -> None:
        """So many records of a partition were taken note of, and nothing is told of them."""

    def lagging(self, topic: str, partition: int, records: int) -> None:
        """So many offsets lie between the next record and the end."""

    def away(self, why: str) -> None:
        """The cluster has not done for seconds what it was asked; it is asked again and again."""

    def back(self, seconds: float) -> None:
        """The cluster does what it is asked, after so many seconds."""


class ControlObservers:
    """Tells several observers, in order."""

    def __init__(self, *observers: ControlObserver) -> None:
        self._observers = observers

    def turned(self, now: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.turned(now)

    def assigned(self, partitions: Sequence[int]) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.assigned(partitions)

    def restored(self, partition: int, remembered: int, seconds: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.restored(partition, remembered, seconds)

    def mended(self, partition: int, entries: int) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.mended(partition, entries)

    def handled(self, message: Message, handled: Handled, remembered: int) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.handled(message, handled, remembered)

    def noted(self, tp: TP, records: int, remembered: int) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.noted(tp, records, remembered)

    def lagging(self, topic: str, partition: int, records: int) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.lagging(topic, partition, records)

    def away(self, why: str) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.away(why)

    def back(self, seconds: float) -> None:
        """Pass on."""
        for observer in self._observers:
            observer.back(seconds)

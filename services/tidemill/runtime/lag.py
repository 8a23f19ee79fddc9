"""How far the worker lags: told at most once a second, without asking the broker."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidemill.runtime.lanes import Lane
    from tidemill.runtime.observer import Observer

EVERY_S = 1.0


class LagWatch:
    """Tells the observer of every partition that is read.

    Read to the end means no lag, whatever stands there: markers, and records of transactions that
    are still open, are nobody's to apply yet.

    Args:
        known_end: Returns the end of a topic's partition as known without asking, or None.
        observer: Is told.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        known_end: Callable[[str, int], int | None],
        observer: Observer,
        *,
        wall: Callable[[], float],
    ) -> None:
        self._known_end = known_end
        self._observer = observer
        self._wall = wall
        self._next = 0.0

    def look(self, lanes: Iterable[Lane], now: float) -> None:
        """Tell of all lanes that are ready, if it is time; `now` is monotonic."""
        if now < self._next:
            return
        self._next = now + EVERY_S
        for lane in lanes:
            if lane.is_ready:
                for topic in lane.positions:
                    self._tell(lane, topic)

    def _tell(self, lane: Lane, topic: str) -> None:
        records, age_s = 0, 0.0
        if topic not in lane.ended:
            end = self._known_end(topic, lane.partition)
            if end is None:
                return
            records, age_s = max(0, end - lane.positions[topic]), self._age_s(lane, topic)
        self._observer.lagging(topic, lane.partition, records=records, position_age_s=age_s)

    def _age_s(self, lane: Lane, topic: str) -> float:
        applied_ms = lane.applied_ms.get(topic)
        return math.nan if applied_ms is None else max(0.0, self._wall() - applied_ms / 1000)

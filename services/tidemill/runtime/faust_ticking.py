"""Telling a processor of the control plane that time passes, by records in a topic."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from tidemill.kernel.records import Emit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faust.types import TP

TICK_S = 10.0
# So old may be what is known of the end of a partition; what came since is not known.
CONFIRMED_S = 5.0
# After a process stood still for so long, how far it lags is known only once it has fetched again.
STOOD_STILL_S = 30.0


class Ticking:
    """Says when time is to be told.

    Args:
        every_s: Between two ticks of a partition.
        clock: Monotonic seconds.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        every_s: float = TICK_S,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._every_s = every_s
        self._clock = clock
        self._now = now
        self._next_s = clock()
        self._asked_s = now()

    def due(self, topic: str, lags: Mapping[TP, int | None]) -> list[Emit]:
        """Return the ticks that are due: for each partition, how far each other input lags.

        And up to when nothing else had come by that, in ms: until a tick is written, much may.
        """
        asked_s, self._asked_s = self._asked_s, self._now()
        if self._asked_s - asked_s > STOOD_STILL_S:
            self._next_s = self._clock() + self._every_s
        if self._clock() < self._next_s or not lags:
            return []
        self._next_s = self._clock() + self._every_s
        looked_ms = round((self._asked_s - CONFIRMED_S) * 1000)
        by_partition: dict[int, dict[str, int | None]] = defaultdict(dict)
        for tp, records in sorted(lags.items()):
            if tp.topic != topic:
                by_partition[tp.partition][tp.topic] = records
        return [
            Emit(topic, partition, None, json.dumps({"lag": lag, "looked": looked_ms}).encode())
            for partition, lag in sorted(by_partition.items())
        ]

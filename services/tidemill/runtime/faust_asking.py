"""Asking the log and deciders of the control plane, however long what that takes is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.faust_starting import remembered_of, start_of
from tidemill.runtime.faust_writing import RETRY_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faust.types import TP

    from tidemill.kernel.deciding import DeciderFactory
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.runtime.faust_writing import Writer
    from tidemill.runtime.outage import Outage

# A broker that was started again shows the end of a topic once its replicas are in sync.
SHOWN_WITHIN_S = 30.0


class Asking:
    """Calls what blocks, in other threads, until it answers.

    Args:
        log: Reads committed records by position.
        factory: Whose inputs and table are read.
        outage: Is told of what fails and will be repeated.
        writer: Waits with the app.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        log: Log,
        factory: DeciderFactory,
        *,
        outage: Outage,
        writer: Writer,
        clock: Callable[[], float],
    ) -> None:
        self._log = log
        self._factory = factory
        self._outage = outage
        self._writer = writer
        self._clock = clock

    async def again(self, call: Callable[..., Any], *arguments: Any) -> Any:  # Any: the call's
        """Return what a blocking call returns."""
        while True:
            try:
                found = await asyncio.to_thread(call, *arguments)
            except DependencyUnavailableError as error:
                self._outage.failed(str(error))
                await self._writer.pause(error.retry_after_s)
            else:
                self._outage.passed()
                return found

    async def between(self, tp: TP, start: int, until: int) -> list[Message]:
        """Return the committed records of a partition with start <= offset < until."""
        found: list[Message] = await self.again(self._between, tp, start, until)
        return found

    def _between(self, tp: TP, start: int, until: int) -> list[Message]:
        batches = self._log.read(tp.topic, tp.partition, start, until)
        return [message for batch in batches for message in batch]

    async def remembered(self, where: TP) -> dict[bytes, bytes]:
        """Return what the topic of the table holds of a partition."""
        found: dict[bytes, bytes] = await self.again(
            remembered_of, self._log, where, self._factory.valid
        )
        return found

    async def start(self, tp: TP, committed: int | None, reached: Mapping[str, int]) -> int:
        """Return where a partition of an input is read on."""
        last = reached.get(tp.topic, 0)
        span = await self._span(tp, last if committed is None else committed)
        may_skip = tp.topic in self._factory.from_end
        if committed is None and tp.topic not in reached and may_skip:
            return span[1]
        where = f"{tp.topic}-{tp.partition}"
        return start_of(where, committed, span, last, may_skip=may_skip)

    async def _span(self, tp: TP, wanted: int) -> tuple[int, int]:
        """Return what is retained; a broker that has come up may not show all of it at once."""
        deadline = self._clock() + SHOWN_WITHIN_S
        while True:
            span: tuple[int, int] = await self.again(self._log.span, *tp)
            if span[1] >= wanted or self._clock() >= deadline:
                return span
            await self._writer.pause(RETRY_AFTER_S)

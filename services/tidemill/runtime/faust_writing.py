"""Writing by Faust's producer: acknowledged, in order, and again where it was not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError, KafkaTimeoutError
from faust.exceptions import ProducerSendError

from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidemill.kernel.records import Emit, Position
    from tidemill.runtime.outage import Outage

RETRY_AFTER_S = 0.5
# Names, for aiokafka has no class for them: rights, credentials, and what no waiting mends.
_REFUSALS = ("Authorization", "Authentication", "Unsupported", "TooLarge")


class Writer:
    """Writes records of an app.

    Args:
        app: Faust's.
        outage: Is told of what fails and will be repeated.
    """

    def __init__(self, app: Any, outage: Outage) -> None:  # Any: Faust's types are partial
        self._app = app
        self._outage = outage

    async def write(self, emits: Sequence[Emit], cause: Position) -> None:
        """Write records; those of one topic are acknowledged before the next topic's are written.

        Args:
            emits: The records.
            cause: The record that caused them, for who must look into a refusal.

        Raises:
            InvariantError: The cluster refuses this worker, or a record.
            KafkaError: The producer is of no use any more; the next one starts anew.
        """
        for run in _runs(emits):
            await self._write_run(run, cause)

    async def _write_run(self, emits: Sequence[Emit], cause: Position) -> None:
        while True:
            try:
                sent = [await self._send(emit) for emit in emits]
                for acknowledged in sent:
                    await acknowledged
            except (KafkaError, ProducerSendError) as error:
                self._outage.failed(_passing(error, emits, cause))
                await self.pause(RETRY_AFTER_S)
            else:
                self._outage.passed()
                return

    async def _send(self, emit: Emit) -> Any:  # Any: a future of aiokafka's
        headers = list(emit.headers) if emit.headers else None
        producer = await self._app.maybe_start_producer()
        return await producer.send(emit.topic, emit.key, emit.value, emit.partition, None, headers)

    async def pause(self, seconds: float) -> None:
        """Wait; end with the app."""
        await self._app.sleep(seconds)
        if self._app.should_stop:
            raise asyncio.CancelledError


def _runs(emits: Sequence[Emit]) -> Iterable[list[Emit]]:
    run: list[Emit] = []
    for emit in emits:
        if run and run[-1].topic != emit.topic:
            yield run
            run = []
        run.append(emit)
    if run:
        yield run


def _size(emit: Emit) -> int:
    parts = (emit.key, emit.value, *(value for _, value in emit.headers))
    return sum(len(part or b"") for part in parts)


def _passing(error: Exception, emits: Sequence[Emit], record: Position) -> str:
    """Return what to tell of an error that passes by itself; raise any other."""
    cause = error.__cause__ or error
    said = f"{type(cause).__name__}: {cause}"
    if any(word in type(cause).__name__ for word in _REFUSALS):
        largest = max(emits, key=_size)
        msg = (
            f"the cluster must take what {record} causes, it refused: {said}; the largest of "
            f"{len(emits)} for {largest.topic}-{largest.partition} has {_size(largest)} bytes"
        )
        raise InvariantError(msg) from error
    # aiokafka gives up on a cluster that is away, and calls that not retriable.
    if not (getattr(cause, "retriable", False) or isinstance(cause, KafkaTimeoutError)):
        raise error
    return said

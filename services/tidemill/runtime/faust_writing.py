"""Writing by Faust's producer: acknowledged, in order, and again where it was not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError, KafkaTimeoutError
from faust.exceptions import NotReady, ProducerSendError

from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.kernel.records import Emit, Position
    from tidemill.runtime.outage import Outage

RETRY_AFTER_S = 0.5
TELL_AFTER_S = 2.0
MOST_TOGETHER = 500
# Names, for aiokafka has no class for them: rights, credentials, and what no waiting mends.
_REFUSALS = ("Authorization", "Authentication", "Unsupported", "TooLarge")
# As above: the cluster does not know the producer any more, or not where it stands: so it is after
# some outages.
_OF_PRODUCER = ("OutOfOrderSequence", "ProducerId", "ProducerEpoch", "ProducerFenced", "Closed")
# The last: Faust's producer has not started yet, starts anew, or has stopped; it is away too.
_FAILURES = (KafkaError, ProducerSendError, NotReady)


class Writer:
    """Writes records of an app.

    Args:
        app: Faust's.
        outage: Is told of what fails and will be repeated.
    """

    def __init__(self, app: Any, outage: Outage) -> None:  # Any: Faust's types are partial
        self._app = app
        self._outage = outage
        self._is_useless = False

    async def write(self, emits: Sequence[Emit], cause: Position) -> None:
        """Write records, each once the one before it is acknowledged.

        So their order is kept whatever has to be written again. It ends with the app: then what
        caused the records is not done with.

        Args:
            emits: The records.
            cause: The record that caused them, for who must look into a refusal.

        Raises:
            InvariantError: The cluster refuses this worker, or a record.
            KafkaError: Something that neither waiting nor a new producer mends.
            CancelledError: The app ends.
        """
        for emit in emits:
            while not await self._is_written(emit, cause):
                await self.pause(RETRY_AFTER_S)
            self._outage.passed()

    async def write_together(self, emits: Sequence[Emit], cause: Position) -> None:
        """Write records whose order among each other is of no account; else as `write`."""
        for start in range(0, len(emits), MOST_TOGETHER):
            part = emits[start : start + MOST_TOGETHER]
            await self.write(await self._not_written(part, cause), cause)

    async def _not_written(self, emits: Sequence[Emit], cause: Position) -> Sequence[Emit]:
        """Write many records at once; return those that have to be written again."""
        if self._is_useless or len(emits) == 1:
            return emits
        left, sent = [], []
        for emit in emits:
            try:
                sent.append((emit, asyncio.ensure_future(await self._send(emit))))
            except _FAILURES as error:
                self._failed(error, emit, cause)
                left.append(emit)
        for emit, future in sent:
            try:
                await self._acknowledged(future)
            except _FAILURES as error:
                self._failed(error, emit, cause)
                left.append(emit)
        return left

    async def _is_written(self, emit: Emit, cause: Position) -> bool:
        try:
            if self._is_useless:
                await self._app.producer.renew()
                self._is_useless = False
            await self._acknowledged(asyncio.ensure_future(await self._send(emit)))
        except _FAILURES as error:
            self._failed(error, emit, cause)
            return False
        return True

    def _failed(self, error: Exception, emit: Emit, cause: Position) -> None:
        self._outage.failed(_passing(error, emit, cause))
        self._is_useless = self._is_useless or _is_of_producer(error)

    async def _acknowledged(self, sent: asyncio.Future[Any]) -> None:  # Any: aiokafka's
        """Wait for a record; aiokafka repeats it for as long as it takes, and says nothing."""
        while not sent.done():
            await asyncio.wait({sent}, timeout=TELL_AFTER_S)
            if not sent.done():
                self._outage.failed("a record was not acknowledged")
        sent.result()

    async def _send(self, emit: Emit) -> Any:  # Any: a future of aiokafka's
        headers = list(emit.headers) if emit.headers else None
        producer = await self._app.maybe_start_producer()
        return await producer.send(emit.topic, emit.key, emit.value, emit.partition, None, headers)

    async def pause(self, seconds: float) -> None:
        """Wait; end with the app."""
        await self._app.sleep(seconds)
        if self._app.should_stop:
            raise asyncio.CancelledError


def _size(emit: Emit) -> int:
    parts = (emit.key, emit.value, *(value for _, value in emit.headers))
    return sum(len(part or b"") for part in parts)


def _passing(error: Exception, emit: Emit, record: Position) -> str:
    """Return what to tell of an error that can be mended here; raise any other."""
    cause = error.__cause__ or error
    said = f"{type(cause).__name__}: {cause}"
    if any(word in type(cause).__name__ for word in _REFUSALS):
        msg = (
            f"the cluster must take what {record} causes, it refused: {said}; the record for "
            f"{emit.topic}-{emit.partition} has {_size(emit)} bytes"
        )
        raise InvariantError(msg) from error
    # aiokafka gives up on a cluster that is away, and calls that not retriable.
    is_passing = getattr(cause, "retriable", False) or isinstance(
        cause, (KafkaTimeoutError, NotReady)
    )
    if not (is_passing or _is_of_producer(error)):
        raise error
    return said


def _is_of_producer(error: Exception) -> bool:
    """Return whether another producer may write what this one may not."""
    name = type(error.__cause__ or error).__name__
    return any(word in name for word in _OF_PRODUCER)

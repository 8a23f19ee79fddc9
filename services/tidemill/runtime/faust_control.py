"""A processor of the control plane on Faust: remembers a decision, then acts, then commits.

Faust says which partitions are ours and hands records over; around a rebalance it may hand one
over twice and pass another one over. So the order of records is kept here, by their positions, and
what was passed over is read from the log; the same goes for the table.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from faust.types import TP

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.kernel.records import Emit, Message, Position
from tidemill.runtime.faust_app import Identity, add_agent, add_table, build_app, to_message
from tidemill.runtime.faust_starting import Owned, begin, start_of
from tidemill.runtime.faust_writing import RETRY_AFTER_S, Writer
from tidemill.runtime.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tidemill.kernel.deciding import DeciderFactory, Handled
    from tidemill.kernel.processor import Log
    from tidemill.runtime.faust_driver import Connection
    from tidemill.runtime.faust_observer import ControlObserver


# A broker that was started again shows the end of a topic once its replicas are in sync.
SHOWN_WITHIN_S = 30.0


class ControlApp:
    """Decides the records of some topics, one after the other.

    Nothing is read or connected before `app` is started.

    Args:
        factory: Makes the decider of a partition.
        connection: Where the clients connect.
        identity: Which worker this is.
        log: Reads committed records by position.
        observer: Is told.
        clock: Monotonic seconds.
        now: Seconds since 1970: no record comes later than that, whatever its sender's clock says.

    Attributes:
        app: What Faust runs.
        clock: The topic that is written as time passes; empty where none is.
        last_record: When the last other record was decided; at first when this was made.
    """

    def __init__(
        self,
        factory: DeciderFactory,
        connection: Connection,
        identity: Identity,
        *,
        log: Log,
        observer: ControlObserver,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self.clock = factory.clock
        self._factory = factory
        self._log = log
        self._observer = observer
        self._clock = clock
        self._owned: dict[int, Owned] = {}
        self._turn = asyncio.Lock()
        self.last_record = clock()
        self.app: Any = build_app(connection, identity)  # Any: Faust's types are partial
        self._outage = Outage(observer, clock)
        self._writer = Writer(self.app, self._outage)
        self._table = add_table(self.app, factory.table, identity.partitions)
        for topic in factory.inputs:
            add_agent(self.app, topic, self._follow, name=f"{factory.name}.{topic}")
        self.app.on_partitions_assigned.connect(self._assigned, weak=False)
        self.app.on_partitions_revoked.connect(self._revoked, weak=False)

    @property
    def is_restored(self) -> bool:
        """Whether Faust has restored its tables and hands records over."""
        return bool(self.app.tables.actives_ready) and not self.app.rebalancing

    def lag(self) -> dict[TP, int | None]:
        """Return how many offsets lie before the end of each partition; None: not yet known."""
        found: dict[TP, int | None] = {}
        for tp in self._inputs():
            end, owned = self._end(tp), self._owned.get(tp.partition)
            found[tp] = None
            if owned is not None and end >= 0:
                found[tp] = max(0, end - owned.next_offset[tp.topic])
        return found

    def _inputs(self) -> list[TP]:
        """Return which partitions of the inputs are ours, in order."""
        return [tp for tp in sorted(self.app._assignment or ()) if tp.topic in self._factory.inputs]

    def _end(self, tp: TP) -> int:
        """Return the last stable offset as the last fetch showed it; -1 where none has."""
        is_ours = tp in (self.app._assignment or ())
        return int(self.app.consumer.highwater(tp)) if is_ours else -1

    async def _follow(self, stream: Any) -> None:  # Any: Faust's stream
        async for event in stream.noack().events():
            try:
                await self._reach(event.message.partition, to_message(event.message))
            except Exception as error:  # an agent that raises is only restarted, past the record
                await self.app.crash(error)
                raise
            event.ack()

    async def _reach(self, partition: int, message: Message) -> None:
        """Decide a record and all before it that were passed over; one that came again is not."""
        async with self._turn:
            owned = await self._own(partition)
            await self._read_on(TP(message.topic, partition), owned, message.offset)
            if message.offset == owned.next_offset[message.topic]:
                await self._handle(owned, message)

    async def catch_up(self) -> None:
        """Decide what Faust has not handed over, and pass over what is no record."""
        if self._turn.locked():
            return
        async with self._turn:
            for tp in self._inputs():
                owned = await self._own(tp.partition)
                if await self._is_passed(tp, owned):
                    await self._read_on(tp, owned, self._end(tp))

    async def write(self, emit: Emit) -> None:
        """Write a record that nothing caused."""
        async with self._turn:
            await self._writer.write([emit], Position(emit.topic, emit.partition, 0))

    async def _is_passed(self, tp: TP, owned: Owned) -> bool:
        """Return whether Faust has read past where we stand, and nothing waits in its queues."""
        consumer, end = self.app.consumer, self._end(tp)
        if owned.next_offset[tp.topic] >= end or any(
            each.tp == tp and not each.acked for each in list(consumer.unacked)
        ):
            return False
        return (await consumer.position(tp) or 0) >= end

    async def _read_on(self, tp: TP, owned: Owned, until: int) -> None:
        """Decide the records that the log holds from where we stand up to an offset."""
        if owned.next_offset[tp.topic] >= until:
            return
        for message in await self._again(self._between, tp, owned.next_offset[tp.topic], until):
            if not self._is_current(tp.partition, owned):
                return
            await self._handle(owned, message)
        if self._is_current(tp.partition, owned):
            self._advance(tp, owned, until)

    def _between(self, tp: TP, start: int, until: int) -> list[Message]:
        batches = self._log.read(tp.topic, tp.partition, start, until)
        return [message for batch in batches for message in batch]

    async def _handle(self, owned: Owned, message: Message) -> None:
        """Decide one record, remember it, write what it causes; only then is it done with."""
        partition = message.partition
        message = message._replace(timestamp_ms=min(message.timestamp_ms, int(self._now() * 1000)))
        handled: Handled = await self._again(owned.decider.decide, message)
        if not self._is_current(partition, owned):
            return  # its owner decides it, and may know more by now
        owned.watch(message, handled)
        if handled.key is not None:
            if not handled.is_repeated:
                entries = {handled.key: handled.value, **handled.more}
                await self._remember(message.position, entries)
            if not self._is_current(partition, owned):
                return  # the partition went while the decision was written; its owner goes on
        if handled.key is not None or handled.forgotten:
            owned.decider.keep(handled)
        await self._writer.write(handled.emits, message.position)
        if handled.forgotten:
            await self._remember(message.position, dict.fromkeys(handled.forgotten))
        if self._is_current(partition, owned):
            self._advance(TP(message.topic, partition), owned, message.offset + 1)
            if message.topic != self.clock:
                self.last_record = self._clock()
            self._observer.handled(message, handled, len(owned.decider))

    def _is_current(self, partition: int, owned: Owned) -> bool:
        return self._owned.get(partition) is owned

    def _advance(self, tp: TP, owned: Owned, next_offset: int) -> None:
        owned.next_offset[tp.topic] = next_offset
        self.app.consumer.done[tp] = next_offset

    async def _again(self, call: Callable[..., Any], *arguments: Any) -> Any:  # Any: the call's
        """Return what a blocking call returns, however long what it takes is away."""
        while True:
            try:
                found = await asyncio.to_thread(call, *arguments)
            except DependencyUnavailableError as error:
                self._outage.failed(str(error))
                await self._writer.pause(error.retry_after_s)
            else:
                self._outage.passed()
                return found

    async def _remember(self, cause: Position, entries: Mapping[bytes, bytes | None]) -> None:
        """Write to the table and its topic; None forgets a key."""
        topic = self._factory.table
        emits = [Emit(topic, cause.partition, k, v) for k, v in entries.items()]
        await self._writer.write(emits, cause)
        for key, value in entries.items():
            if value is None:
                self._table.data.pop(key, None)
            else:
                self._table.data[key] = value

    async def _own(self, partition: int) -> Owned:
        """Return a partition of ours, opened where the group has committed it."""
        owned = self._owned.get(partition)
        if owned is not None:
            return owned
        began = self._clock()
        inputs = [TP(topic, partition) for topic in self._factory.inputs]
        committed = {tp: await self.app.consumer.committed_offset(tp) for tp in inputs}
        remembered = await self._again(self._remembered, partition)
        self._mend(partition, remembered)
        decider = self._factory.open(partition, remembered)
        starts = {
            tp.topic: await self._start(tp, offset, decider.reached)
            for tp, offset in committed.items()
        }
        new = [tp for tp in inputs if committed[tp] is None and tp.topic in self._factory.from_end]
        await begin(self.app.consumer, {tp: starts[tp.topic] for tp in new})
        owned = Owned(decider, starts)
        self._owned[partition] = owned
        self._observer.restored(partition, len(owned.decider), self._clock() - began)
        return owned

    async def _start(self, tp: TP, committed: int | None, reached: Mapping[str, int]) -> int:
        """Return where a partition of an input is read on."""
        last = reached.get(tp.topic, 0)
        span = await self._span(tp, last if committed is None else committed)
        if committed is None and tp.topic not in reached and tp.topic in self._factory.from_end:
            return span[1]
        return start_of(f"{tp.topic}-{tp.partition}", committed, span, last)

    async def _span(self, tp: TP, wanted: int) -> tuple[int, int]:
        """Return what is retained; a broker that has come up may not show all of it at once."""
        deadline = self._clock() + SHOWN_WITHIN_S
        while True:
            span: tuple[int, int] = await self._again(self._log.span, *tp)
            if span[1] >= wanted or self._clock() >= deadline:
                return span
            await self._writer.pause(RETRY_AFTER_S)

    def _remembered(self, partition: int) -> dict[bytes, bytes]:
        """Return what the topic of the table holds of a partition."""
        topic = self._factory.table
        found: dict[bytes, bytes] = {}
        for batch in self._log.read(topic, partition, *self._log.span(topic, partition)):
            for message in batch:
                if message.value is None:
                    found.pop(message.key or b"", None)
                else:
                    key = message.key or b""
                    before = found.get(key, message.value)
                    found[key] = self._factory.valid(before, message.value)
        return found

    def _mend(self, partition: int, remembered: Mapping[bytes, bytes]) -> None:
        """Hold Faust's table against its topic: it passes over records there too."""
        data = self._table.data
        prefix = f"{partition}|".encode()
        mine = {key: data[key] for key in list(data) if key.startswith(prefix)}
        if mine == remembered:
            return
        self._observer.mended(partition, len(set(mine.items()) ^ set(remembered.items())))
        for key in mine:
            data.pop(key, None)
        for key, value in remembered.items():
            data[key] = value

    async def _assigned(self, _: Any, assigned: Iterable[TP], **__: Any) -> None:  # Any: a signal's
        """Forget what was remembered of partitions that went; Faust reads the others on."""
        mine = {tp.partition for tp in assigned if tp.topic in self._factory.inputs}
        data = self._table.data
        for key in [key for key in list(data) if int(key.partition(b"|")[0]) not in mine]:
            data.pop(key, None)
        self._observer.assigned(sorted(mine))

    async def _revoked(self, _: Any, __: Iterable[TP], **___: Any) -> None:  # Any: as above
        """Let no decision be kept and nothing be committed: another worker may go on."""
        self._owned.clear()
        self.app.consumer.done.clear()

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

from tidemill.kernel.records import Emit, Message, Position
from tidemill.runtime.faust_app import Identity, add_agent, add_table, build_app, to_message
from tidemill.runtime.faust_asking import Asking
from tidemill.runtime.faust_batches import Batch, Batches
from tidemill.runtime.faust_starting import Owned, begin, mended
from tidemill.runtime.faust_ticking import CONFIRMED_S
from tidemill.runtime.faust_writing import Writer
from tidemill.runtime.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tidemill.kernel.deciding import DeciderFactory, Handled
    from tidemill.kernel.processor import Log
    from tidemill.runtime.faust_driver import Connection
    from tidemill.runtime.faust_observer import ControlObserver

MOST_BETWEEN = 5_000  # offsets that are read from the log at once


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
        self._factory, self._observer = factory, observer
        self._clock = clock
        self._owned: dict[int, Owned] = {}
        self._moves, self._is_moving = 0, False
        self._turn = asyncio.Lock()
        self.last_record = clock()
        self._batches = Batches(factory.batched)
        # Any: Faust's types are partial
        self.app: Any = build_app(connection, identity, self._batches)
        self._outage = Outage(observer, clock)
        self._writer = Writer(self.app, self._outage)
        self._asking = Asking(log, factory, outage=self._outage, writer=self._writer, clock=clock)
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
        """Return how many offsets lie before the end of each partition; None: not known now."""
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
        """Return the last stable offset as a fetch of late showed it; -1 where none has."""
        consumer, is_ours = self.app.consumer, tp in (self.app._assignment or ())
        is_shown = is_ours and self._now() - consumer.shown_s(tp) <= CONFIRMED_S
        return int(consumer.highwater(tp)) if is_shown else -1

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
            if owned is None:
                return
            await self._read_on(TP(message.topic, partition), owned, message.offset)
            if message.offset == owned.next_offset[message.topic]:
                await self._handle(owned, message)

    async def follow_batches(self) -> None:
        """Decide what is read in batches, for as long as the app runs."""
        while True:
            batch = await self._batches.take()
            try:
                await self._reach_batch(batch)
            except Exception as error:  # as in an agent: nothing else would end the app
                await self.app.crash(error)
                raise

    async def _reach_batch(self, batch: Batch) -> None:
        """Decide the records of a batch and those before it that were passed over."""
        async with self._turn:
            tp = batch.tp
            owned = await self._own(tp.partition)
            if owned is None:
                return
            if not batch.is_next(owned.next_offset[tp.topic]):
                await self._read_on(tp, owned, batch.records[0].offset)
            await self._handle_all(tp, owned, batch.messages(owned.next_offset[tp.topic]))

    async def catch_up(self) -> None:
        """Decide what Faust has not handed over, and pass over what is no record."""
        if self._turn.locked():
            return
        async with self._turn:
            for tp in self._inputs():
                owned = await self._own(tp.partition)
                if owned is not None and await self._is_passed(tp, owned):
                    await self._read_on(tp, owned, self._end(tp))

    async def write(self, emit: Emit) -> None:
        """Write a record that nothing caused."""
        async with self._turn:
            await self._writer.write([emit], Position(emit.topic, emit.partition, 0))

    async def _is_passed(self, tp: TP, owned: Owned) -> bool:
        """Return whether Faust has read past where we stand, and nothing waits in its queues."""
        consumer, end = self.app.consumer, self._end(tp)
        next_offset = owned.next_offset[tp.topic]
        if next_offset >= end or self._batches.is_moving(tp, next_offset):
            return False
        if any(each.tp == tp and not each.acked for each in list(consumer.unacked)):
            return False
        return (await consumer.position(tp) or 0) >= end

    async def _read_on(self, tp: TP, owned: Owned, until: int) -> None:
        """Decide the records that the log holds from where we stand up to an offset."""
        while (start := owned.next_offset[tp.topic]) < until:
            end = min(until, start + MOST_BETWEEN)
            messages = await self._asking.between(tp, start, end)
            await self._handle_all(tp, owned, messages)
            if not self._is_current(tp.partition, owned):
                return
            self._advance(tp, owned, end)

    async def _handle_all(self, tp: TP, owned: Owned, messages: Sequence[Message]) -> None:
        """Decide records; of a topic that is read in batches the decider takes note at once."""
        at = 0
        while at < len(messages) and self._is_current(tp.partition, owned):
            if tp.topic in self._factory.batched:
                at += await self._note(tp, owned, messages[at:])
            if at < len(messages):
                await self._handle(owned, messages[at])
                at += 1

    async def _note(self, tp: TP, owned: Owned, messages: Sequence[Message]) -> int:
        """Have records taken note of as far as nothing is told; return how many."""
        now_ms = int(self._now() * 1000)
        noted = owned.decider.note(
            [m if m.timestamp_ms <= now_ms else m._replace(timestamp_ms=now_ms) for m in messages]
        )
        if noted.records:
            last = messages[noted.records - 1].position
            await self._remember(last, noted.entries)
            if self._is_current(tp.partition, owned):
                owned.passed(noted.records)
                self._advance(tp, owned, last.offset + 1)
                self.last_record = self._clock()
                self._observer.noted(tp, noted.records, len(owned.decider))
        return noted.records

    async def _handle(self, owned: Owned, message: Message) -> None:
        """Decide one record, remember it, write what it causes; only then is it done with."""
        partition = message.partition
        message = message._replace(timestamp_ms=min(message.timestamp_ms, int(self._now() * 1000)))
        handled: Handled = await self._asking.again(owned.decider.decide, message)
        if not self._is_current(partition, owned):
            return  # its owner decides it, and may know more by now
        owned.watch(message, handled)
        if handled.key is not None:
            if not handled.is_repeated:
                await self._remember(message.position, {handled.key: handled.value, **handled.more})
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

    async def _remember(self, cause: Position, entries: Mapping[bytes, bytes | None]) -> None:
        """Write to the table and its topic; None forgets a key."""
        topic = self._factory.table
        emits = [Emit(topic, cause.partition, k, v) for k, v in entries.items()]
        await self._writer.write_together(emits, cause)
        for key, value in entries.items():
            if value is None:
                self._table.data.pop(key, None)
            else:
                self._table.data[key] = value

    async def _own(self, partition: int) -> Owned | None:
        """Return a partition of ours, opened where the group has committed it, or None."""
        owned, moves = self._owned.get(partition), self._moves
        inputs = [TP(topic, partition) for topic in self._factory.inputs]
        if owned is not None or self._is_moving or not set(inputs) & set(self._inputs()):
            return owned
        began = self._clock()
        committed = {tp: await self.app.consumer.committed_offset(tp) for tp in inputs}
        remembered = await self._asking.remembered(TP(self._factory.table, partition))
        wrong = mended(self._table.data, partition, remembered)
        if wrong:
            self._observer.mended(partition, wrong)
        decider = self._factory.open(partition, remembered)
        starts = {
            tp.topic: await self._asking.start(tp, offset, decider.reached)
            for tp, offset in committed.items()
        }
        new = [tp for tp in inputs if committed[tp] is None and tp.topic in self._factory.from_end]
        begins = {tp: starts[tp.topic] for tp in new}
        await begin(self.app.consumer, begins, lambda: moves == self._moves)
        if moves != self._moves:
            return None
        owned = Owned(decider, starts)
        self._owned[partition] = owned
        self._observer.restored(partition, len(owned.decider), self._clock() - began)
        return owned

    async def _assigned(self, _: Any, assigned: Iterable[TP], **__: Any) -> None:  # Any: a signal's
        """Forget what was remembered of partitions that went; Faust reads the others on."""
        mine = {tp.partition for tp in assigned if tp.topic in self._factory.inputs}
        data = self._table.data
        for key in [key for key in list(data) if int(key.partition(b"|")[0]) not in mine]:
            data.pop(key, None)
        self._is_moving = False
        self._observer.assigned(sorted(mine))

    def let_go(self) -> None:
        """Begin no decision and keep none that is under way; what is done with stays so."""
        self._moves, self._is_moving = self._moves + 1, True
        self._owned.clear()

    async def _revoked(self, _: Any, __: Iterable[TP], **___: Any) -> None:  # Any: as above
        """Let no decision be kept and nothing be committed: another worker may go on."""
        self.let_go()
        self._batches.forget()
        self.app.consumer.done.clear()

"""Faust's aiokafka driver, reading what was committed and writing without doubles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.exceptions import NotReady
from faust.transport.drivers import aiokafka as driver
from mode.threads import WorkerThread

from tidemill.runtime.faust_committed import committed_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from faust.types import TP
    from mode.threads import ServiceThread

    from tidemill.runtime.faust_batches import Batches

SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_MS = 1_000
REQUEST_TIMEOUT_MS = 30_000
# A decision may wait for a cluster that is away; a loop that hangs is the probe's to see.
MAX_POLL_MS = 3_600_000
RETRY_BACKOFF_MS = 100
FETCH_WAIT_MS = 100
ASK_AGAIN_S = 0.5


class Connection:
    """Where the clients connect and how, in aiokafka's words.

    Args:
        bootstrap: `host:port,...`.
        security: Keyword arguments of both clients; see `tidemill.runtime.faust_security`.
    """

    def __init__(self, bootstrap: str, security: Mapping[str, Any]) -> None:  # Any: aiokafka's
        self.keywords: dict[str, Any] = {  # Any: as above
            **security,
            "bootstrap_servers": bootstrap,
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
        }


class PassingThread(WorkerThread):
    """A thread that keeps no process alive: it may wait for brokers for ever."""

    def __init__(self, service: ServiceThread, **keywords: Any) -> None:  # Any: of a thread
        super().__init__(service, **keywords)
        self.daemon = True


class CommittedThread(driver.AIOKafkaConsumerThread):
    """A consumer that never sees what a transaction aborted, nor what is not decided yet."""

    Worker = PassingThread

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        assert isinstance(transport, Transport)
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **transport.connection.keywords,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            # Of a group without offsets, and of a table: Faust seeks one before its first record.
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            rebalance_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=MAX_POLL_MS,
            max_poll_records=conf.broker_max_poll_records,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    def highwater(self, tp: TP) -> int:
        """Return the last stable offset; behind it nothing is decided, so nothing is there."""
        found: int | None = self._ensure_consumer().last_stable_offset(tp)
        return -1 if found is None else found

    def shown_s(self, tp: TP) -> float:
        """Return when that was shown last, in seconds since 1970; an end may be an old one."""
        found: int | None = self._ensure_consumer().last_poll_timestamp(tp)
        return 0.0 if found is None else found / 1000


class CommittedConsumer(driver.Consumer):
    """Reads by `CommittedThread`, and commits what is done with, not what Faust was handed.

    Faust would look for the holes that control markers and aborted records leave between what was
    acknowledged, and commits nothing behind one that it has not seen begin.

    Attributes:
        done: The next offset to read, by partition of the input.
    """

    def __post_init__(self) -> None:
        """Begin with nothing done."""
        self.done: dict[TP, int] = {}

    async def _wait_next_records(self, timeout: float) -> Any:  # Any: Faust's
        """Fetch; what is read in batches goes its own way."""
        records, active = await super()._wait_next_records(timeout)
        transport = self.transport
        assert isinstance(transport, Transport)
        found = dict(records or {})
        await transport.batches.divert(self, found)
        return found, active

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Have told whether records come; whether streams take them only where they are given."""
        transport = self.transport
        assert isinstance(transport, Transport)
        if tp.topic in transport.batches.topics:
            self._thread.verify_recovery_event_path(now, tp)
        else:
            super().verify_event_path(now, tp)

    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:  # Any: Faust's
        return (tp for tp in self.done if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        """Return what to commit."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.done.get(tp)

    def shown_s(self, tp: TP) -> float:
        """Return when the end of a partition was shown last, in seconds since 1970."""
        thread = self._thread
        assert isinstance(thread, CommittedThread)
        return thread.shown_s(tp)

    async def committed_offset(self, tp: TP) -> int | None:
        """Return what the group has committed of a partition; None where it has not.

        However long it takes until there is a coordinator that says so.
        """
        thread = self._thread
        while True:
            try:
                found: int | None = await thread.call_thread(
                    committed_of, thread._ensure_consumer()._coordinator, tp
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(ASK_AGAIN_S)
            else:
                return found


class IdempotentProducer(driver.Producer):
    """Writes each record once, in order, to all replicas in sync."""

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        assert transactional_id is None, "the control plane has no transactions"
        transport = self.transport
        assert isinstance(transport, Transport)
        return aiokafka.AIOKafkaProducer(
            **transport.connection.keywords,
            client_id=self.client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=10_000_000,
        )

    async def give_up(self, within_s: float) -> None:
        """Let go what is not acknowledged in time: stopping would wait for it for ever."""
        producer = self._producer
        if producer is None or producer._closed:
            return
        try:
            await asyncio.wait_for(producer.flush(), within_s)
        except TimeoutError:
            await producer._sender.close()
            held = producer._message_accumulator
            # One that waits to be sent again is failed like one under way: it takes itself out.
            for batches in held._batches.values():
                held._pending_batches.update(batches)
            held._batches.clear()
            held.fail_all(KafkaConnectionError("it was not waited for"))
            await producer.stop()

    async def renew(self) -> None:
        """Write by a new client; nothing is written by the old one any more.

        Raises:
            KafkaError: The cluster is away; the old client is of no use all the same.
            NotReady: The producer has stopped, before or meanwhile.
        """
        old = self._ensure_producer()
        if not old._closed:
            await old._sender.close()
            await old.stop()
        new = self._new_producer()
        try:
            await new.start()
            if self._producer is not old:
                msg = "the producer must run to write by a new client, it has stopped meanwhile"
                raise NotReady(msg)
            self._producer = new
        finally:
            if self._producer is not new:
                await new.stop()


class Transport(driver.Transport):
    """Makes these clients.

    Args:
        connection: Where they connect.
    """

    Consumer = CommittedConsumer
    Producer = IdempotentProducer
    connection: Connection
    batches: Batches

    @classmethod
    def of(
        cls, app: Any, connection: Connection, batches: Batches
    ) -> Transport:  # Any: Faust's types are partial
        """Return the transport of an app."""
        transport = cls(app.conf.broker_consumer, app)
        transport.connection, transport.batches = connection, batches
        return transport

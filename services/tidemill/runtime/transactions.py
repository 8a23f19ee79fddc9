"""One transaction at a time on one producer: committed, aborted, or the producer replaced."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Emit
from tidemill.runtime.clients import (
    TRANSACTION_TIMEOUT_MS,
    KafkaError,
    KafkaException,
    TopicPartition,
    kafka_error,
)
from tidemill.runtime.failures import FENCED, Remedy, refused, remedy
from tidemill.runtime.hanging import HungError, call_within
from tidemill.runtime.initialising import is_initialised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.runtime.clients import Clients, TransactionalProducer

CALL_TIMEOUT_S = 5.0
QUEUE_FULL_POLL_S = 0.1
HUNG_AFTER_S = CALL_TIMEOUT_S + 1.0
NO_MARKS: Mapping[int, str] = {}

# Reasons of an abort that the loop acts on.
ASSIGNMENT_CHANGED = "ASSIGNMENT_CHANGED"
TOO_LARGE = "MSG_SIZE_TOO_LARGE"
HUNG = "_TIMED_OUT"
DEPENDENCY = "DEPENDENCY"

# Key of the records that are aborted on purpose.
SWEEP = b"sweep"


class Outcome(Enum):
    """How a transaction ended."""

    COMMITTED = auto()
    ABORTED = auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one transaction; `reason` is why it was aborted, a Kafka error's name."""

    outcome: Outcome
    reason: str = ""


class Abort(Exception):  # noqa: N818 - not an error: the way out of a transaction
    """The transaction must be aborted; the reason is a closed word for the metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transactor:
    """Owns the transactional producer.

    Args:
        clients: Makes producers.
        transactional_id: Stable per instance.
        clock: Monotonic seconds.
        breathe: Called with a word on why before a call is repeated; may raise to leave the wait.
        deadline_s: How long a call that times out is repeated on the same producer.
        wall: Seconds since 1970: goes on while the machine sleeps, where `clock` may stand.
    """

    def __init__(
        self,
        clients: Clients,
        transactional_id: str,
        *,
        clock: Callable[[], float],
        breathe: Callable[[str], None],
        deadline_s: float = 3 * TRANSACTION_TIMEOUT_MS / 1000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clients = clients
        self._id = transactional_id
        self._clock = clock
        self._breathe = breathe
        self._deadline_s = deadline_s
        self._producer: TransactionalProducer | None = None
        self._wall = wall
        self._begun = 0.0
        self._begun_wall = 0.0

    def ready(self) -> TransactionalProducer:
        """Return the producer, made and initialised if need be: predecessors are fenced then.

        Waits for the world as long as it takes.

        Raises:
            InvariantError: The cluster refuses this producer.
        """
        while self._producer is None:
            producer = self._clients.producer(self._id)
            if is_initialised(producer, CALL_TIMEOUT_S, self._breathe):
                self._producer = producer
        return self._producer

    def run(
        self,
        emits: Sequence[Emit],
        offsets: Mapping[tuple[str, int], int],
        metadata: Callable[[], Any],  # Any: opaque to us
        *,
        marks: Mapping[int, str] = NO_MARKS,
    ) -> Ended:
        """Write `emits` and commit `offsets` in one transaction.

        Args:
            metadata: Reads the group's metadata, fresh, just before the offsets are sent;
                raises `Abort` if the assignment is no longer ours.
            marks: By partition, what is committed with its offsets and comes back with them.

        Raises:
            InvariantError: Another worker runs under this instance id, or the cluster refuses us.
        """
        return self._attempt(emits, offsets, metadata, commit, marks=marks)

    def sweep(
        self,
        partitions: Sequence[tuple[str, int]],
        offsets: Mapping[tuple[str, int], int],
        metadata: Callable[[], Any],  # Any: as in `run`
    ) -> bool:
        """End what a predecessor left open in these partitions, by an aborted transaction.

        `init_transactions` should have. But a coordinator that finds a partition without a leader,
        as after a broker's restart, may take it for deleted and end the transaction everywhere
        else: what it holds there would become visible with our next commit. One record in each
        partition, aborted, takes it along. Readers of committed records see nothing of it.

        Source: Kafka's KAFKA-20734, releases 4.2 to 4.3; seen on 4.3.1.

        Returns:
            Whether it is done; otherwise to be tried again.
        """
        emits = [Emit(topic, partition, SWEEP, b"") for topic, partition in partitions]
        ended = self._attempt(emits, offsets, metadata, abort)
        return ended.outcome is Outcome.COMMITTED

    def _attempt(
        self,
        emits: Sequence[Emit],
        offsets: Mapping[tuple[str, int], int],
        metadata: Callable[[], Any],  # Any: as in `run`
        end: Callable[[TransactionalProducer], None],
        *,
        marks: Mapping[int, str] = NO_MARKS,
    ) -> Ended:
        producer = self.ready()
        self._begun = self._clock()
        self._begun_wall = self._wall()
        try:
            producer.begin_transaction()
            self._produce(producer, emits)
            self._flush(producer)
            positions = [
                TopicPartition(t, p, offset, marks.get(p, "")) for (t, p), offset in offsets.items()
            ]
            self._repeat(lambda: _send_offsets(producer, positions, metadata()))
            self._repeat(lambda: end(producer))
        except HungError:
            self._producer = None
            return Ended(Outcome.ABORTED, HUNG)
        except Abort as abortion:
            self._abort(producer)
            return Ended(Outcome.ABORTED, abortion.reason)
        except KafkaException as error:
            found = kafka_error(error)
            self._settle(producer, found)
            return Ended(Outcome.ABORTED, str(found.name()))
        return Ended(Outcome.COMMITTED)

    def _produce(self, producer: TransactionalProducer, emits: Sequence[Emit]) -> None:
        for topic, partition, key, value, headers in emits:
            while True:
                try:
                    producer.produce(
                        topic,
                        value=value,
                        key=key,
                        partition=partition,
                        headers=list(headers) if headers else None,
                    )
                except BufferError:
                    producer.poll(QUEUE_FULL_POLL_S)
                    self._check_time()
                except KafkaException as error:
                    if kafka_error(error).code() == KafkaError.MSG_SIZE_TOO_LARGE:
                        raise Abort(TOO_LARGE) from error
                    raise
                else:
                    break

    def _flush(self, producer: TransactionalProducer) -> None:
        """Wait for every delivery: a commit without it backs off for 100 ms (rule 2)."""
        while producer.flush(CALL_TIMEOUT_S) > 0:
            self._breathe("FLUSH")
            self._check_time()

    def _check_time(self) -> None:
        if self._clock() - self._begun > self._deadline_s:
            raise Abort("DEADLINE")

    def _repeat(self, call: Callable[[], None]) -> None:
        """Repeat what times out, on the same producer, until the deadline (rule 9)."""
        while True:
            try:
                call()
            except KafkaException as error:
                found = kafka_error(error)
                late = self._clock() - self._begun > self._deadline_s
                if remedy(found) is not Remedy.REPEAT or late:
                    raise
                self._breathe(str(found.name()))
            else:
                return

    def _settle(self, producer: TransactionalProducer, error: KafkaError) -> None:
        """After a failed call: abort, replace the producer, or halt."""
        match remedy(error):
            case Remedy.HALT:
                raise refused(error)
            case Remedy.REPLACE if self._is_fenced(error):
                msg = (
                    f"transactional id {self._id} must belong to one worker, another took it over "
                    f"({error.name()}); give every instance its own --instance"
                )
                raise InvariantError(msg)
            case Remedy.ABORT:
                self._abort(producer)
            case Remedy.REPLACE | Remedy.REPEAT:
                self._discard()

    def _is_fenced(self, error: KafkaError) -> bool:
        """Return whether another worker took over: a broker's own time-out looks the same."""
        passed_s = max(self._clock() - self._begun, self._wall() - self._begun_wall)
        return error.code() in FENCED and passed_s < TRANSACTION_TIMEOUT_MS / 1000

    def _abort(self, producer: TransactionalProducer) -> None:
        try:
            self._repeat(lambda: producer.abort_transaction(CALL_TIMEOUT_S))
        except KafkaException as error:
            found = kafka_error(error)
            if remedy(found) is Remedy.HALT:
                raise refused(found) from error
            if remedy(found) is Remedy.REPLACE and self._is_fenced(found):
                self._settle(producer, found)
            self._discard()

    def _discard(self) -> None:
        """Throw the producer away; `init_transactions` of the next one settles what it left."""
        if self._producer is not None:
            self._producer.purge()
        self._producer = None


def commit(producer: TransactionalProducer) -> None:
    """End a transaction so that it counts."""
    producer.commit_transaction(CALL_TIMEOUT_S)


def abort(producer: TransactionalProducer) -> None:
    """End a transaction as if it had never been."""
    producer.abort_transaction(CALL_TIMEOUT_S)


def _send_offsets(
    producer: TransactionalProducer,
    positions: list[TopicPartition],
    metadata: Any,  # Any: opaque to us
) -> None:
    def send() -> None:
        producer.send_offsets_to_transaction(positions, metadata, CALL_TIMEOUT_S)

    call_within(send, HUNG_AFTER_S)

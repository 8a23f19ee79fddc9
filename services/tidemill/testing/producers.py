"""A transactional producer in memory, with the states of librdkafka's."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.testing.faults import Operation
from tidemill.testing.partition_log import Fate

if TYPE_CHECKING:
    from tidemill.kernel.records import Headers
    from tidemill.runtime.clients import TopicPartition
    from tidemill.testing.cluster import MemoryCluster
    from tidemill.testing.groups import GroupMetadata
    from tidemill.testing.processes import Process

LARGEST_MESSAGE = 10_000_000

Queued = tuple[str, int, bytes | None, bytes | None, "Headers"]


class State(Enum):
    """Which calls are allowed next."""

    NEW = auto()
    READY = auto()
    OPEN = auto()
    COMMITTING = auto()
    ABORTING = auto()


class MemoryProducer:
    """See `tidemill.runtime.clients.TransactionalProducer`.

    Records are queued and written by `flush`, `poll` or `commit_transaction`.
    """

    def __init__(self, cluster: MemoryCluster, process: Process, transactional_id: str) -> None:
        self._cluster = cluster
        self._process = process
        self._id = transactional_id
        self._epoch = 0
        self._state = State.NEW
        self._is_decided = False
        self._error: KafkaError | None = None
        self._queue: list[Queued] = []

    def init_transactions(self, timeout: float) -> None:
        """Fence predecessors and settle what they left."""
        self._strike(Operation.INIT, timeout)
        self._check_state(State.NEW)
        self._epoch = self._cluster.coordinator.init(self._id)
        self._state = State.READY

    def begin_transaction(self) -> None:
        """Begin; the cluster hears of it with the first record or offset."""
        self._strike(Operation.BEGIN)
        self._check_state(State.READY)
        self._state = State.OPEN

    def produce(
        self,
        topic: str,
        *,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Queue one record."""
        self._strike(Operation.PRODUCE)
        self._check_state(State.OPEN)
        if len(value or b"") > LARGEST_MESSAGE:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large to send"))
        if not self._cluster.has(topic, partition):
            code = KafkaError._UNKNOWN_PARTITION
            raise KafkaException(KafkaError(code, f"{topic}-{partition} must exist"))
        self._queue.append((topic, partition, key, value, tuple(headers or ())))

    def poll(self, timeout: float) -> int:  # noqa: ARG002 - the protocol asks for it
        """Write what is queued."""
        self._process.check()
        self._deliver()
        return 0

    def flush(self, timeout: float) -> int:
        """Write what is queued; a planned time-out leaves it queued, another error loses it."""
        try:
            self._strike(Operation.FLUSH, timeout)
        except KafkaException as error:
            if _is_time_out(error):
                return len(self._queue)
            self._queue.clear()
            return 0
        self._deliver()
        self._strike(Operation.FLUSH_DONE)
        return 0

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: GroupMetadata, timeout: float
    ) -> None:
        """Add offsets to the transaction, if the group knows the member; none at all always may."""
        self._strike(Operation.SEND_OFFSETS, timeout)
        self._check_state(State.OPEN)
        if positions:
            try:
                owner = self._cluster.coordinator.check(self._id, self._epoch)
                group = self._cluster.group(group_metadata.group)
                group.check(group_metadata)
            except KafkaException as error:
                self._note(error)
                raise
            offsets = {(part.topic, part.partition): part.offset for part in positions}
            marks = {(part.topic, part.partition): part.metadata or "" for part in positions}
            self._cluster.coordinator.hold(owner, group, offsets, marks)
        self._strike(Operation.SEND_OFFSETS_DONE, timeout)

    def commit_transaction(self, timeout: float) -> None:
        """Commit; after a time-out the same call settles it."""
        self._end(State.COMMITTING, (Operation.COMMIT, Operation.COMMIT_DONE), timeout)

    def abort_transaction(self, timeout: float) -> None:
        """Abort; after a time-out the same call settles it."""
        self._queue.clear()
        self._end(State.ABORTING, (Operation.ABORT, Operation.ABORT_DONE), timeout)

    def _end(self, ending: State, operations: tuple[Operation, Operation], timeout: float) -> None:
        is_commit = ending is State.COMMITTING
        if self._state is not ending:
            if not is_commit and self._error is not None and not self._error.fatal():
                self._error = None
            self._check_state(State.OPEN)
            self._state = ending
            self._is_decided = False
        before, done = operations
        self._strike_resumable(before, timeout)
        if not self._is_decided:
            if is_commit:
                self._deliver()
                self._check_error()
            self._decide(Fate.COMMITTED if is_commit else Fate.ABORTED)
            self._is_decided = True
            self._strike_resumable(done, timeout)
        self._state = State.READY

    def _decide(self, fate: Fate) -> None:
        try:
            owner = self._cluster.coordinator.check(self._id, self._epoch)
        except KafkaException as error:
            self._note(error)
            raise
        self._cluster.coordinator.end(owner, fate)

    def _strike_resumable(self, operation: Operation, timeout: float) -> None:
        """Strike; only a time-out leaves the call to be repeated, else it may be aborted."""
        try:
            self._strike(operation, timeout)
        except KafkaException as error:
            if not _is_time_out(error):
                self._state = State.OPEN
            raise

    def purge(self) -> None:
        """Drop what is queued."""
        self._queue.clear()

    def _deliver(self) -> None:
        queue, self._queue = self._queue, []
        if not queue or self._error is not None:
            return
        try:
            owner = self._cluster.coordinator.check(self._id, self._epoch)
        except KafkaException as error:
            self._note(error)
            return
        for topic, partition, key, value, headers in queue:
            log = self._cluster.log(topic, partition)
            if len(value or b"") > self._cluster.largest(topic):
                code = KafkaError.MSG_SIZE_TOO_LARGE
                self._error = KafkaError(code, f"too large for {topic}", txn_requires_abort=True)
                return
            span = self._cluster.coordinator.write(owner, log)
            now_ms = self._cluster.now_ms()
            log.append(key, value, headers, timestamp_ms=now_ms, span=span)

    def _strike(self, operation: Operation, timeout: float = 0.0) -> None:
        try:
            self._cluster.faults.strike(operation, self._process, wait_s=timeout)
        except KafkaException as error:
            self._note(error)
            raise

    def _note(self, error: KafkaException) -> None:
        found: KafkaError = error.args[0]
        if found.fatal() or found.txn_requires_abort():
            self._error = found

    def _check_error(self) -> None:
        if self._error is not None:
            self._state = State.OPEN
            raise KafkaException(self._error)

    def _check_state(self, wanted: State) -> None:
        """Refuse a call that does not fit.

        Raises:
            KafkaException: The error the producer is in, or the call is out of turn.
        """
        if self._error is not None:
            raise KafkaException(self._error)
        if self._state in {State.COMMITTING, State.ABORTING}:
            code = KafkaError._CONFLICT
            raise KafkaException(KafkaError(code, f"{self._state.name} must be repeated first"))
        if self._state is not wanted:
            code = KafkaError._STATE
            found = f"state must be {wanted.name}, was {self._state.name}"
            raise KafkaException(KafkaError(code, found))


def _is_time_out(error: KafkaException) -> bool:
    found: KafkaError = error.args[0]
    return found.code() == KafkaError._TIMED_OUT

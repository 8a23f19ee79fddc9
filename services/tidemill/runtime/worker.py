"""The loop: poll a batch, apply it, commit outputs, state and offsets as one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.kernel.processor import mark_of
from tidemill.runtime.applying import apply_all
from tidemill.runtime.assignment import Assignment
from tidemill.runtime.clients import KafkaError
from tidemill.runtime.confirming import confirmed
from tidemill.runtime.failures import check_message_error
from tidemill.runtime.kafka_log import to_message
from tidemill.runtime.labour import Labour
from tidemill.runtime.lag import LagWatch
from tidemill.runtime.membership import Membership
from tidemill.runtime.observer import Committed, Observer, Silent
from tidemill.runtime.outage import Doubts, Outage
from tidemill.runtime.renewals import Renewals
from tidemill.runtime.resting import Rests
from tidemill.runtime.transactions import ASSIGNMENT_CHANGED, TOO_LARGE, Outcome, Transactor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidemill.kernel.processor import SchemaSource, TaskFactory
    from tidemill.kernel.records import Message
    from tidemill.runtime.clients import Clients, RawMessage
    from tidemill.runtime.lanes import Lane


NO_FAILURES: Callable[[], list[KafkaError]] = list


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How one worker runs.

    Attributes:
        group: Consumer group of the processor, the same for all its workers.
        instance: Stable name of this worker; its place in the group and its transactional id.
        partitions: Partition count of all inputs.
        batch: Records per transaction, at most.
        wait_s: Longest wait for a batch to fill.
        idle_commit_s: Shortest time between commits that only pass control markers.
        restore_deadline_s: How long what was committed may take to become visible.
        schemas: Asked for schemas that no task knows; None means there are no others.
    """

    group: str
    instance: str
    partitions: int
    batch: int = 1000
    wait_s: float = 0.05
    idle_commit_s: float = 1.0
    restore_deadline_s: float = 60.0
    schemas: SchemaSource | None = None

    @property
    def transactional_id(self) -> str:
        """Stable per instance (rule 6)."""
        return f"{self.group}.{self.instance}"


class Worker:
    """One worker of one processor. One thread owns it and its clients (rule 2).

    Args:
        factory: Opens the processor's partitions.
        clients: Makes Kafka clients.
        settings: How to run.
        observer: Hears what happens.
        clock: Monotonic seconds.
        failures: Returns errors that only callbacks saw, and forgets them (rule 14).
        waiting: Called while a call is repeated; may raise to leave the wait.
        wall: Seconds since 1970: the age of records, and time that passes while `clock` stands.
    """

    def __init__(
        self,
        factory: TaskFactory,
        clients: Clients,
        settings: WorkerSettings,
        *,
        clock: Callable[[], float],
        observer: Observer | None = None,
        failures: Callable[[], list[KafkaError]] = NO_FAILURES,
        waiting: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._factory = factory
        self._settings = settings
        self._clock = clock
        self._observer: Observer = observer or Silent()
        self._failures = failures
        self._waiting = waiting
        self._renewals = Renewals(settings.group, settings.instance, clock)
        self._outage = Outage(self._observer, clock)
        self._doubts = Doubts(clock)
        self._last_commit = clock()
        self._idle_since = clock()
        self._transactor = Transactor(
            clients, settings.transactional_id, clock=clock, breathe=self._breathe, wall=wall
        )
        self._transactor.ready()
        self._progressed()
        self._membership = Membership(
            clients,
            factory.inputs,
            group=settings.group,
            instance=settings.instance,
            expected=settings.partitions,
        )
        self._lanes = Assignment(
            factory,
            self._membership,
            clients,
            observer=self._observer,
            outage=self._outage,
            clock=clock,
            deadline_s=settings.restore_deadline_s,
        )
        self._rests = Rests(self._lanes, self._observer, clock)
        self._labour = Labour(self._lanes, self._outage, self._observer, clock)
        self._lag = LagWatch(self._membership.known_end, self._observer, wall=wall)
        self._membership.check_counts(self._breathe)
        self._progressed()
        self._membership.join()

    def step(self) -> None:
        """Turn the loop once.

        Raises:
            InvariantError: A promise would break; nothing of this turn was committed.
        """
        now = self._clock()
        self._observer.turned(now)
        self._doubts.look(self._failures())
        wait_s = 0.0 if self._lanes.due or self._labour.due else self._settings.wait_s
        raw = self._membership.poll(self._settings.batch, wait_s)
        if self._membership.is_fenced:
            self._renew()
        if self._lanes.has_changed:
            self._lanes.take_over()
            return
        batches = self._sort(raw)
        if batches or self._has_marks_to_commit(now):
            self._transact(batches)
        self._labour.turn(batches, self._transact)
        if self._lanes.sweep(self._transactor):
            self._lanes.restore()
        self._rests.look(now)
        self._lag.look(self._lanes, now)

    def _renew(self) -> None:
        """Take our place in the group again: who lost it to an outage keeps it this time."""
        self._renewals.note()
        self._membership.renew()

    def idle_s(self) -> float:
        """Return for how long everything has been read, nothing came, and there was no work."""
        inputs = len(self._factory.inputs)
        is_reading = any(len(lane.ended) < inputs for lane in self._lanes)
        if not self._lanes or is_reading or self._labour.is_busy:
            self._idle_since = self._clock()
        return self._clock() - self._idle_since

    def close(self) -> None:
        """End orderly: no transaction is open between steps (rule 13)."""
        self._lanes.close()
        self._membership.close()

    def _breathe(self, why: str) -> None:
        """Stay alive while a call is repeated."""
        self._waiting()
        self._observer.turned(self._clock())
        self._outage.failed(why)
        self._doubts.look(self._failures())

    def _progressed(self) -> None:
        """Note that the cluster did what it was asked."""
        self._outage.passed()
        self._doubts.passed()

    def _sort(self, raw: Sequence[RawMessage]) -> dict[int, dict[str, list[Message]]]:
        """Sort a poll by partition and topic; note ends of partition."""
        batches: dict[int, dict[str, list[Message]]] = {}
        for message in raw:
            error = message.error()
            if error is not None:
                self._note_error(message, error)
                continue
            lane = self._lanes.get(message.partition())
            if lane is None or not lane.is_ready:
                continue
            topic = message.topic()
            self._check_new(message, lane)
            lane.ended.discard(topic)
            batches.setdefault(lane.partition, {}).setdefault(topic, []).append(to_message(message))
        return batches

    @staticmethod
    def _check_new(message: RawMessage, lane: Lane) -> None:
        """Hold that a record was not applied before: the last guard against counting twice."""
        topic, offset = message.topic(), message.offset()
        if offset < lane.positions[topic]:
            msg = (
                f"{topic}-{lane.partition}: records must come from {lane.positions[topic]} on, "
                f"{offset} came again; nothing of this poll was committed"
            )
            raise InvariantError(msg)

    def _note_error(self, message: RawMessage, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._retention_passed_us(message)
        if not check_message_error(error):
            return
        lane = self._lanes.get(message.partition())
        topic = message.topic()
        if lane is not None and lane.is_ready:
            lane.ended.add(topic)
            # Past control markers, so that a topic that stays quiet never reads as lost (rule 4).
            lane.positions[topic] = max(lane.positions[topic], message.offset())

    def _retention_passed_us(self, message: RawMessage) -> None:
        topic, partition = message.topic(), message.partition()
        retained = self._membership.retained(topic, partition)
        begin, end = retained or ("beginning", "an end that the broker did not tell")
        lane = self._lanes.get(partition)
        wanted = lane.positions.get(topic) if lane is not None else None
        msg = (
            f"{topic}-{partition}: the next record to read is {wanted}, retained are {begin} to "
            f"{end}. Choose: restore the records; or accept the gap with "
            f"`tidemill skip {topic} --partition {partition} --to {begin} --actor NAME "
            "--execute`, which the ledger records"
        )
        raise InvariantError(msg)

    def _has_marks_to_commit(self, now: float) -> bool:
        ready = [lane for lane in self._lanes if lane.is_ready]
        if any(lane.first_emits for lane in ready):
            return True
        is_time = now - self._last_commit >= self._settings.idle_commit_s
        return is_time and any(lane.has_moved for lane in ready)

    def _transact(self, batches: dict[int, dict[str, list[Message]]]) -> None:
        """Apply a poll and commit it; after any abort the state is discarded (rule 8)."""
        started = self._clock()
        try:
            applied = apply_all(self._lanes, self._factory.inputs, batches, self._settings.schemas)
        except DependencyUnavailableError as error:
            self._observer.aborted(str(error))
            self._lanes.discard(pause_s=error.retry_after_s)
            return
        records, emits, moved = applied.records, applied.emits, applied.moved
        marks = {lane.partition: mark_of(lane.task) for lane in moved}
        where = confirmed(self._factory, self._membership.metadata)
        ended = self._transactor.run(emits, applied.offsets, where, marks=marks)
        if ended.outcome is Outcome.ABORTED:
            self._discard(ended.reason)
            return
        self._progressed()
        self._last_commit = self._clock()
        if records:
            self._idle_since = self._last_commit
        for lane in moved:
            lane.committed = dict(lane.positions)
            lane.first_emits = ()
            for watch in lane.poison.values():
                watch.keep()
        tasks = {lane.partition: lane.task for lane in moved if lane.task is not None}
        seconds = self._last_commit - started
        self._observer.committed(
            Committed(records, emits, tasks, seconds=seconds, finished=self._last_commit)
        )

    def _discard(self, reason: str) -> None:
        """Forget all state and rebuild it from what was committed (rules 8 and 9)."""
        self._observer.aborted(reason)
        self._lanes.discard()
        self._transactor.ready()
        self._progressed()
        if reason == ASSIGNMENT_CHANGED:
            self._membership.rejoin()
        if reason == TOO_LARGE:
            self._factory.write_smaller()

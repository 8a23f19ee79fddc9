"""Membership in the consumer group: which partitions are ours, and whether they still are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import InvariantError
from tidemill.runtime.clients import KafkaError, KafkaException, TopicPartition, kafka_error
from tidemill.runtime.failures import Remedy, refused, remedy
from tidemill.runtime.renewals import is_of_no_use
from tidemill.runtime.transactions import ASSIGNMENT_CHANGED, Abort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.runtime.clients import Clients, GroupConsumer, RawMessage

METADATA_TIMEOUT_S = 5.0
COMMITTED_TIMEOUT_S = 1.0

_ABSENT = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})


class Membership:
    """A static member of the group that reads the same partition number of all inputs.

    The client's own assignment holds only those partitions whose state stands: a partition that is
    being restored is ours in the group and not fetched (rules 5, 6, 10).

    Args:
        inputs: The input topics; all must have the same number of partitions.
        expected: That number, as the definition says.

    Attributes:
        is_fenced: The client is of no use any more, another holds its place in the group: `renew`.
            So it is after an outage longer than the session, too, when librdkafka has been
            answered by a member id that it had given up.
    """

    def __init__(
        self, clients: Clients, inputs: Sequence[str], *, group: str, instance: str, expected: int
    ) -> None:
        self._open = partial(clients.member, group, instance)
        self._consumer: GroupConsumer = self._open()
        self._inputs = tuple(inputs)
        self._expected = expected
        self._metadata: Any = None  # opaque to us
        self._problem: InvariantError | None = None
        self._marks: dict[int, str] = {}
        self.partitions: tuple[int, ...] = ()
        self.generation = 0
        self.has_changed = False
        self.is_fenced = False

    def join(self) -> None:
        """Subscribe; the assignment comes in a later `poll`."""
        self._consumer.subscribe(
            list(self._inputs),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def rejoin(self) -> None:
        """Give the assignment up and ask for a new one."""
        try:
            self._consumer.unsubscribe()
        except KafkaException as error:
            self._note_fenced(error)
            self.renew()
            return
        self._forget()
        self.join()

    def renew(self) -> None:
        """Join with a new client, which takes the old one's place in the group."""
        self._consumer.close()
        self._forget()
        self.is_fenced = False
        self._consumer = self._open()
        self.join()

    def _note_fenced(self, error: KafkaException) -> None:
        """Note that the client is of no use any more; raise whatever else is wrong with it."""
        if not is_of_no_use(kafka_error(error)):
            raise error
        self.is_fenced = True

    def check_counts(self, breathe: Callable[[str], None]) -> None:
        """Hold the partition counts of all inputs against the definition.

        Waits for the world as long as it takes; `breathe` is called meanwhile.

        Raises:
            InvariantError: They differ, or a topic is missing.
        """
        found: dict[str, int | None] = {}
        for topic in self._inputs:
            found[topic] = self._count(topic)
            while found[topic] is None:
                breathe("METADATA")
                found[topic] = self._count(topic)
        if set(found.values()) != {self._expected}:
            counts = ", ".join(f"{topic} has {count}" for topic, count in found.items())
            msg = (
                f"all inputs must have the definition's {self._expected} partitions, for ever: "
                f"{counts}; nothing was produced. Run `tidemill topics`; another number of "
                "partitions is a migration to a plant of a new name"
            )
            raise InvariantError(msg)

    def _count(self, topic: str) -> int | None:
        """Return the number of partitions; None while the cluster does not answer."""
        try:
            metadata = self._consumer.list_topics(topic, timeout=COMMITTED_TIMEOUT_S)
        except KafkaException as error:
            if remedy(kafka_error(error)) is Remedy.REPEAT:
                return None
            raise
        found = metadata.topics[topic]
        if found.error is None or found.error.code() in _ABSENT:
            return len(found.partitions)
        if remedy(found.error) is Remedy.REPEAT:
            return None
        raise refused(found.error)

    def poll(self, count: int, timeout_s: float) -> list[RawMessage]:
        """Return messages, errors among them; serves the group's callbacks.

        Raises:
            InvariantError: An assignment contradicts the definition.
        """
        try:
            messages = self._consumer.consume(count, timeout_s)
        except KafkaException as error:
            if remedy(kafka_error(error)) is not Remedy.REPEAT:
                self._note_fenced(error)
            messages = []
        if any(is_of_no_use(message.error()) for message in messages):
            self.is_fenced = True
            messages = []
        if self._problem is not None:
            raise self._problem
        return messages

    def fetch(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Read these partitions, and only these, from these offsets."""
        try:
            self._consumer.assign(
                [TopicPartition(t, p, offset) for (t, p), offset in positions.items()]
            )
        except KafkaException as error:
            self._note_fenced(error)

    def committed(self, partition: int) -> dict[str, int | None] | None:
        """Return the stable committed offset per input; None while a transaction is pending.

        Raises:
            KafkaException: The cluster refuses.
        """
        asked = [TopicPartition(topic, partition) for topic in self._inputs]
        try:
            answer = self._consumer.committed(asked, COMMITTED_TIMEOUT_S)
        except KafkaException as error:
            if remedy(kafka_error(error)) is not Remedy.REPEAT:
                self._note_fenced(error)
            return None
        if any(part.error is not None for part in answer):
            return None
        marks = [part.metadata for part in answer if part.metadata]
        self._marks[partition] = marks[0] if marks else ""
        return {part.topic: part.offset if part.offset >= 0 else None for part in answer}

    def mark(self, partition: int) -> str:
        """Return what was committed with the offsets that `committed` returned last."""
        return self._marks.get(partition, "")

    def retained(self, topic: str, partition: int) -> tuple[int, int] | None:
        """Return first and last stable offset of an input; None if the cluster does not answer."""
        where = TopicPartition(topic, partition)
        try:
            return self._consumer.get_watermark_offsets(where, METADATA_TIMEOUT_S)
        except KafkaException:  # it is only told to the operator, next to what matters more
            return None

    def known_end(self, topic: str, partition: int) -> int | None:
        """Return the end of an input as the last fetch showed it; None if there was none."""
        where = TopicPartition(topic, partition)
        try:
            _, end = self._consumer.get_watermark_offsets(where, cached=True)
        except KafkaException:  # nobody is asked: it can only mean that nothing was fetched yet
            return None
        return end if end >= 0 else None

    def metadata(self) -> Any:  # Any: opaque to us
        """Return the group's metadata, read now (rule 6).

        Raises:
            Abort: It is not what the assignment gave: the partitions may not be ours any more.
        """
        fresh = self._consumer.consumer_group_metadata()
        if self.has_changed or fresh != self._metadata:
            raise Abort(ASSIGNMENT_CHANGED)
        return fresh

    def settle(self) -> None:
        """Note that a changed assignment was taken over: its metadata counts from now on."""
        self._metadata = self._consumer.consumer_group_metadata()
        self.has_changed = False

    def _on_assign(self, _: object, assigned: list[TopicPartition]) -> None:
        numbers = sorted({part.partition for part in assigned})
        have = {(part.topic, part.partition) for part in assigned}
        missing = [
            f"{topic}-{number}"
            for topic in self._inputs
            for number in numbers
            if (topic, number) not in have
        ]
        if missing or any(number >= self._expected for number in numbers):
            self._problem = InvariantError(
                f"a worker must own the same partition numbers of all inputs, at most "
                f"{self._expected}, was given {sorted(have)}: a topic has grown or shrunk; "
                "nothing was produced. Run `tidemill topics`"
            )
        self.partitions = tuple(numbers)
        self.generation += 1
        self.has_changed = True
        self._consumer.assign([])

    def _on_revoke(self, _: object, __: list[TopicPartition]) -> None:
        self._forget()
        self._consumer.unassign()

    def _forget(self) -> None:
        self.partitions = ()
        self.generation += 1
        self.has_changed = True

    def close(self) -> None:
        """Close the client; a static member keeps its place until the session times out."""
        self._consumer.close()

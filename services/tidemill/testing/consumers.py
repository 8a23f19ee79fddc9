"""A consumer in memory: a static member of a group, or a reader by position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.runtime.clients import KafkaError, KafkaException, TopicPartition
from tidemill.testing.faults import Operation
from tidemill.testing.groups import NO_GENERATION, GroupMetadata
from tidemill.testing.messages import MemoryMessage, TopicInfo, TopicList

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.clients import RawMessage
    from tidemill.testing.cluster import MemoryCluster
    from tidemill.testing.groups import Member, Where
    from tidemill.testing.processes import Process

    Callback = Callable[[Any, list[TopicPartition]], None]

OFFSET_INVALID = -1001
OFFSET_BEGINNING = -2
OFFSET_END = -1


@dataclass(slots=True)
class Fetch:
    """Where one partition is read.

    Attributes:
        ended_at: The stable end that was announced last; announced once each.
        is_lost: Whether the position was out of range; nothing is read any more.
    """

    position: int
    ended_at: int = -1
    is_lost: bool = False


class MemoryConsumer:
    """See `tidemill.runtime.clients.GroupConsumer`; isolation is read_committed.

    Args:
        group: The group's id; empty for a reader.
        instance: The static member's name; empty for a reader.
    """

    def __init__(
        self, cluster: MemoryCluster, process: Process, *, group: str = "", instance: str = ""
    ) -> None:
        self._cluster = cluster
        self._process = process
        self._group = cluster.group(group)
        self._instance = instance
        self._topics: tuple[str, ...] = ()
        self._callbacks: tuple[Callback, Callback, Callback] | None = None
        self._member_id = ""
        self._known = GroupMetadata(group, NO_GENERATION, "", instance)
        self._served: GroupMetadata | None = None
        self._assigned: list[Where] | None = None
        self._has_left = False
        self._is_fenced = False
        self._is_unassigned = False
        self._fetches: dict[Where, Fetch] = {}
        self._turn = 0
        self._closed_at: float | None = None

    @property
    def silent_since(self) -> float | None:
        """When the heartbeats stopped; None while they go on."""
        stops = [at for at in (self._closed_at, self._process.silent_since) if at is not None]
        return min(stops, default=None)

    def subscribe(
        self, topics: list[str], *, on_assign: Callback, on_revoke: Callback, on_lost: Callback
    ) -> None:
        """Join the group with the next `consume`."""
        self._check_open()
        self._topics = tuple(topics)
        self._callbacks = (on_assign, on_revoke, on_lost)

    def unsubscribe(self) -> None:
        """Leave the group; the revocation is served by the next `consume`."""
        self._check_open()
        self._topics = ()
        if self._member() is not None:
            self._group.remove(self._instance)
        self._has_left = True
        self._member_id = ""
        self._served = None
        self._fetches = {}

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these partitions, and no others, from their offsets; nothing if dead.

        A generator that Python collects after the crash may still call this.
        """
        if not self._process.is_alive:
            return
        self._check_open()
        self._is_unassigned = False
        self._fetches = {
            (part.topic, part.partition): Fetch(self._start(part)) for part in partitions
        }

    def unassign(self) -> None:
        """Read nothing."""
        self.assign([])
        self._is_unassigned = True

    def _start(self, part: TopicPartition) -> int:
        log = self._cluster.log(part.topic, part.partition)
        where = (part.topic, part.partition)
        named = {
            OFFSET_INVALID: self._group.offsets.get(where, OFFSET_INVALID),
            OFFSET_BEGINNING: log.begin,
            OFFSET_END: log.stable_end,
        }
        return named.get(part.offset, part.offset)

    def consume(self, num_messages: int, timeout: float) -> list[RawMessage]:
        """Serve the group, then return records, ends of partition and errors."""
        self._check_open()
        self._cluster.faults.strike(Operation.CONSUME, self._process, wait_s=timeout)
        found = self._serve_group()
        found += self._fetch(num_messages - len(found))
        if not found:
            self._process.wait(timeout)
        return found

    def _serve_group(self) -> list[RawMessage]:
        if self._has_left:
            self._has_left = False
            self._give_up(1)
        if not self._topics:
            return []
        member = self._group.members.get(self._instance)
        if self._member_id and member is not None and member.member_id != self._member_id:
            return self._fenced()
        if self._member_id and member is None:
            self._member_id = ""
            self._give_up(2)
        if not self._member_id:
            self._served = None
            self._member_id = self._group.join(self._instance, self._topics, self)
        member = self._group.members[self._instance]
        if self._group.is_rebalancing and not member.has_joined:
            self._give_up(1)
            self._group.rejoin(self._instance)
        if not self._group.is_rebalancing and self._served != self.consumer_group_metadata():
            self._take(member)
        return []

    def _fenced(self) -> list[RawMessage]:
        if self._is_fenced:
            return []
        self._is_fenced = True
        self._fetches = {}
        code = KafkaError._FATAL
        error = KafkaError(code, "Fatal error: FENCED_INSTANCE_ID")
        return [MemoryMessage(("", -1, OFFSET_INVALID), error=error)]

    def _give_up(self, callback: int) -> None:
        """Serve the revocation (1) or the loss (2) of what is assigned."""
        assigned, self._assigned = self._assigned, None
        if assigned is None or self._callbacks is None:
            return
        before = self._fetches = {}
        self._callbacks[callback](self, _parts(assigned))
        if self._fetches is not before and not self._is_unassigned:
            msg = "a revocation must be answered by unassign; after assign librdkafka never rejoins"
            raise RuntimeError(msg)
        self._fetches = {}

    def _take(self, member: Member) -> None:
        self._served = self.consumer_group_metadata()
        self._assigned = list(member.assignment)
        assert self._callbacks is not None
        before = self._fetches = {}
        self._callbacks[0](self, _parts(self._assigned))
        if self._fetches is before:
            self.assign(_parts(self._assigned))

    def _fetch(self, room: int) -> list[RawMessage]:
        """Read the assigned partitions in turn, a different one first each time."""
        wheres = list(self._fetches)
        if not wheres:
            return []
        self._turn = (self._turn + 1) % len(wheres)
        found: list[RawMessage] = []
        for where in wheres[self._turn :] + wheres[: self._turn]:
            at_most = min(room - len(found), self._cluster.fetch_records)
            if at_most > 0:
                found += self._fetch_one(where, at_most)
        return found

    def _fetch_one(self, where: Where, at_most: int) -> list[RawMessage]:
        fetch, log = self._fetches[where], self._cluster.log(*where)
        if fetch.is_lost:
            return []
        if not log.begin <= fetch.position <= log.end:
            fetch.is_lost = True
            code = KafkaError._AUTO_OFFSET_RESET
            error = KafkaError(code, f"no offset to read from, was {fetch.position}")
            return [MemoryMessage((*where, fetch.position), error=error)]
        found: list[RawMessage] = []
        for message in log.committed(fetch.position, log.end):
            if len(found) == at_most:
                return found
            fetch.position = message.offset + 1
            found.append(MemoryMessage(message.position, message))
        fetch.position = max(fetch.position, log.stable_end)
        if fetch.ended_at != fetch.position and len(found) < at_most:
            fetch.ended_at = fetch.position
            code = KafkaError._PARTITION_EOF
            error = KafkaError(code, "end of partition")
            found.append(MemoryMessage((*where, fetch.position), error=error))
        return found

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the committed offsets; waits while a transaction holds one of them.

        Raises:
            KafkaException: Timed out waiting.
        """
        self._check_open()
        self._cluster.faults.strike(Operation.COMMITTED, self._process, wait_s=timeout)
        wheres = [(part.topic, part.partition) for part in partitions]
        if any(self._group.is_pending(where) for where in wheres):
            self._process.wait(timeout)
        if any(self._group.is_pending(where) for where in wheres):
            code = KafkaError._TIMED_OUT
            raise KafkaException(KafkaError(code, "offsets are pending"))
        offsets, marks = self._group.offsets, self._group.marks
        return [
            TopicPartition(*w, offsets.get(w, OFFSET_INVALID), marks.get(w, "")) for w in wheres
        ]

    def consumer_group_metadata(self) -> GroupMetadata:
        """Return group, generation and member as this client knows them."""
        if self._member() is not None:
            self._known = GroupMetadata(
                self._group.name, self._group.generation, self._member_id, self._instance
            )
        return self._known

    def _member(self) -> Member | None:
        member = self._group.members.get(self._instance)
        is_me = member is not None and member.member_id == self._member_id
        return member if is_me else None

    def get_watermark_offsets(
        self,
        partition: TopicPartition,
        timeout: float = 0.0,  # noqa: ARG002 - the protocol asks for it
        *,
        cached: bool = False,  # noqa: ARG002 - as above
    ) -> tuple[int, int]:
        """Return first and last stable offset; what is cached is always fresh here."""
        self._check_open()
        log = self._cluster.log(partition.topic, partition.partition)
        return log.begin, log.stable_end

    def list_topics(
        self,
        topic: str | None = None,
        *,
        timeout: float,  # noqa: ARG002 - the protocol asks for it
    ) -> TopicList:
        """Return the partition counts of one topic or all; of an unknown one, an error."""
        self._check_open()
        names = self._cluster.topics if topic is None else [topic]
        return TopicList({name: TopicInfo.of(name, self._cluster.count(name)) for name in names})

    def close(self) -> None:
        """Close; the place in the group stays until the session times out."""
        self._check_open()
        self._give_up(1)
        self._fetches = {}
        self._topics = ()
        self._closed_at = self._cluster.now()

    def _check_open(self) -> None:
        self._process.check()
        if self._closed_at is not None:
            msg = "Consumer closed"
            raise RuntimeError(msg)


def _parts(wheres: list[Where]) -> list[TopicPartition]:
    return [TopicPartition(*where) for where in wheres]

"""A consumer group in memory: static members, generations, range assignment, offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from tidemill.runtime.clients import SESSION_TIMEOUT_MS, KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.testing.consumers import MemoryConsumer

Where = tuple[str, int]  # topic and partition

NO_GENERATION = -1


class GroupMetadata(NamedTuple):
    """What a member shows when it commits; anonymous where it never joined."""

    group: str
    generation: int
    member_id: str
    instance: str


@dataclass(slots=True)
class Member:
    """One static member.

    Attributes:
        client: The incarnation that holds the place now.
        has_joined: Whether it asked to be part of the next generation.
    """

    instance: str
    member_id: str
    topics: tuple[str, ...]
    client: MemoryConsumer
    has_joined: bool = True
    assignment: tuple[Where, ...] = ()


@dataclass(slots=True, eq=False)
class Group:
    """The coordinator of one group. Rebalances are eager: all give up before any is given.

    Args:
        name: The group's id.
        partitions_of: Returns the partition count of a topic.
        marks: Metadata of the committed offsets.
    """

    name: str
    partitions_of: Callable[[str], int]
    generation: int = 0
    is_rebalancing: bool = False
    members: dict[str, Member] = field(default_factory=dict)
    offsets: dict[Where, int] = field(default_factory=dict)
    pending: dict[int, dict[Where, int]] = field(default_factory=dict)
    marks: dict[Where, str] = field(default_factory=dict)
    pending_marks: dict[int, dict[Where, str]] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=count)

    def join(self, instance: str, topics: tuple[str, ...], client: MemoryConsumer) -> str:
        """Take a place in the group, or one's own place again; return the new member id.

        A static member that returns to a stable group finds its assignment as it was.
        """
        member_id = f"{instance}-{next(self._ids)}"
        known = self.members.get(instance)
        if known is None:
            self.members[instance] = Member(instance, member_id, topics, client)
            self.rebalance()
            self.members[instance].has_joined = True
        else:
            changed = known.topics != topics
            known.member_id, known.client, known.topics = member_id, client, topics
            if changed:
                self.rebalance()
            known.has_joined = True
        self._complete_if_all_joined()
        return member_id

    def rebalance(self) -> None:
        """Ask all members to give up what they have and to join again."""
        if self.is_rebalancing:
            return
        self.is_rebalancing = True
        for member in self.members.values():
            member.has_joined = False

    def rejoin(self, instance: str) -> None:
        """Note that a member has given up its partitions and waits for the next generation."""
        self.members[instance].has_joined = True
        self._complete_if_all_joined()

    def remove(self, instance: str) -> None:
        """Let a member go: it left or its session timed out."""
        del self.members[instance]
        self.rebalance()
        self._complete_if_all_joined()

    def _complete_if_all_joined(self) -> None:
        if not self.is_rebalancing or not all(m.has_joined for m in self.members.values()):
            return
        self.is_rebalancing = False
        self.generation += 1
        for member in self.members.values():
            member.assignment = ()
        for topic in sorted({topic for m in self.members.values() for topic in m.topics}):
            self._assign_range(topic)

    def _assign_range(self, topic: str) -> None:
        """Deal one topic out: consecutive partitions, the first members get one more."""
        takers = [m for _, m in sorted(self.members.items()) if topic in m.topics]
        each, more = divmod(self.partitions_of(topic), len(takers))
        first = 0
        for n, member in enumerate(takers):
            size = each + (n < more)
            member.assignment += tuple((topic, p) for p in range(first, first + size))
            first += size

    def expire(self, now: float) -> None:
        """Remove the members not heard of for the session time-out."""
        for instance, member in list(self.members.items()):
            silent_since = member.client.silent_since
            if silent_since is not None and now - silent_since >= SESSION_TIMEOUT_MS / 1000:
                self.remove(instance)

    def check(self, metadata: GroupMetadata) -> None:
        """Refuse the offsets of a member that is not, or no longer, what it says.

        Raises:
            KafkaException: Unknown, fenced or of an older generation; the transaction must abort.
        """
        member = self.members.get(metadata.instance)
        if member is None:
            raise _refused(KafkaError.UNKNOWN_MEMBER_ID, "the member is not in the group")
        if member.member_id != metadata.member_id:
            raise _refused(KafkaError.FENCED_INSTANCE_ID, "another client took the place over")
        if metadata.generation != self.generation:
            raise _refused(KafkaError.ILLEGAL_GENERATION, f"the group is at {self.generation}")

    def hold(
        self, transaction: int, offsets: Mapping[Where, int], marks: Mapping[Where, str]
    ) -> None:
        """Keep offsets and their metadata until their transaction ends."""
        self.pending.setdefault(transaction, {}).update(offsets)
        self.pending_marks.setdefault(transaction, {}).update(marks)

    def settle(self, transaction: int, *, committed: bool) -> None:
        """End a transaction: its offsets count now, or never."""
        held = self.pending.pop(transaction, {})
        marks = self.pending_marks.pop(transaction, {})
        if committed:
            self.offsets.update(held)
            self.marks.update(marks)

    def is_pending(self, where: Where) -> bool:
        """Return whether an open transaction holds an offset of this partition."""
        return any(where in held for held in self.pending.values())


def _refused(code: int, reason: str) -> KafkaException:
    return KafkaException(KafkaError(code, reason, txn_requires_abort=True))

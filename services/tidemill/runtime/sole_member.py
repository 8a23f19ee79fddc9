"""The only member of a consumer group: while it is, no worker owns a partition."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import ConsumerGroupState, KafkaException

from tidemill.kernel.errors import ConfigError, DependencyUnavailableError, InvariantError
from tidemill.runtime.clients import SESSION_TIMEOUT_MS, KafkaError, kafka_error
from tidemill.runtime.failures import Remedy, check_message_error, remedy
from tidemill.runtime.membership import Membership
from tidemill.runtime.reach import reach
from tidemill.runtime.transactions import Outcome, Transactor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any

    from tidemill.kernel.records import Emit
    from tidemill.runtime.clients import Clients

T = TypeVar("T")

_ANSWER_S = 10.0
# A coordinator of a cluster that has just come up reads its groups first.
_SETTLED_S = 60.0
_JOIN_S = 60.0
_BREATH_S = 0.1
_VISIBLE_S = 30.0
_LEAVE_S = SESSION_TIMEOUT_MS // 1000


def members(bootstrap: str, properties: Mapping[str, str], group: str) -> list[str]:
    """Return the names of a group's members; none if there is no such group.

    Raises:
        ConfigError: The cluster does not answer, or refuses.
    """
    admin, _ = reach(bootstrap, properties)
    deadline = time.monotonic() + _SETTLED_S
    while True:
        future = admin.describe_consumer_groups([group], request_timeout=_ANSWER_S)[group]
        try:
            found = future.result(timeout=_SETTLED_S)
        except KafkaException as error:
            problem = kafka_error(error)
            if problem.code() == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            if remedy(problem) is Remedy.REPEAT and time.monotonic() < deadline:
                time.sleep(_BREATH_S)
                continue
            said = f"{problem.name()}: {problem.str()}"
            reason = f"the cluster must let this user describe it, it said {said}"
            raise ConfigError([f"consumer group {group}: {reason}"]) from error
        if found.state == ConsumerGroupState.DEAD:
            return []
        return sorted(member.group_instance_id or member.client_id for member in found.members)


class SoleMember:
    """Acts for a group that has no worker.

    Nothing is joined before `join`: until then positions can be read, beside the workers.

    Args:
        name: Static name in the group, and the end of the transactional id: two never act at once.
        partitions: Partition count of the inputs.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        clients: Clients,
        inputs: Sequence[str],
        *,
        group: str,
        name: str,
        partitions: int,
        clock: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._group = group
        self._name = name
        self._partitions = partitions
        self._membership = Membership(
            clients, inputs, group=group, instance=name, expected=partitions
        )
        self._has_joined = False

    def join(self) -> None:
        """Become the only member.

        Raises:
            ConfigError: Somebody else is one, too.
        """
        self._membership.join()
        self._has_joined = True
        deadline = self._clock() + _JOIN_S
        while not self._membership.partitions:
            self._poll()
            if self._clock() > deadline:
                self._refuse(f"gave no partition in {_JOIN_S:g} s")
        self._membership.settle()
        if len(self._membership.partitions) < self._partitions:
            self._refuse("gave some partitions to others")

    def _poll(self) -> None:
        for message in self._membership.poll(1, _BREATH_S):
            error = message.error()
            if error is not None:
                check_message_error(error)

    def _refuse(self, found: str) -> None:
        msg = (
            f"consumer group {self._group} must have no worker, but {found}: stop the workers; a "
            f"worker that ended is a member until its session times out after {_LEAVE_S} s"
        )
        raise ConfigError([msg])

    def committed(self, partition: int) -> dict[str, int | None]:
        """Return the stable committed offset per input.

        Raises:
            InvariantError: A transaction stays pending.
        """
        deadline = self._clock() + _VISIBLE_S
        while self._clock() < deadline:
            found = self._membership.committed(partition)
            if found is not None:
                return found
        msg = f"offsets of partition {partition} must settle within {_VISIBLE_S:g} s, did not"
        raise InvariantError(msg)

    def drive(self, start: Callable[[], Generator[None, None, T]]) -> T:
        """Run work to its end, staying a member; again while the broker does not show all of it.

        Raises:
            InvariantError: What was committed stays hidden.
        """
        deadline = self._clock() + _VISIBLE_S
        while True:
            try:
                return self._run(start())
            except DependencyUnavailableError as error:
                if self._clock() > deadline:
                    msg = f"what was committed must be visible in {_VISIBLE_S:g} s, {error}"
                    raise InvariantError(msg) from error

    def _run(self, work: Generator[None, None, T]) -> T:
        polled = self._clock()
        while True:
            try:
                next(work)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if self._has_joined and self._clock() - polled > 1.0:
                self._poll()
                polled = self._clock()

    def commit(self, emits: Sequence[Emit], offsets: Mapping[tuple[str, int], int]) -> None:
        """Write records and offsets in one transaction.

        Raises:
            ConfigError: It was aborted, nothing was done.
        """
        transactor = Transactor(
            self._clients,
            f"{self._group}.{self._name}",
            clock=self._clock,
            breathe=lambda _: None,
        )
        ended = transactor.run(emits, offsets, self._metadata)
        if ended.outcome is Outcome.ABORTED:
            msg = f"the transaction must be committed, was aborted: {ended.reason}; try again"
            raise ConfigError([msg])

    def _metadata(self) -> Any:  # Any: opaque to us
        return self._membership.metadata()

    def close(self) -> None:
        """Close the client; the place in the group stays until the session times out."""
        self._membership.close()

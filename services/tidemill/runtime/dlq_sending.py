"""Sends replays in transactions of one id per topic: whoever comes later fences who was before."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # its own way to import

from tidemill.kernel.errors import ConfigError, InvariantError
from tidemill.runtime.clients import TopicPartition
from tidemill.runtime.reach import reach
from tidemill.runtime.transactions import Outcome, Transactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.kernel.records import Emit
    from tidemill.runtime.clients import Clients

ANSWER_S = 10.0
BREATHE_S = 60.0


def replay_id(plant: str, topic: str) -> str:
    """Return the transactional id of the replays of one topic of a plant."""
    return f"tidemill.{plant}.dlq-replay.{topic}"


class ReplaySender:
    """The only one that replays a topic, from `take_over` on.

    Args:
        transactional_id: See `replay_id`.
        clock: Monotonic seconds.

    Attributes:
        sent: Records in committed transactions.
    """

    def __init__(
        self, clients: Clients, transactional_id: str, *, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._deadline = clock() + BREATHE_S
        self._transactor = Transactor(clients, transactional_id, clock=clock, breathe=self._breathe)
        self._reader = clients.reader()
        self.sent = 0

    def take_over(self) -> None:
        """End what a predecessor left open, and keep it from sending more.

        Raises:
            ConfigError: The cluster does not let us, or does not answer.
        """
        try:
            self._transactor.ready()
        except InvariantError as error:
            raise self._failure(str(error)) from error

    def send(self, emits: Sequence[Emit]) -> None:
        """Write records in one transaction.

        Raises:
            ConfigError: It did not end well; nothing is lost or doubled by another run.
        """
        self._deadline = self._clock() + BREATHE_S
        try:
            ended = self._transactor.run(emits, {}, self._metadata)
        except InvariantError as error:
            raise self._failure(str(error)) from error
        if ended.outcome is Outcome.ABORTED:
            raise self._failure(ended.reason)
        self.sent += len(emits)

    def _metadata(self) -> Any:  # Any: opaque to us
        return self._reader.consumer_group_metadata()

    def _breathe(self, word: str) -> None:
        if self._clock() > self._deadline:
            raise self._failure(f"{word} for {BREATHE_S:g} s")

    def _failure(self, found: str) -> ConfigError:
        msg = (
            f"replays must be committed, and by one command at a time, found: {found}. "
            f"{self.sent} records were sent before; run it again: they are not sent twice"
        )
        return ConfigError([msg])

    def close(self) -> None:
        """Close the client that is not the producer."""
        self._reader.close()


def partition_ends(
    bootstrap: str, properties: Mapping[str, str], topic: str, partitions: int
) -> dict[int, int]:
    """Return the end of each partition, records of open transactions included.

    Raises:
        ConfigError: The cluster does not answer.
    """
    admin, _ = reach(bootstrap, properties)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # untyped in confluent_kafka
    asked = {TopicPartition(topic, number): latest for number in range(partitions)}
    level = IsolationLevel.READ_UNCOMMITTED
    futures = admin.list_offsets(asked, isolation_level=level, request_timeout=ANSWER_S)
    wait(futures.values(), timeout=ANSWER_S)
    try:
        return {part.partition: future.result(0).offset for part, future in futures.items()}
    except (KafkaException, TimeoutError) as error:
        raise ConfigError(
            [f"{topic}: the cluster must say where it ends, found {error}"]
        ) from error

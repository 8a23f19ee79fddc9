"""Where topics end, with what no reader of committed records sees yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.runtime.clients import KafkaException, TopicPartition, kafka_error
from tidemill.runtime.kafka_log import UNKNOWN, not_known, span_of

if TYPE_CHECKING:
    from tidemill.runtime.clients import GroupConsumer, KafkaClients

ANSWER_S = 2.0


class WrittenEnds:
    """Returns the offset behind the last record of a partition, committed or not.

    Nothing is connected before the first call.
    """

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._reader: GroupConsumer | None = None

    def __call__(self, topic: str, partition: int) -> int:
        """Ask the partition's leader.

        Raises:
            DependencyUnavailableError: The cluster does not know the partition, or not yet: so it
                is for a moment after a broker's restart.
            KafkaException: It does not answer.
        """
        try:
            _, end = span_of(self._opened(), TopicPartition(topic, partition), ANSWER_S)
        except KafkaException as error:
            if kafka_error(error).code() not in UNKNOWN:
                raise
            raise not_known(topic, partition) from error
        return end

    def cluster(self) -> str:
        """Return the id of the cluster.

        Raises:
            KafkaException: It does not answer.
        """
        return str(self._opened().list_topics(timeout=ANSWER_S).cluster_id or "")

    def _opened(self) -> GroupConsumer:
        if self._reader is None:
            self._reader = self._clients.uncommitted_reader()
        return self._reader

    def close(self) -> None:
        """Close the client."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

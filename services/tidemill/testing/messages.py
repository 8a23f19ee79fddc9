"""What the in-memory clients hand out: messages and metadata, read as confluent_kafka's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.records import Position
from tidemill.runtime.clients import KafkaError

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

CREATE_TIME = 1


class MemoryMessage:
    """A record, or an error in the place of one."""

    __slots__ = ("_error", "_message", "_position")

    def __init__(
        self,
        position: tuple[str, int, int],
        message: Message | None = None,
        *,
        error: KafkaError | None = None,
    ) -> None:
        self._position = Position(*position)
        self._message = message
        self._error = error

    def error(self) -> KafkaError | None:
        """Return the error this is, if it is one."""
        return self._error

    def topic(self) -> str:
        """Return the topic."""
        return self._position.topic

    def partition(self) -> int:
        """Return the partition."""
        return self._position.partition

    def offset(self) -> int:
        """Return the offset; of an end of partition, the next one."""
        return self._position.offset

    def key(self) -> bytes | None:
        """Return the key."""
        return self._message.key if self._message else None

    def value(self) -> bytes | None:
        """Return the value."""
        return self._message.value if self._message else None

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Return the headers; None if there are none."""
        return list(self._message.headers) or None if self._message else None

    def timestamp(self) -> tuple[int, int]:
        """Return kind and time in milliseconds."""
        return (CREATE_TIME, self._message.timestamp_ms) if self._message else (0, -1)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic's partitions by number, or the error in its place."""

    topic: str
    partitions: dict[int, object]
    error: KafkaError | None

    @classmethod
    def of(cls, topic: str, count: int) -> TopicInfo:
        """Return what is known of a topic; a count of 0 means that there is none."""
        if count:
            return cls(topic, dict.fromkeys(range(count)), None)
        return cls(topic, {}, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"))


@dataclass(frozen=True, slots=True)
class TopicList:
    """Topics by name."""

    topics: dict[str, TopicInfo]

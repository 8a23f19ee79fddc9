"""What flows: positions, messages off the wire, and emissions not yet written."""

from __future__ import annotations

from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]

PASSED_ON = ("traceparent", "tracestate")


class Position(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class Message(NamedTuple):
    """One record as Kafka holds it: raw bytes and where they stand."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = 0

    @property
    def position(self) -> Position:
        """Topic, partition and offset of this message."""
        return Position(self.topic, self.partition, self.offset)


class Emit(NamedTuple):
    """A record decided but not yet written; always names its partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def trace_headers(headers: Headers) -> Headers:
    """Return the headers that travel on with whatever a record causes."""
    return tuple(h for h in headers if h[0] in PASSED_ON) if headers else ()

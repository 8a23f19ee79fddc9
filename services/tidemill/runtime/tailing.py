"""Following a topic from a place on: every partition, committed records only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.clients import TopicPartition
from tidemill.runtime.failures import check_callback_error, check_message_error
from tidemill.runtime.kafka_log import (
    METADATA_TIMEOUT_S,
    MOVING,
    UNKNOWN,
    span_of,
    to_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tidemill.kernel.records import Message
    from tidemill.runtime.clients import GroupConsumer, KafkaError, RawMessage

BATCH = 500
BREATH_S = 0.2
BEGINNING, END = "beginning", "end"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to start, in every partition: the beginning, the end, N, or -N before the end.

    Offsets are Kafka's: control records and gaps count.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse what names no place.

        Raises:
            ConfigError: Neither a word nor a whole number.
        """
        digits = self.text.removeprefix("-")
        if self.text not in {BEGINNING, END} and not (digits.isascii() and digits.isdigit()):
            msg = f"-o: must be beginning, end, N or -N, was {self.text!r}"
            raise ConfigError([msg])

    def offset(self, begin: int, end: int) -> int:
        """Return the offset meant, given the first retained and the last stable one."""
        match self.text:
            case "beginning":
                return begin
            case "end":
                return end
            case text if text.startswith("-"):
                return max(begin, end + int(text))
            case text:
                return max(begin, int(text))


def follow(
    reader: GroupConsumer,
    topic: str,
    partitions: Sequence[int],
    place: Place,
    *,
    is_endless: bool,
    failures: Callable[[], Sequence[KafkaError]] = tuple,
) -> Generator[list[Message], None, None]:
    """Yield committed records as they come; an empty list is a breath.

    Args:
        reader: Belongs to nobody else; closed in the end.
        is_endless: Whether to wait for more at the end of all partitions.
        failures: Errors that only callbacks saw.

    Raises:
        InvariantError: The cluster refuses, or retention removes what is about to be read.
    """
    try:
        starts = {}
        for number in partitions:
            where = TopicPartition(topic, number)
            span = span_of(reader, where, METADATA_TIMEOUT_S, MOVING | UNKNOWN)
            starts[number] = (place.offset(*span), span[1])
        # A place beyond the end is reached by waiting: what comes before it is dropped.
        reader.assign([TopicPartition(topic, n, min(at, end)) for n, (at, end) in starts.items()])
        reading = set(starts)
        while reading or is_endless:
            for error in failures():
                check_callback_error(error)
            batch = []
            for raw in reader.consume(BATCH, BREATH_S):
                if not _is_record(raw, reading):
                    continue
                if raw.offset() >= starts[raw.partition()][0]:
                    batch.append(to_message(raw))
            yield batch
    finally:
        reader.close()


def _is_record(raw: RawMessage, reading: set[int]) -> bool:
    error = raw.error()
    if error is None:
        reading.add(raw.partition())
        return True
    if check_message_error(error):
        reading.discard(raw.partition())
    return False

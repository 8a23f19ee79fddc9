"""The dead letters of a cluster, summed up by source topic and reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.runtime.json_lines import iso_time, text_or_hex

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

UNSAID = "unsaid"
_ERROR = "__streams.errors."


class Pile(NamedTuple):
    """Dead letters that share source topic and reason."""

    topic: str
    reason: str


@dataclass(slots=True)
class Heap:
    """What is kept of one pile: how many, the first and the last by time, a few examples."""

    first: Message
    last: Message
    count: int = 0
    examples: list[Message] = field(default_factory=list)

    def add(self, message: Message, examples: int) -> None:
        """Count one more dead letter."""
        self.count += 1
        self.first = min(self.first, message, key=_age)
        self.last = max(self.last, message, key=_age)
        if len(self.examples) < examples:
            self.examples.append(message)


class DeadLetters:
    """Sums dead letters up.

    Args:
        reason: Only this reason.
        examples: How many messages of each pile to keep.
    """

    def __init__(self, *, reason: str | None = None, examples: int = 1) -> None:
        self._reason = reason
        self._examples = examples
        self.heaps: dict[Pile, Heap] = {}

    def add(self, message: Message) -> None:
        """Take one dead letter in."""
        headers = dict(message.headers)
        said = headers.get(REASON_HEADER)
        reason = UNSAID if said is None else said.decode(errors="replace")
        if self._reason not in {None, reason}:
            return
        source = headers.get(_ERROR + "topic")
        topic = (
            message.topic.removesuffix(SUFFIX)
            if source is None
            else source.decode(errors="replace")
        )
        pile = Pile(topic, reason)
        heap = self.heaps.get(pile)
        if heap is None:
            heap = self.heaps[pile] = Heap(message, message)
        heap.add(message, self._examples)

    @property
    def total(self) -> int:
        """How many dead letters there are."""
        return sum(heap.count for heap in self.heaps.values())

    def document(self) -> dict[str, object]:
        """Return everything as one JSON document, the largest piles first."""
        order = sorted(self.heaps.items(), key=lambda item: (-item[1].count, item[0]))
        return {"total": self.total, "dead_letters": [_summary(*item) for item in order]}


def read_dead_letters(
    log: Log, topics: Mapping[str, int], letters: DeadLetters, *, chosen: str | None = None
) -> None:
    """Read all dead letters retained.

    Args:
        log: The cluster.
        topics: Partition count of every topic there is.
        letters: Takes them in.
        chosen: Only this source topic, or its dead-letter topic.
    """
    for topic in dead_letter_topics(topics, chosen):
        for partition in range(topics[topic]):
            begin, end = log.span(topic, partition)
            for messages in log.read(topic, partition, begin, end):
                for message in messages:
                    letters.add(message)


def dead_letter_topics(topics: Iterable[str], chosen: str | None) -> list[str]:
    """Return the dead-letter topics, or the one that is chosen by its own or its source's name."""
    wanted = None if chosen is None else chosen.removesuffix(SUFFIX) + SUFFIX
    return [t for t in sorted(topics) if t.endswith(SUFFIX) and wanted in {None, t}]


def _age(message: Message) -> tuple[int, int, int]:
    return message.timestamp_ms, message.partition, message.offset


def _summary(pile: Pile, heap: Heap) -> dict[str, object]:
    return {
        "topic": pile.topic,
        "reason": pile.reason,
        "count": heap.count,
        "first": _where(heap.first),
        "last": _where(heap.last),
        "examples": [_example(message) for message in heap.examples],
    }


def _where(message: Message) -> dict[str, object]:
    """Return where a dead letter stands, and where the record stood."""
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": iso_time(message.timestamp_ms),
        "source": _source(message),
    }


def _source(message: Message) -> dict[str, object] | None:
    headers = dict(message.headers)
    found = [headers.get(_ERROR + name) for name in ("topic", "partition", "offset")]
    topic, partition, offset = (text_or_hex(value) for value in found)
    if topic is None or partition is None or offset is None:
        return None
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    return {"topic": topic, "partition": int(partition), "offset": int(offset)}


def _example(message: Message) -> dict[str, object]:
    headers = dict(message.headers)
    return {
        **_where(message),
        "exception": text_or_hex(headers.get(_ERROR + "exception")),
        "message": text_or_hex(headers.get(_ERROR + "message")),
        "processor": text_or_hex(headers.get("tidemill.processor")),
        "key": text_or_hex(message.key),
        "value": None if message.value is None else message.value.hex(),
    }

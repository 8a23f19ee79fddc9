"""Feedback and receipts as they stand in their topics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema

from tidemill.contracts.codec import Codec, codec, plain_times
from tidemill.contracts.feedback_form import FINAL, is_too_early
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message, Position
    from tidemill.runtime.registry import Registry

Record = dict[str, Any]  # Any: Avro values


class Said(NamedTuple):
    """A feedback or a receipt, and where it stands."""

    record: Record
    position: Position
    at_ms: int


def reading_codec(name: str, topic: str, registry: Registry | None) -> Codec:
    """Return what reads our record of a topic, by locked ids and those of a registry."""
    ours = codec(name)
    if registry is None:
        return ours
    versions = registry.versions(topic, f"tidemill.{name}")
    known = {number: parse_schema(plain_times(schema)) for number, schema in versions.items()}
    return replace(ours, writers={**ours.writers, **known})


def decoded(messages: Iterable[Message], reading: Codec) -> Iterator[Said]:
    """Yield the records that can be read; what cannot says nothing."""
    for message in messages:
        try:
            record = reading.decode(message.value)
        except InvalidRecordError:
            continue
        yield Said(record, message.position, message.timestamp_ms)


def read_all(log: Log, topic: str, partitions: int, reading: Codec) -> Iterator[Said]:
    """Yield all that is retained of a topic, partition by partition."""
    for number in range(partitions):
        for messages in log.read(topic, number, *log.span(topic, number)):
            yield from decoded(messages, reading)


def last_receipts(receipts: Iterable[Said]) -> dict[str, Said]:
    """Return the last receipt of each feedback by its id: a final one, if there is one."""
    last: dict[str, Said] = {}
    for said in receipts:
        name = said.record["feedback_id"]
        before = last.get(name)
        if before is None or is_last_word(said.record) or not is_last_word(before.record):
            last[name] = said
    return last


def is_last_word(receipt: Mapping[str, Any]) -> bool:  # Any: as in Record
    """Return whether nothing more may come of a feedback, unless people come back to it."""
    return is_final(receipt) and not is_too_early(receipt)


class TooEarly(NamedTuple):
    """Where a feedback was last refused for its time only, and whether nothing came of it since."""

    position: Position
    is_last: bool


def too_early(receipts: Iterable[Said]) -> dict[str, TooEarly]:
    """Return the feedback that was refused for its time only, by its id."""
    found: dict[str, TooEarly] = {}
    for said in receipts:
        name = said.record["feedback_id"]
        if is_too_early(said.record):
            found[name] = TooEarly(said.position, is_last=True)
        elif name in found:
            found[name] = found[name]._replace(is_last=False)
    return found


def is_final(receipt: Mapping[str, Any]) -> bool:  # Any: as in Record
    """Return whether a receipt says what became of the feedback in the end."""
    return receipt["status"] in FINAL

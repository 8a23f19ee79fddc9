"""Feedback and receipts as they come, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.runtime.feedback_topics import decoded
from tidemill.runtime.tailing import follow

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tidemill.contracts.codec import Codec
    from tidemill.runtime.clients import KafkaClients
    from tidemill.runtime.feedback_topics import Said
    from tidemill.runtime.tailing import Place


def follow_in_turn(
    clients: KafkaClients,
    counts: Mapping[str, int],
    readings: Mapping[str, Codec],
    place: Place,
    *,
    is_endless: bool,
) -> Generator[tuple[str, Said], None, None]:
    """Yield the records of several topics as they come, each with its topic.

    Args:
        clients: Makes one reader per topic.
        counts: Partitions of each topic.
        readings: What reads each topic; their order is the order of the turns.
        place: Where to start in every partition.
        is_endless: Whether to wait for more at the ends.
    """
    batches = {
        topic: follow(
            clients.reader(),
            topic,
            range(counts[topic]),
            place,
            is_endless=is_endless,
            failures=clients.failures.take,
        )
        for topic in readings
    }
    try:
        while batches:
            for topic in list(batches):
                batch = next(batches[topic], None)
                if batch is None:
                    del batches[topic]
                    continue
                for said in decoded(batch, readings[topic]):
                    yield topic, said
    finally:
        for each in batches.values():
            each.close()

"""Finding many events, or an asset, in one pass over the predictions."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.heads import first_texts
from tidemill.contracts.topics import PREDICTIONS
from tidemill.fold.why.search import Found, find_predictions, first_answering
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tidemill.fold.why.search import Wanted
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

    Told = Callable[[int, int], None]

CHUNK = 2000


class Home(NamedTuple):
    """The partition of an asset, and streams of it that were lately predicted for."""

    partition: int
    streams: frozenset[str]


def find_many(
    log: Log, partitions: Sequence[int], wanted: Collection[Wanted], on_record: Told | None = None
) -> dict[Wanted, list[Found]]:
    """Return the predictions on each event, as `find_predictions` does for one.

    Args:
        on_record: Told of partition and offset, now and then.
    """
    found: dict[Wanted, list[Found]] = {each: [] for each in wanted}
    waiting: dict[bytes, list[Wanted]] = {}
    for each in found:
        if each.position is not None:
            found[each] = find_predictions(log, partitions, each)
        elif (at := _where_it_says(log, partitions, each)) is not None:
            found[each] = [at]
        else:
            waiting.setdefault(each.name.encode(), []).append(each)
    for partition in partitions if waiting else ():
        for message in _messages(log, partition, on_record):
            for name in first_texts(message.value, 1):
                for each in waiting.get(name, ()):
                    found[each] += _of(each, message)
    return found


def _where_it_says(log: Log, partitions: Sequence[int], wanted: Wanted) -> Found | None:
    """Return the prediction on an event whose id says where it stands."""
    likely = wanted.likely
    if likely is None or likely.partition not in partitions:
        return None
    message = first_answering(log, PREDICTIONS, likely)
    return None if message is None else next(iter(_of(wanted, message)), None)


def _of(wanted: Wanted, message: Message) -> list[Found]:
    try:
        prediction = codec("Prediction").decode(message.value)
    except InvalidRecordError:
        return []
    is_it = prediction["event_id"] == wanted.name and wanted.asset in {None, prediction["asset"]}
    return [Found(message, prediction)] if is_it else []


def _messages(log: Log, partition: int, on_record: Told | None) -> Iterator[Message]:
    for messages in log.read(PREDICTIONS, partition, *log.span(PREDICTIONS, partition)):
        if on_record is not None and messages:
            on_record(partition, messages[-1].offset)
        yield from messages


def backwards(log: Log, topic: str, partition: int, size: int = CHUNK) -> Iterator[list[Message]]:
    """Yield a partition's committed records from its end on, in pieces of so many offsets.

    Inside a piece they are in order.
    """
    begin, end = log.span(topic, partition)
    while end > begin:
        start = max(begin, end - size)
        yield list(chain.from_iterable(log.read(topic, partition, start, end)))
        end = start


def home_of(
    log: Log, partitions: Sequence[int], asset: str, on_record: Told | None = None
) -> Home | None:
    """Return where the newest retained predictions of an asset stand; None where none do."""
    name = asset.encode()
    pieces = {number: backwards(log, PREDICTIONS, number, CHUNK) for number in partitions}
    while pieces:
        for number in list(pieces):
            messages = next(pieces[number], None)
            if messages is None:
                del pieces[number]
                continue
            if on_record is not None and messages:
                on_record(number, messages[0].offset)
            heads = (first_texts(message.value, 3) for message in messages)
            streams = {head[2].decode() for head in heads if head[1:2] == [name] and head[2:]}
            if streams:
                return Home(number, frozenset(streams))
    return None

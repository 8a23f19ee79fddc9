"""Looking for a prediction from the newest on, and for why there is none; never without bound."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.heads import first_texts
from tidemill.contracts.topics import DRIFT, EVENTS, PREDICTIONS
from tidemill.fold.audit.outputs import dead_source
from tidemill.fold.why.many import CHUNK, backwards
from tidemill.fold.why.search import first_answering, why_not_at
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.why.search import Wanted
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

Record = dict[str, Any]  # Any: Avro values

# So many records are looked at, newest first.
LOOKED_AT = 100_000
# The status of the first record of an episode.
OPENING = frozenset({"OPEN", "NOT_STATIONARY"})
_DUPLICATE = "DUPLICATE"


def find_prediction(log: Log, partition: int, wanted: Wanted) -> Record | None:
    """Return the prediction on an event: by its position, or the newest with its id.

    Of an event that came several times it is that on the first, where that is near enough.
    """
    position = wanted.position or wanted.likely
    if position is not None and position.partition == partition:
        message = first_answering(log, PREDICTIONS, position)
        found = None if message is None else _prediction(message, wanted)
        if found is not None or wanted.position is not None:
            return found
    copy: Record | None = None
    for message in _newest(log, PREDICTIONS, partition):
        found = _prediction(message, wanted)
        if found is not None:
            copy = found
            if _DUPLICATE not in found["quality"]:
                break
    return copy


def find_drift(log: Log, partition: int, asset: str, drift_id: str) -> list[Record]:
    """Return the records of an episode of an asset, newest first, back to where it opened."""
    names, found = [drift_id.encode(), asset.encode()], []
    for message in _newest(log, DRIFT, partition):
        if first_texts(message.value, 2) != names:
            continue
        try:
            found.append(codec("Drift").decode(message.value))
        except InvalidRecordError:
            continue
        if found[-1]["status"] in OPENING:
            break
    return found


def why_unknown(log: Log, partition: int, wanted: Wanted) -> str:
    """Return why there is no prediction on an event, as far as the topics say."""
    position = wanted.position
    if position is None:
        return (
            f"none of the last {LOOKED_AT:,} on this partition has that id; name the event by its "
            "position, as `tidemill feedback send` does, if it is older"
        )
    for message in _newest(log, EVENTS + SUFFIX, partition):
        if dead_source(message) == position.offset:
            return f"it was set aside: {message.position}; `tidemill dlq list` says why"
    return why_not_at(log, position)


def _newest(log: Log, topic: str, partition: int) -> Iterator[Message]:
    """Yield the newest records of a partition, the last one first."""
    for messages in islice(backwards(log, topic, partition), LOOKED_AT // CHUNK):
        yield from reversed(messages)


def _prediction(message: Message, wanted: Wanted) -> Record | None:
    """Return the prediction in a record if it is the one that is wanted."""
    name, asset = wanted.name.encode(), wanted.asset
    heads = first_texts(message.value, 2)
    if wanted.position is None and heads[:1] != [name]:
        return None
    if asset is not None and heads[1:2] != [asset.encode()]:
        return None
    try:
        return codec("Prediction").decode(message.value)
    except InvalidRecordError:
        return None

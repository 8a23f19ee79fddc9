"""Examples: what is kept of a prediction, and the instruction that a label makes of it."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.pending import Done, Kept, Source
from tidemill.contracts.topics import LABELS, UPDATES
from tidemill.kernel.records import Emit, trace_headers

if TYPE_CHECKING:
    from tidemill.kernel.records import Message
    from tidemill.processors.labeller.streams import LabelStream, Record

ORIGIN = "label"
KIND = "EXAMPLE"


class Completed(NamedTuple):
    """One example to be written.

    Attributes:
        partition: Of the prediction.
        half: What was kept of it.
        replaced: As `tidemill.contracts.pending.Met` has it.
        by: The record that completed it, and the how manyth example of it this is.
    """

    partition: int
    half: bytes
    label: Record
    replaced: str
    by: tuple[Message, int]


@cache
def _stored_names() -> tuple[str, ...]:
    """Return the fields of a prediction that its example carries."""
    update = {field["name"]: field["type"] for field in codec("Update").schema["fields"]}
    stored = next(kind for kind in update["stored"] if kind != "null")
    predicted = {field["name"] for field in codec("Prediction").schema["fields"]}
    return tuple(field["name"] for field in stored["fields"] if field["name"] in predicted)


def keep(prediction: Record, stream: LabelStream, message: Message) -> Kept:
    """Return what is kept of a prediction until its label comes."""
    half = {
        "update_id": "",
        "cause": {"topic": "", "partition": 0, "offset": 0, "index": 0},
        "asset": "",
        "stream": stream.name,
        "kind": KIND,
        "event_id": prediction["event_id"],
        "event": prediction["source"],
        "features": prediction["features"],
        "stored": {name: prediction[name] for name in _stored_names()},
        "origin": ORIGIN,
        "time": prediction["time"],
    }
    return Kept(
        stream.case(prediction),
        stream.name,
        message.offset,
        prediction["time"],
        message.timestamp_ms * 1000,
        codec("Update").encode(half),
    )


def example(completed: Completed) -> Emit:
    """Return the instruction that tells models a label."""
    update, label = codec("Update").decode(completed.half), completed.label
    message, index = completed.by
    asset, revision = label["asset"], label["revision"]
    names = update["stream"], asset, update["event_id"]
    update |= {
        "update_id": ":".join((ORIGIN, *map(_part, names), str(revision))),
        "cause": {
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "index": index,
        },
        "asset": asset,
        "label": label["value"],
        "replaced": json.loads(completed.replaced) if completed.replaced else None,
        "revision": revision,
        "label_time": label["time"],
    }
    value = codec("Update").encode(update)
    headers = trace_headers(message.headers)
    return Emit(UPDATES, completed.partition, asset.encode(), value, headers)


def _part(name: str) -> str:
    """Return a name without a colon, another for another name."""
    return name.replace("%", "%25").replace(":", "%3A")


def done_of(update: Record, stream: LabelStream) -> Done:
    """Return the join that an instruction of ours tells of.

    Raises:
        InvalidRecordError: Its label is none of the stream any more.
    """
    cause, replaced = update["cause"], update["replaced"]
    kind = "L" if cause["topic"] == LABELS else "P"
    return Done(
        stream.case(update),
        stream.name,
        update["revision"],
        Source(kind, cause["partition"], cause["offset"]),
        update["time"],
        "" if replaced is None else stream.text(replaced),
        stream.text(update["label"]),
    )

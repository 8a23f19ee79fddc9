"""Rulings as records: receipts for people, updates for models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK, RECEIPTS, UPDATES
from tidemill.kernel.records import Emit, Position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said

Record = dict[str, Any]  # Any: the values of an Avro record

# What of a prediction goes with the lesson that follows from it.
STORED = (
    "model",
    "version",
    "lineage",
    "value",
    "probabilities",
    "quality",
    "outcome",
    "interval",
    "class_set",
    "naive",
)

REFUSED = "REFUSED"
ACCEPTED = "ACCEPTED"
COUNTED = "COUNTED"
HELD = "HELD_FOR_EXPERT"
RETRACTED = "RETRACTED"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of one feedback.

    Attributes:
        status: The last receipt it gets here; ACCEPTED where the learner gives the last.
        updates: What models are told, in order.
        others: Receipts of other feedback that it settles or takes back.
        known: What later decisions ask of this one; see `Decision`.
        case: The case it is about.
    """

    status: str
    reason: str | None = None
    updates: Sequence[Record] = ()
    others: Sequence[Record] = ()
    known: Mapping[str, object] = field(default_factory=dict)
    case: Case | None = None


def emits_of(said: Said, ruling: Ruling) -> list[Emit]:
    """Return what a ruling causes: ACCEPTED first, the final receipt last."""
    receipts: list[Record] = []
    if ruling.status != REFUSED:
        receipts.append(_receipt(said, ruling, ACCEPTED))
    updates = [_numbered(said, index, update) for index, update in enumerate(ruling.updates)]
    last = [] if ruling.status == ACCEPTED else [_receipt(said, ruling, ruling.status)]
    partition, key = said.position.partition, said.asset.encode()
    return [
        *(Emit(RECEIPTS, partition, key, codec("Receipt").encode(r)) for r in receipts),
        *(Emit(UPDATES, partition, key, codec("Update").encode(u)) for u in updates),
        *(Emit(RECEIPTS, partition, key, codec("Receipt").encode(r)) for r in last),
        *(
            Emit(RECEIPTS, partition, str(r["asset"]).encode(), codec("Receipt").encode(r))
            for r in ruling.others
        ),
    ]


def _receipt(said: Said, ruling: Ruling, status: str) -> Record:
    is_last = status == ruling.status
    return {
        "feedback_id": said.feedback_id,
        "status": status,
        "reason": ruling.reason if is_last else None,
        "asset": said.asset,
        "stream": ruling.known.get("stream", said.stream),
        "kind": said.kind,
        "actor": said.actor,
        "feature": said.feature,
        "source": said.position._asdict(),
        "time": None if ruling.case is None else ruling.case.time_us,
    }


def receipt_of(decision: Decision, partition: int, status: str, reason: str) -> Record:
    """Return another receipt of a feedback that was decided before."""
    return {
        "feedback_id": decision.feedback_id,
        "status": status,
        "reason": reason,
        "asset": decision.asset,
        "stream": decision.stream,
        "kind": decision.kind,
        "actor": decision.actor,
        "feature": decision.feature,
        "source": Position(FEEDBACK, partition, decision.offset)._asdict(),
    }


def _numbered(said: Said, index: int, update: Record) -> Record:
    topic, partition, offset = said.position
    return {
        "update_id": f"{topic}-{partition}-{offset}-{index}",
        "cause": {"topic": topic, "partition": partition, "offset": offset, "index": index},
        "origin": said.feedback_id,
        **update,
    }


def update_of(said: Said, kind: str, stream: str, **known: Any) -> Record:  # Any: Avro values
    """Return an update without its name and cause; `known` are further fields."""
    return {"asset": said.asset, "stream": stream, "kind": kind, "time": said.time_us, **known}


def about(case: Case) -> Record:
    """Return the fields of an update that name its case."""
    prediction = case.prediction
    return {
        "event_id": prediction["event_id"],
        "event": prediction["source"],
        "time": prediction["time"],
        "stored": {name: prediction[name] for name in STORED},
    }

"""A plant with predictions, and people who say something of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import DRIFT, EVENTS, FEEDBACK, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.kernel.records import Message
from tidemill.processors.feedback.cases import LogCases
from tidemill.processors.feedback.processor import Feedback
from tidemill.processors.feedback.trust import Limits
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import (
    LINEAR,
    LOGISTIC,
    RECORD,
    RECORD_ID,
    START_US,
    STEP_US,
    event_value,
    sample_definition,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.kernel.records import Emit

Record = dict[str, Any]  # Any: the values of an Avro record

ASSET = "plant/hall/line/pump-1"
STREAM = "pump"
LABELLED: Mapping[str, Any] = {  # Any: a document
    "target": {"label": {"name": "jam", "kind": "binary", "classes": ["ok", "jam"], "ttl": "8h"}},
}
MULTICLASS: Mapping[str, Any] = {  # Any: as above
    "target": {"label": {"name": "fault", "kind": "multiclass", "ttl": "8h"}},
}
START_MS = START_US // 1000
HOUR_MS = 3_600_000


def definition_text(stream: Mapping[str, Any] = LABELLED, kind: str = "binary") -> str:
    """Return the text of a plant with one stream; by default its labels come late."""
    champion = LOGISTIC if kind == "binary" else LINEAR
    return sample_definition(champion, kind=kind, stream=stream)


def prediction(number: int, asset: str = ASSET, partition: int = 0, **known: object) -> Record:
    """Return the prediction on the event of this number, which stands at that offset."""
    return {
        "event_id": f"e{number}",
        "asset": asset,
        "stream": STREAM,
        "time": START_US + number * STEP_US,
        "source": {"topic": EVENTS, "partition": partition, "offset": number},
        "model": f"{STREAM}/champion",
        "version": number,
        "lineage": number.to_bytes(32, "big"),
        "probabilities": {"ok": 0.8, "jam": 0.2},
        "outcome": "ok",
        "features": {"vibration": float(number), "temperature": 20.0, "flow": 1.5},
        **known,
    }


def feedback(feedback_id: str, kind: str, **known: object) -> Record:
    """Return a feedback; by default Ann's, an operator, of the case `e0`."""
    about = {} if kind in ("RETRACT", "APPROVE", "REJECT") else {"event_id": "e0"}
    return {
        "feedback_id": feedback_id,
        "kind": kind,
        "asset": ASSET,
        "actor": "ann",
        "role": "operator",
        "time": START_US,
        **about,
        **known,
    }


@dataclass
class Said:
    """What one feedback caused."""

    receipts: list[Record] = field(default_factory=list)
    updates: list[Record] = field(default_factory=list)
    dead: list[Emit] = field(default_factory=list)
    alarm: str = ""

    def of(self, feedback_id: str) -> list[str]:
        """Return the statuses of the receipts of one feedback."""
        return [r["status"] for r in self.receipts if r["feedback_id"] == feedback_id]

    @property
    def statuses(self) -> list[str]:
        """The statuses of all receipts."""
        return [receipt["status"] for receipt in self.receipts]

    @property
    def reason(self) -> str:
        """Why: of the last receipt of the first feedback that is named."""
        mine = [r for r in self.receipts if r["feedback_id"] == self.receipts[0]["feedback_id"]]
        return str(mine[-1]["reason"])

    @property
    def kinds(self) -> list[str]:
        """The kinds of the updates."""
        return [update["kind"] for update in self.updates]


class Stage:
    """One partition of the feedback processor and the topics it reads.

    Args:
        predictions: Stored ones; by default on the events 0 to 99.
        text: The definition.
        events: Values of sensor events, from offset 0 on.
        limits: What people may do.
    """

    def __init__(
        self,
        predictions: list[Record] | None = None,
        *,
        text: str | None = None,
        events: list[bytes] | None = None,
        limits: Limits | None = None,
    ) -> None:
        stored = [prediction(n) for n in range(100)] if predictions is None else predictions
        self.cluster = MemoryCluster(
            dict.fromkeys((PREDICTIONS, EVENTS, EVENTS + ".dlq", DRIFT), 1)
        )
        for record in stored:
            value = codec("Prediction").encode(record)
            self.cluster.append(PREDICTIONS, 0, value, key=record["asset"].encode())
        for value in events or [event_value(ASSET, number, {}) for number in range(100)]:
            self.cluster.append(EVENTS, 0, value, key=ASSET.encode())
        self.log = MemoryLog(self.cluster)
        self._definition = parse_definition(text or definition_text())
        self._limits = limits or Limits(per_minute=1_000_000)
        self._offset = 0
        self.time_ms = START_MS
        self.processor = self.make()

    def make(self) -> Feedback:
        """Return a processor that remembers nothing."""
        cases = LogCases(self.log, self._definition, {RECORD_ID: RECORD})
        return Feedback(0, self._definition, cases, self._limits)

    def message(self, record: Record, *, offset: int | None = None) -> Message:
        """Return a feedback as it stands in its topic, a second after the one before."""
        at = self._offset if offset is None else offset
        self._offset = max(self._offset, at + 1)
        self.time_ms += 1000
        value = codec("Feedback").encode(record)
        return Message(FEEDBACK, 0, at, record["asset"].encode(), value, (), self.time_ms)

    def take(self, message: Message) -> Said:
        """Have a message decided and remembered; return what it caused."""
        handled = self.processor.decide(message)
        if handled.key is not None:
            self.processor.keep(handled)
        said = read_emits(list(handled.emits))
        said.alarm = handled.alarm
        return said

    def say(self, feedback_id: str, kind: str, **known: object) -> Said:
        """Have a feedback decided and remembered; return what it caused."""
        return self.take(self.message(feedback(feedback_id, kind, **known)))

    def vote(self, number: int, actor: str, feature: str = "flow", **known: object) -> Said:
        """Have somebody say of the event of that number that a sensor is irrelevant."""
        vote_id = f"v{number}-{actor}"
        known = {"event_id": f"e{number}", "actor": actor, "feature": feature, **known}
        return self.say(vote_id, str(known.pop("kind", "IRRELEVANT")), **known)


def read_emits(emits: list[Emit]) -> Said:
    """Return emissions, decoded."""
    said = Said()
    for emit in emits:
        assert emit.partition == 0
        if emit.topic == RECEIPTS:
            said.receipts.append(codec("Receipt").decode(emit.value))
        elif emit.topic == UPDATES:
            said.updates.append(codec("Update").decode(emit.value))
        else:
            said.dead.append(emit)
    return said


def shown(said: Said) -> str:
    """Return what a feedback caused, for the message of a failure."""
    return json.dumps([said.receipts, said.updates], default=str)

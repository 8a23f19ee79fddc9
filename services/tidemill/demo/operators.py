"""Simulated operators: they judge explanations, as `tidemill feedback send` would write it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import FEEDBACK
from tidemill.contracts.topics import FEEDBACK as FEEDBACK_TOPIC
from tidemill.demo.shortcut import vote_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.demo.shortcut import FeedbackTally
    from tidemill.runtime.sending import Sender

ROLE = "operator"
KIND = "IRRELEVANT"


class Operators:
    """Vote on the last predictions of the asset whose shortcut they know."""

    def __init__(self, sender: Sender, tally: FeedbackTally) -> None:
        self._encode = codec(FEEDBACK).encode
        self._sender = sender
        self._tally = tally

    def vote(self, actor: str) -> str:
        """Call the sensor irrelevant to what was predicted last; return what is noted."""
        cases, shortcut = self._tally.cases, self._tally.shortcut
        if not cases:
            return f"{actor} finds no prediction to judge"
        for prediction in cases:
            record = _vote(actor, shortcut.sensor, prediction)
            self._tally.note_sent(record["feedback_id"])
            partition = prediction["source"]["partition"]
            value = self._encode(record)
            self._sender.send(FEEDBACK_TOPIC, key=shortcut.asset, value=value, partition=partition)
        return vote_text(actor, shortcut, [each["event_id"] for each in cases])


def _vote(actor: str, sensor: str, prediction: Mapping[str, Any]) -> dict[str, Any]:  # Any: Avro
    return {
        "feedback_id": f"{actor}-{prediction['event_id']}",
        "kind": KIND,
        "event_id": prediction["event_id"],
        "event": dict(prediction["source"]),
        "asset": prediction["asset"],
        "stream": prediction["stream"],
        "feature": sensor,
        "actor": actor,
        "role": ROLE,
        "time": time.time_ns() // 1000,
    }

"""What operators say of predictions while these are made: at random, some of it odd."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.feeding import Outgoing
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.reading import Record

KINDS = ("RIGHT", "WRONG", "CORRECTED", "IRRELEVANT", "IRRELEVANT", "IRRELEVANT", "RETRACT")
ACTORS = 6
EVERY = 25  # predictions for each feedback


class Said(NamedTuple):
    """One feedback as it was written."""

    feedback_id: str
    partition: int


class Operators:
    """Say something of every so manyth prediction, as it arrives.

    Args:
        features: By stream, the sensors that they may name.
        classes: By stream, the answers of classes; numbers where there are none.
    """

    def __init__(
        self, features: Mapping[str, Sequence[str]], classes: Mapping[str, Sequence[str]], seed: int
    ) -> None:
        self.said: list[Said] = []
        self._features = features
        self._classes = classes
        self._rng = random.Random(seed)
        self.seen = 0
        self._written: list[Outgoing] = []
        self._mine: list[tuple[str, str, str, str]] = []
        self._lock = threading.Lock()

    def take(self, record: Record, _: float) -> None:
        """See a prediction arrive."""
        if (self.seen + 1) % EVERY == 0:
            prediction = codec("Prediction").decode(record.value)
            with self._lock:
                self._say(prediction, record.partition)
        self.seen += 1  # only now: whoever waits for that takes what was said of it

    def taken(self) -> list[Outgoing]:
        """Return what they said since the last time."""
        with self._lock:
            written, self._written = self._written, []
            return written

    def _say(self, prediction: dict[str, Any], partition: int) -> None:  # Any: an Avro record
        kind = self._rng.choice(KINDS)
        stream, asset = prediction["stream"], prediction["asset"]
        number = len(self.said)
        record: dict[str, Any] = {  # Any: as above
            "feedback_id": f"f{number}",
            "kind": kind,
            "asset": asset,
            "stream": stream,
            "event_id": prediction["event_id"],
            "event": prediction["source"],
            "actor": f"operator-{self._rng.randrange(ACTORS)}",
            "role": "operator",
            "time": prediction["time"],
        }
        if kind == "RETRACT":
            mine = [each for each in self._mine if each[0] == asset]
            if not mine:
                return
            _, feedback_id, actor, _ = self._rng.choice(mine)
            record |= {"target_id": feedback_id, "actor": actor, "event_id": None, "event": None}
        elif kind == "IRRELEVANT":
            # One sensor is named more often than others, so that some are vetoed.
            first, *others = self._features[stream]
            record["feature"] = first if self._rng.random() < 0.7 else self._rng.choice(others)
        elif kind == "CORRECTED":
            classes = self._classes.get(stream)
            value = self._rng.choice(classes) if classes else self._rng.uniform(30.0, 34.0)
            record["value"] = value
        if kind != "RETRACT":
            self._mine.append((asset, record["feedback_id"], record["actor"], kind))
        self.said.append(Said(record["feedback_id"], partition))
        value_bytes = codec("Feedback").encode(record)
        self._written.append(Outgoing(FEEDBACK, partition, asset.encode(), value_bytes))


def finals(receipts: Iterator[dict[str, Any]]) -> dict[str, set[str]]:  # Any: Avro records
    """Return the final receipts by feedback, but for those of a veto that others sent again."""
    found: dict[str, set[str]] = {}
    own: dict[str, object] = {}
    for receipt in receipts:
        name, source = receipt["feedback_id"], receipt["source"]
        if receipt["status"] != "ACCEPTED" and own.setdefault(name, source) == source:
            found.setdefault(name, set()).add(receipt["status"])
        own.setdefault(name, source)
    return found

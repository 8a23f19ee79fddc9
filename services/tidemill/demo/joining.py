"""Labels joined to the stored prediction and written as examples, as long as no labeller does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidemill.contracts.stream import StreamDefinition
    from tidemill.demo.happenings import Reading
    from tidemill.demo.tally import Tally

Record = dict[str, Any]  # Any: the values of an Avro record

TOO_LATE = "later than the ttl"
FLAGGED = "of a flagged event"
LEARNABLE = frozenset({"MISSING"})


@dataclass(slots=True)
class _Sampled:
    """A sampled event, until label and prediction are both there."""

    features: dict[str, float | bool | str | None]
    time_us: int
    prediction: Record | None = None
    label: Record | None = None
    cause: Record = field(default_factory=dict)


class Joiner:
    """Writes one example for each label, from the features and the prediction as stored.

    Its cause is the position that completed the join: the label's, or the event's where the label
    was there before the prediction. Labels of flagged events teach nothing, nor do those later than
    the definition allows.

    Args:
        stream: The stream whose labels come; `ttl_s` of its target.
        send: Writes a value to a topic under an asset's key.
    """

    def __init__(
        self, stream: StreamDefinition, ttl_s: float, tally: Tally, send: Callable[..., None]
    ) -> None:
        self._stream = stream
        self._ttl_us = round(ttl_s * 1e6)
        self._tally = tally
        self._send = send
        self._encode = codec("Update").encode
        self._held: dict[str, _Sampled] = {}

    def note_sent(self, reading: Reading) -> None:
        """Remember the features of a sampled event."""
        if reading.is_sampled:
            names = [feature.name for feature in self._stream.features]
            features = {name: _value(reading.record.get(name)) for name in names}
            self._held[reading.event_id] = _Sampled(features, reading.time_us)

    def note_prediction(self, prediction: Record) -> None:
        """Remember what was predicted of a sampled event."""
        held = self._held.get(prediction["event_id"])
        if held is not None and held.prediction is None:
            held.prediction = prediction
            held.cause = dict(prediction["source"])
            self._join(held)

    def note_label(self, label: Record, position: Mapping[str, object]) -> None:
        """Take in one label as it stands on its topic."""
        held = self._held[label["event_id"]]
        held.label = label
        if held.prediction is not None:
            held.cause = dict(position)
        self._tally.note_truth(label["event_id"], label["value"])
        self._join(held)

    def _join(self, held: _Sampled) -> None:
        if held.label is None or held.prediction is None:
            return
        del self._held[held.label["event_id"]]
        labels = self._tally.labels
        if held.label["time"] - held.time_us > self._ttl_us:
            labels.untaught[TOO_LATE] += 1
        elif not LEARNABLE.issuperset(held.prediction["quality"]):
            labels.untaught[FLAGGED] += 1
        else:
            labels.examples += 1
            value = self._encode(_example(held.label, held.prediction, held))
            self._send(UPDATES, key=held.label["asset"], value=value)


def _value(value: object) -> float | bool | str | None:
    """Return a sensor's value as an update carries it."""
    if value is None or isinstance(value, bool | str):
        return value
    assert isinstance(value, int | float)
    return float(value)


def _example(label: Record, prediction: Record, held: _Sampled) -> Record:
    stored = ("model", "version", "lineage", "value", "probabilities", "quality")
    return {
        "update_id": f"label:{label['event_id']}:{label['revision']}",
        "cause": {**held.cause, "index": 0},
        "asset": label["asset"],
        "stream": prediction["stream"],
        "model": None,
        "kind": "EXAMPLE",
        "event_id": label["event_id"],
        "event": prediction["source"],
        "features": held.features,
        "label": label["value"],
        "revision": label["revision"],
        "label_time": label["time"],
        "stored": {name: prediction[name] for name in stored},
        "weight": 1.0,
        "origin": "label",
        "time": label["time"],
    }

"""The job all engines do: decode, predict, learn, encode; only the engine around it differs."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, NamedTuple

import fastavro
from river import linear_model, preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from river.compose import Pipeline

FEATURES = tuple(f"f{number}" for number in range(12))
HEADER = struct.Struct(">bI")  # Confluent's wire format: magic byte 0, schema id
PREDICTION_ID = 1_500_002_000


def build_event_schema(time: object) -> dict[str, object]:
    """Return the schema of an event, its time written as the given Avro type."""
    return {
        "type": "record",
        "name": "Reading",
        "namespace": "bench",
        "fields": [
            {"name": "event_id", "type": "string"},
            {"name": "asset", "type": "string"},
            {"name": "event_time", "type": time},
            *({"name": name, "type": "double"} for name in FEATURES),
            {"name": "y", "type": "double"},
        ],
    }


EVENT_SCHEMA = build_event_schema({"type": "long", "logicalType": "timestamp-micros"})
PREDICTION_SCHEMA = {
    "type": "record",
    "name": "Prediction",
    "namespace": "bench",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "asset", "type": "string"},
        {"name": "value", "type": "double"},
        {"name": "version", "type": "long"},
    ],
}
EVENT = fastavro.parse_schema(build_event_schema("long"))  # a plain long decodes faster
PREDICTION = fastavro.parse_schema(PREDICTION_SCHEMA)


class Prediction(NamedTuple):
    """What an engine wrote for one event; `version` counts the learning steps before it."""

    event_id: str
    asset: str
    value: float
    version: int


def build_pipeline() -> Pipeline:
    """Return a new model of one asset."""
    return preprocessing.StandardScaler() | linear_model.LinearRegression()


def decode_event(value: bytes) -> Mapping[str, object]:
    """Return the event behind the five bytes of the wire format."""
    stream = io.BytesIO(value)
    stream.seek(HEADER.size)
    event = fastavro.schemaless_reader(stream, EVENT, None)
    assert isinstance(event, dict)
    return event


def encode_prediction(prediction: Prediction) -> bytes:
    """Return the bytes of one prediction in the wire format."""
    stream = io.BytesIO()
    stream.write(HEADER.pack(0, PREDICTION_ID))
    fastavro.schemaless_writer(stream, PREDICTION, prediction._asdict())
    return stream.getvalue()


def decode_prediction(value: bytes) -> Prediction:
    """Return the prediction behind the five bytes of the wire format."""
    stream = io.BytesIO(value)
    stream.seek(HEADER.size)
    record = fastavro.schemaless_reader(stream, PREDICTION, None)
    assert isinstance(record, dict)
    return Prediction(**record)


class AssetModel:
    """The model of one asset and how often it has learned; pickled by engines that save state."""

    __slots__ = ("pipeline", "version")

    def __init__(self) -> None:
        self.pipeline = build_pipeline()
        self.version = 0

    def step(self, event: Mapping[str, object]) -> Prediction:
        """Predict the event, then learn it."""
        x = {name: event[name] for name in FEATURES}
        value = self.pipeline.predict_one(x)
        self.pipeline.learn_one(x, event["y"])
        self.version += 1
        return Prediction(str(event["event_id"]), str(event["asset"]), value, self.version - 1)


class Job:
    """All models of a worker, in memory."""

    def __init__(self) -> None:
        self.models: dict[str, AssetModel] = {}

    def process(self, value: bytes) -> bytes:
        """Return the prediction for one event and learn from it."""
        event = decode_event(value)
        asset = str(event["asset"])
        model = self.models.get(asset)
        if model is None:
            model = self.models[asset] = AssetModel()
        return encode_prediction(model.step(event))

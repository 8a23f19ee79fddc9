"""An independent re-fold of the recorded order: plain River, the ledger's runs, and SHA-256."""

from __future__ import annotations

import hashlib
import io
import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_reader

from chaos.balance import BrokenPromiseError
from chaos.data import POWER
from chaos.plain_river import PIPELINES
from chaos.plant import CLASSES, FEATURES, IDS, MODELS, RECORDS, TARGETS, model_names
from tidemill.contracts.codec import codec, plain_times
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.fold.plans import plan_stream
from tidemill.models.class_sets import ClassSets
from tidemill.models.intervals import Intervals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.reading import Record

PREFIX = struct.Struct(">bI")
_SCHEMAS = {schema_id: parse_schema(plain_times(RECORDS[name])) for name, schema_id in IDS.items()}
_STREAMS = {schema_id: name for name, schema_id in IDS.items()}


def origins(definition: str) -> dict[tuple[str, str], bytes]:
    """Return the digest of each model's blueprint: all that a lineage starts from but its key."""
    return {
        (stream.name, blueprint.name): blueprint.digest
        for stream in parse_definition(definition).streams
        for blueprint in plan_stream(stream).blueprints
    }


@dataclass(slots=True)
class _Model:
    """One model of one asset, kept by hand."""

    name: str
    pipeline: Any  # Any: River carries no types
    lineage: bytes
    version: int = 0
    causes: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    intervals: Intervals = field(default_factory=Intervals)
    sets: ClassSets = field(default_factory=ClassSets)

    def region(self, said: Mapping[str, Any]) -> dict[str, Any]:  # Any: an Avro record
        """Return what a champion adds to what it says."""
        if said["probabilities"]:
            chosen = self.sets.class_set(said["probabilities"])
            return {"class_set": None if chosen is None else list(chosen)}
        if said["value"] is None or (found := self.intervals.interval(said["value"])) is None:
            return {}
        low, high, labels = found
        about = {"level": 0.9, "method": "adaptive conformal", "labels": labels}
        return {"interval": {"low": low, "high": high, **about}}

    def told(
        self,
        said: Mapping[str, Any],  # Any: as above
        region: Mapping[str, Any],
        y: float | str,
    ) -> None:
        """Let a champion see what became of what it said."""
        if isinstance(y, str):
            if said["probabilities"]:
                self.sets.observe(said["probabilities"], y, class_set=region["class_set"])
            return
        interval = region.get("interval")
        covered = None if interval is None else interval["low"] <= y <= interval["high"]
        self.intervals.observe(said["value"], y, covered=covered)

    def learned(self, value: bytes) -> None:
        self.lineage = hashlib.sha256(self.lineage + value).digest()
        self.version += 1


class Refold:
    """Folds one partition again from its topics.

    Args:
        inputs: All records of the partition, by topic, in order.
        blueprints: See `origins`.
    """

    def __init__(
        self,
        partition: int,
        inputs: Mapping[str, Sequence[Record]],
        blueprints: Mapping[tuple[str, str], bytes],
    ) -> None:
        self.predicted: list[bytes] = []
        self.dead: list[int] = []
        self.examples = 0
        self.dropped = 0
        self._partition = partition
        self._inputs = inputs
        self._blueprints = blueprints
        self._models: dict[tuple[str, str], list[_Model]] = {}
        self._next = dict.fromkeys(inputs, 0)
        self._readings: dict[tuple[str, str], dict[str, float]] = {}
        self._seen: dict[tuple[str, str], int] = {}

    def follow(self, entries: Sequence[dict[str, Any]]) -> None:  # Any: Avro records
        """Apply the runs of ledger entries in order, and hold the models against each entry.

        Raises:
            BrokenPromiseError: The ledger has gaps, or says other models than this re-fold.
        """
        previous = bytes(32)
        for number, entry in enumerate(entries):
            if entry["sequence"] != number or entry["previous"] != previous:
                msg = f"{self._where}: ledger entry {entry['sequence']} must follow {number - 1}"
                raise BrokenPromiseError(msg)
            previous = entry["hash"]
            for run in entry["runs"]:
                self._apply(run["topic"], run["first"], run["last"])
            self._check_models(entry)
        for topic, records in self._inputs.items():
            if self._next[topic] != len(records):
                msg = f"{self._where}: the ledger must name all of {topic}, {self._next[topic]}"
                raise BrokenPromiseError(msg)

    @property
    def _where(self) -> str:
        return f"partition {self._partition}"

    def _apply(self, topic: str, first: int, last: int) -> None:
        records = self._inputs[topic]
        start = self._next[topic]
        if start >= len(records) or records[start].offset != first:
            msg = f"{self._where}: a run of {topic} from {first} must begin at the next record"
            raise BrokenPromiseError(msg)
        while self._next[topic] < len(records) and records[self._next[topic]].offset <= last:
            record = records[self._next[topic]]
            self._next[topic] += 1
            assert record.value is not None
            if topic == EVENTS:
                self._take_event(record, record.value)
            elif topic == UPDATES:
                self._take_update(record.value)

    def _take_event(self, record: Record, value: bytes) -> None:
        schema_id = PREFIX.unpack_from(value)[1] if len(value) >= PREFIX.size else None
        if schema_id not in _SCHEMAS:
            self.dead.append(record.offset)
            return
        stream = _STREAMS[schema_id]
        event: dict[str, Any] = schemaless_reader(  # type: ignore[assignment]  # a record schema
            io.BytesIO(value[PREFIX.size :]), _SCHEMAS[schema_id], None
        )
        given = {name: event[name] for name in FEATURES[stream]}
        missing = any(v is None for v in given.values())
        faulty = any(v is not None and not math.isfinite(v) for v in given.values())
        past = self._readings.setdefault((stream, event["asset"]), {})
        trusted = {n: v if v is None or math.isfinite(v) else past.get(n) for n, v in given.items()}
        x = {n: v for n, v in trusted.items() if v is not None}
        imputed = any(trusted[n] is not None and trusted[n] != v for n, v in given.items())
        quality = ["MISSING"] * missing + ["NOT_FINITE"] * faulty + ["IMPUTED"] * imputed
        models = self._of(stream, event["asset"])
        said = [_said(stream, model, x) for model in models]
        region = models[0].region(said[0])
        about = {"quality": quality, **region}
        self.predicted.append(self._prediction(record.offset, stream, event, (models, said, about)))
        y = event[TARGETS[stream]]
        if not faulty:
            past.update(x)
            self._seen[stream, event["asset"]] = self._seen.get((stream, event["asset"]), 0) + 1
        if y is not None and not faulty:
            for model in models:
                model.pipeline.learn_one(x, bool(y) if stream == POWER else y)
                model.learned(value)
            models[0].told(said[0], region, CLASSES[bool(y)] if stream == POWER else y)

    def _prediction(
        self,
        offset: int,
        stream: str,
        event: Mapping[str, Any],  # Any: an Avro record
        asked: tuple[list[_Model], list[dict[str, Any]], dict[str, Any]],  # Any: as above
    ) -> bytes:
        models, (champion, *others), about = asked
        outcome = None
        if champion["probabilities"]:
            outcome = max(champion["probabilities"], key=champion["probabilities"].get)
        record = {
            **champion,
            "event_id": event["id"],
            "asset": event["asset"],
            "stream": stream,
            "time": event["at"],
            "source": {"topic": EVENTS, "partition": self._partition, "offset": offset},
            "outcome": outcome,
            "structure": getattr(models[0].pipeline, "n_leaves", None) or 1,
            **about,
            "shadows": others,
        }
        record["structure"] -= 1
        return codec("Prediction").encode(record)

    def _take_update(self, value: bytes) -> None:
        update = codec("Update").decode(value)
        cause = update["cause"]
        source, position = (cause["topic"], cause["partition"]), (cause["offset"], cause["index"])
        stream = update["stream"]
        y = update["label"]
        weight = {} if update["weight"] == 1.0 else {"w": update["weight"]}
        for model in self._of(stream, update["asset"]):
            if update["model"] not in {None, model.name}:
                continue
            if model.causes.get(source, (-1, -1)) >= position:
                self.dropped += 1
                continue
            model.causes[source] = position
            x = {name: update["features"][name] for name in FEATURES[stream]}
            model.pipeline.learn_one(x, y == CLASSES[1] if stream == POWER else y, **weight)
            model.learned(value)
            self.examples += 1

    def _of(self, stream: str, asset: str) -> list[_Model]:
        key = (stream, asset)
        if key not in self._models:
            self._models[key] = [
                _Model(name, build(), self._origin(stream, asset, name))
                for name, build in zip(model_names(MODELS, stream), PIPELINES[stream], strict=True)
            ]
        return self._models[key]

    def _origin(self, stream: str, asset: str, model: str) -> bytes:
        key = f"{stream}|{asset}|{model}".encode()
        return hashlib.sha256(key + b"\0" + self._blueprints[stream, model]).digest()

    def _check_models(self, entry: Mapping[str, Any]) -> None:  # Any: an Avro record
        for changed in entry["models"]:
            about = (changed["stream"], changed["asset"])
            models, seen = self._models.get(about, []), self._seen.get(about, 0)
            mine = {model.name: (model.version, model.lineage, seen) for model in models}
            said = (changed["version"], changed["lineage"], changed["seen"])
            if mine.get(changed["model"]) != said:
                msg = (
                    f"{self._where}: ledger entry {entry['sequence']} must have the model "
                    f"{changed['model']} of {changed['asset']} as this re-fold does, "
                    f"was {changed}, here {mine}"
                )
                raise BrokenPromiseError(msg)


def _said(stream: str, model: _Model, x: dict[str, float]) -> dict[str, Any]:  # Any: a record
    said: dict[str, Any] = {  # Any: as above
        "model": model.name,
        "version": model.version,
        "lineage": model.lineage,
        "value": None,
        "probabilities": None,
    }
    if stream == POWER:
        scores = model.pipeline.predict_proba_one(x)
        said["probabilities"] = {CLASSES[c]: p for c, p in scores.items()} or None
    else:
        said["value"] = model.pipeline.predict_one(x)
    return said

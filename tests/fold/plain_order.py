"""One model by a plain loop over the recorded order: River's pipeline and SHA-256, nothing else."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_reader

from fold.corrected import ASSET
from tidemill.contracts.codec import codec, plain_times
from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.fold.ledger import Entry
from tidemill.fold.plans import plan_stream
from tidemill.models.pipelines import build_pipeline
from tidemill.models.state import ModelKey
from tidemill.testing.plants import FEATURES, RECORD, STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from fold.history import ListLog
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message
    from tidemill.models.state import Blueprint

_PARSED = parse_schema(plain_times(RECORD))
PREFIX = 5


def recorded_order(log: ListLog) -> Iterator[Message]:
    """Yield every record that was applied, in the order of the ledger."""
    by_place = {(m.topic, m.offset): m for t in (EVENTS, UPDATES) for m in log.topics[t]}
    for record in log.topics[LEDGER]:
        for run in Entry.decode(record.value).runs:
            for offset in range(run.first, run.last + 1):
                if (run.topic, offset) in by_place:
                    yield by_place[run.topic, offset]


class Plain:
    """One model of one asset, kept by hand.

    Args:
        edits: By offset in `model.updates`, the bytes learned there instead; None for nothing.
            Updates that are no examples are passed over anyway.
        drops: Offsets of vetoes from which on a sensor is left out.
        marks: Offsets of instructions whose bytes go into the lineage, whatever they do.
        held: Spans of event time, both ends included, of which nothing is learned.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        edits: Mapping[int, bytes | None] | None = None,
        drops: Collection[int] = (),
        marks: Collection[int] = (),
        held: Collection[tuple[int, int]] = (),
        model: str = "pump/champion",
        asset: str = ASSET,
    ) -> None:
        (stream,) = terms.definition.streams
        self.blueprint = next(b for b in plan_stream(stream).blueprints if b.name == model)
        self.key = ModelKey(STREAM, asset, model)
        self.edits = edits or {}
        self.drops = drops
        self.held = held
        self.marks = marks
        self.said: dict[int, tuple[float, bytes]] = {}
        self.causes: dict[tuple[str, int], tuple[int, int]] = {}
        self.without: tuple[str, ...] = ()
        self.events = 0
        self.start_anew()

    def origin(self) -> bytes:
        return hashlib.sha256(self.key.encode() + b"\0" + self.blueprint.digest).digest()

    def start_anew(self, *vetoes: tuple[str, bytes]) -> None:
        """Begin at nothing; without these sensors, each named by an update."""
        self.without = tuple(name for name, _ in vetoes)
        self.pipeline = _built(self.blueprint, self.origin(), self.without)
        self.lineage = self.origin()
        for _, value in vetoes:
            self.lineage = hashlib.sha256(self.lineage + value).digest()

    def follow(self, log: ListLog, after_event: Callable[[Plain], None] | None = None) -> Plain:
        """Learn the whole recorded order."""
        if after_event is not None:
            after_event(self)
        for message in recorded_order(log):
            if message.topic == EVENTS:
                if self._event(message) and after_event is not None:
                    after_event(self)
            else:
                self._update(message)
        return self

    def _event(self, message: Message) -> bool:
        assert message.value is not None
        event: Any = schemaless_reader(io.BytesIO(message.value[PREFIX:]), _PARSED, None)
        if event["asset"] != self.key.asset:
            return False
        x = {name: event[name] for name in FEATURES if name not in self.without}
        self.said[message.offset] = (self.pipeline.predict_one(x), self.lineage)
        self.events += 1
        if event["wear"] is not None and not self._is_held(event["event_time"]):
            self._learn(x, event["wear"], message.value)
        return True

    def _update(self, message: Message) -> None:
        assert message.value is not None
        was = codec("Update").decode(message.value)
        value = self.edits.get(message.offset, message.value)
        if was["asset"] != self.key.asset or was["model"] not in {None, self.key.model}:
            return
        cause = was["cause"]
        source, at = (cause["topic"], cause["partition"]), (cause["offset"], cause["index"])
        if self.causes.get(source, (-1, -1)) >= at:
            return
        self.causes[source] = at
        if value is None:
            return
        update = codec("Update").decode(value)
        if update["kind"] == "VETO" and message.offset in self.drops:
            self.without = (*self.without, update["feature"])
            self.lineage = hashlib.sha256(self.lineage + value).digest()
        if message.offset in self.marks:
            self.lineage = hashlib.sha256(self.lineage + value).digest()
        if update["kind"] != "EXAMPLE":
            return
        x = {name: update["features"][name] for name in FEATURES if name not in self.without}
        if self._is_held(update["time"]):
            # That there is such a label is known from then on.
            self.lineage = hashlib.sha256(self.lineage + value).digest()
            return
        self._learn(x, update["label"], value)

    def _is_held(self, time_us: int) -> bool:
        return any(first <= time_us <= last for first, last in self.held)

    def _learn(self, x: Mapping[str, float], y: float, value: bytes) -> None:
        self.pipeline.learn_one(x, y)
        self.lineage = hashlib.sha256(self.lineage + value).digest()


def _built(blueprint: Blueprint, origin: bytes, without: tuple[str, ...]) -> Any:  # Any: River
    seed = int.from_bytes(hashlib.sha256(origin + blueprint.seed.to_bytes(8)).digest()[:4])
    features = tuple(each for each in blueprint.features if each.name not in without)
    return build_pipeline(blueprint.steps, features=features, seed=seed)

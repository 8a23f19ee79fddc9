"""One asset of one partition that is sent events and instructions, one record at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, FEEDBACK, OUTCOMES, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.fold.explaining import Explaining
from tidemill.kernel.deadletters import REASON_HEADER
from tidemill.kernel.records import Emit, Message
from tidemill.models.compiled import slow
from tidemill.models.pickles import dump_state, load_state
from tidemill.testing.plants import LINEAR, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.fold.terms import Terms
    from tidemill.fold.tracked import Tracked

ASSET = "north/1"
KINDS = {"regression": "wear", "binary": "is_faulty"}
RECORDS = {PREDICTIONS: "Prediction", OUTCOMES: "Outcome", RECEIPTS: "Receipt"}


def late_terms(champion: Any = LINEAR, *, kind: str = "regression", **more: Any) -> Terms:
    """Return the sample plant's terms where labels come as instructions."""
    label = {"name": KINDS[kind], "kind": kind, "ttl": "8h"}
    if kind == "binary":
        label["classes"] = [False, True]  # type: ignore[assignment]  # as a definition has them
    stream = {"target": {"label": label}, **more.pop("stream", {})}
    return sample_terms(champion, kind=kind, stream=stream, **more)


class Instructed:
    """A fold, the offsets of its inputs, and everything that it emitted."""

    def __init__(self, terms: Terms, *, explains: bool = False) -> None:
        self.terms = terms
        self.explaining = Explaining() if explains else None
        self.fold = Fold(terms, 0, witness=self.explaining)
        self.emits: list[Emit] = []
        self.ends = {EVENTS: 0, UPDATES: 0}
        self.causes = 0

    @property
    def champion(self) -> Tracked:
        """The champion of the asset."""
        return self.fold.fleet.of("pump", ASSET).models[0]

    @property
    def river(self) -> Any:
        """The champion's pipeline as River has it."""
        return slow(self.champion.state.pipeline)

    def _apply(self, topic: str, value: bytes) -> list[Emit]:
        message = Message(topic, 0, self.ends[topic], ASSET.encode(), value)
        self.ends[topic] += 1
        emits = self.fold.apply([message], sum(self.ends.values()))
        self.fold.fleet.changed.clear()
        self.emits += emits
        return emits

    def event(
        self, number: int, x: Mapping[str, float | None], y: float | bool | None = None
    ) -> dict[str, Any]:
        """Send an event; return its prediction."""
        (emit, *_) = self._apply(EVENTS, event_value(ASSET, number, x, y))
        return codec("Prediction").decode(emit.value)

    def say(self, kind: str, *, by: str = "f1", **fields: Any) -> list[Emit]:
        """Send what a feedback asks for; return what that emits."""
        return self._apply(UPDATES, self.value(kind, by, fields))

    def value(self, kind: str, by: str, fields: dict[str, Any]) -> bytes:
        """Return an instruction; its cause is a feedback unless told otherwise."""
        self.causes += 1
        topic = fields.pop("topic", FEEDBACK)
        x, label = fields.pop("x", {}), fields.pop("label", None)
        value = update_value(ASSET, self.causes, x, label, kind=kind, origin=by, **fields)
        update = codec("Update").decode(value)
        update["cause"]["topic"] = topic
        if not x:
            update["features"] = None
        return codec("Update").encode(update)

    def label(self, said: dict[str, Any], y: float | bool, **fields: Any) -> list[Emit]:
        """Send the label of a prediction as the labeller does; return what that emits."""
        stored = {
            name: said[name]
            for name in ("model", "version", "lineage", "value", "probabilities", "outcome")
        }
        stored |= {name: said[name] for name in ("interval", "class_set", "naive", "quality")}
        known = {
            "event_id": said["event_id"],
            "stored": stored,
            "time": said["time"],
            "label_time": said["time"] + 90_000_000,
            "x": said["features"],
            "topic": "plant.labels",
        }
        return self.say("EXAMPLE", **{"by": "label", "label": y, **known, **fields})

    def restored(self) -> Instructed:
        """Return the same after all models went through their snapshots."""
        other = Instructed(self.terms)
        other.ends, other.causes = dict(self.ends), self.causes
        for tracked in self.fold.fleet:
            if not tracked.is_new:
                other.fold.fleet.restore(tracked.key, load_state(dump_state(tracked.state)), -1)
        return other


def of(emits: list[Emit], topic: str) -> list[dict[str, Any]]:
    """Return the records of one output topic."""
    return [codec(RECORDS[topic]).decode(emit.value) for emit in emits if emit.topic == topic]


def reasons(emits: list[Emit]) -> list[str]:
    """Return the reasons of dead letters."""
    dead = [dict(emit.headers) for emit in emits if emit.topic.endswith(".dlq")]
    return [headers[REASON_HEADER].decode() for headers in dead]

"""An independent fold of what was recorded: plain River, spans held by hand, and SHA-256."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from chaos.balance import BrokenPromiseError
from chaos.data import POWER
from chaos.plain_models import PlainClasses
from chaos.plain_river import PIPELINES
from chaos.plant import CLASSES
from chaos.sheets import ANSWER
from tidemill.contracts.codec import codec, plain_times, wire_prefix
from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.fold.ledger import Entry
from tidemill.fold.swapping import COMPENSATE, SWAP, Compensation, Swap
from tidemill.models.controls import FOR_EVER_US, SINCE_EVER_US

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from chaos.mesh import Mesh
    from chaos.plain_models import Said
    from chaos.sheets import SheetPlant, X

FAULT, LEARNED = "fault", "process_change"
NAMES = ("champion", "tree")  # as the plain pipelines stand
PREFIX = 5

Span = tuple[int, int]


class Event(NamedTuple):
    """One event as it was written."""

    offset: int
    time_us: int
    x: X
    y: int
    value: bytes


class Asked(NamedTuple):
    """A HOLD or a RELEASE as it was written."""

    offset: int
    update: dict[str, Any]  # Any: an Avro record


class Told(NamedTuple):
    """What a model must say of an event, with its lineage, and whether it must be flagged."""

    said: Said
    lineage: bytes
    is_held: bool


class Swapped(NamedTuple):
    """A model was exchanged; from here on these updates are in force."""

    model: str
    offsets: tuple[int, ...]


Item = Event | Asked | Swapped


class Recorded:
    """What one partition holds, in the order of its ledger.

    Attributes:
        order: Events, holds and swaps, by asset.
        entries: The ledger.
    """

    def __init__(self, mesh: Mesh, made: SheetPlant, partition: int) -> None:
        parsed = {
            wire_prefix(number): (schema["name"].lower(), parse_schema(plain_times(schema)))
            for number, schema in made.lock.items()
        }
        self.order: dict[str, list[Item]] = defaultdict(list)
        self.streams: dict[str, str] = {}
        found: dict[tuple[str, int], tuple[str, Event | Asked]] = {}
        for record in mesh.read(EVENTS)[partition]:
            assert record.value is not None
            name, schema = parsed[record.value[:PREFIX]]
            body = io.BytesIO(record.value[PREFIX:])
            event: dict[str, Any] = schemaless_reader(body, schema, None)  # type: ignore[assignment]  # a record
            y, asset = event.pop(ANSWER), event.pop("asset")
            event.pop("id")
            event = {"at": event.pop("at"), "x": event}
            self.streams[asset] = name
            place = (EVENTS, record.offset)
            found[place] = asset, Event(record.offset, event["at"], event["x"], y, record.value)
        for record in mesh.read(UPDATES)[partition]:
            update = codec("Update").decode(record.value)
            if update["kind"] in {"HOLD", "RELEASE"}:
                found[UPDATES, record.offset] = update["asset"], Asked(record.offset, update)
        self.entries = [Entry.decode(record.value) for record in mesh.read(LEDGER)[partition]]
        for entry in self.entries:
            for run in entry.runs:
                for offset in range(run.first, run.last + 1):
                    if (run.topic, offset) in found:
                        asset, item = found[run.topic, offset]
                        self.order[asset].append(item)
            self._note_swaps(entry)

    def _note_swaps(self, entry: Entry) -> None:
        for action in entry.actions:
            if action.kind == SWAP:
                swap = Swap.of(action)
                self.order[swap.key.asset].append(Swapped(swap.key.model, swap.offsets))
            elif action.kind == COMPENSATE:
                done = Compensation.of(action)
                msg = f"every hold must be folded again, {done.key} was compensated: {done.why}"
                raise BrokenPromiseError(msg)

    def events(self, asset: str) -> list[Event]:
        """Return the events of an asset."""
        return [item for item in self.order[asset] if isinstance(item, Event)]

    def asked(self, asset: str) -> list[Asked]:
        """Return what models of an asset were told of holds."""
        return [item for item in self.order[asset] if isinstance(item, Asked)]

    def is_faulty(self, asset: str) -> bool:
        """Return whether a span of an asset is not to be learned, by the last word on each."""
        last: dict[str, str | None] = {}
        for _, update in self.asked(asset):
            last[update["target_id"] or update["origin"]] = update["label"]
        return any(label != LEARNED for label in last.values())

    def awaited(self, asset: str) -> set[int]:
        """Return the holds and releases that take effect by a re-fold only.

        A hold does where the model had come to its span, the end of a fault where more than that
        was held.
        """
        newest_us, found = SINCE_EVER_US, set()
        untils: dict[str, int] = {}
        for item in self.order[asset]:
            if isinstance(item, Event):
                newest_us = max(newest_us, item.time_us)
            elif isinstance(item, Asked):
                update, span = item.update, item.update["span"]
                if update["kind"] == "HOLD":
                    until = update["until"]
                    untils[update["origin"]] = FOR_EVER_US if until is None else until
                    is_due = newest_us >= span["from"]
                else:
                    until = untils[update["target_id"]]
                    is_due = update["label"] == LEARNED or min(newest_us, until) > span["to"]
                if is_due:
                    found.add(item.offset)
        return found

    def swapped(self, asset: str) -> list[int]:
        """Return what came into force by re-folds, once for each model."""
        swaps = (item for item in self.order[asset] if isinstance(item, Swapped))
        return [offset for swap in swaps for offset in swap.offsets]

    def lineage(self, asset: str, model: str) -> bytes:
        """Return the last lineage of a model that the ledger names."""
        changed = (each for entry in reversed(self.entries) for each in entry.models)
        return next(m.lineage for m in changed if (m.asset, m.model) == (asset, model))


@dataclass(slots=True)
class Fold:
    """One plain model, as far as it was folded."""

    plain: PlainClasses
    lineage: bytes
    newest_us: int = SINCE_EVER_US
    holds: dict[str, Span] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)

    def is_held(self, time_us: int) -> bool:
        """Return whether an event of this time is not learned."""
        return any(begin <= time_us <= end for begin, end in self.holds.values())

    def take(self, event: Event) -> Told:
        """Return what is said of an event, then learn it where it is not held."""
        is_held = self.is_held(event.time_us)
        told = Told(self.plain.ask(event.x), self.lineage, is_held)
        self.newest_us = max(self.newest_us, event.time_us)
        if not is_held:
            self.plain.learn(event.x, event.y)
            self.lineage = hashlib.sha256(self.lineage + event.value).digest()
        return told

    def hold(self, update: Mapping[str, Any]) -> None:  # Any: an Avro record
        """Hold a span from here on, up to where it is known to end."""
        until, origin = update["until"], update["origin"]
        end = FOR_EVER_US if until is None else until
        self.holds[origin] = (update["span"]["from"], min(end, self.ends.get(origin, end)))

    def release(self, update: Mapping[str, Any]) -> None:  # Any: as above
        """End a hold: that of a fault where the release says."""
        origin = update["target_id"]
        if origin in self.holds:
            begin, end = self.holds[origin]
            last = update["span"]["to"] if update["label"] == FAULT else self.newest_us
            self.holds[origin] = (begin, min(end, last))


class Oracle:
    """Folds one model of one asset by hand, exchanging it where the ledger says.

    Args:
        number: Of the model among `NAMES`.
        origin: What its lineage begins with.
    """

    def __init__(self, number: int, origin: bytes) -> None:
        self._number = number
        self._origin = origin

    def begin(self) -> Fold:
        """Return a model that has learned nothing."""
        return Fold(PlainClasses(PIPELINES[POWER][self._number](), CLASSES), self._origin)

    def follow(self, order: Sequence[Item], model: str) -> tuple[dict[int, Told], Fold]:
        """Return what must have been said of each event, by offset, and the model at the end."""
        told: dict[int, Told] = {}
        live, in_force = self.begin(), set[int]()
        for number, item in enumerate(order):
            if isinstance(item, Event):
                told[item.offset] = live.take(item)
            elif isinstance(item, Asked):
                self._ask(live, item)
            elif item.model == model:
                in_force |= {*item.offsets}
                live = self._again(order[:number], in_force)
        return told, live

    def _again(self, order: Sequence[Item], in_force: Collection[int]) -> Fold:
        """Fold again as if what is in force had always been known."""
        found = self.begin()
        asked = [item for item in order if isinstance(item, Asked)]
        released = [e.update for e in asked if e.offset in in_force and _is_release(e)]
        learned = {each["target_id"] for each in released if each["label"] == LEARNED}
        faults = (each for each in released if each["label"] == FAULT)
        found.ends = {each["target_id"]: each["span"]["to"] for each in faults}
        for each in asked:
            is_due = each.offset in in_force and each.update["origin"] not in learned
            if each.update["kind"] == "HOLD" and is_due:
                found.hold(each.update)
        for item in order:
            if isinstance(item, Event):
                found.take(item)
            elif isinstance(item, Asked) and item.update["origin"] not in learned:
                self._ask(found, item)
        return found

    def _ask(self, fold: Fold, item: Asked) -> None:
        if item.update["kind"] == "HOLD":
            fold.hold(item.update)
        else:
            fold.release(item.update)

    def plain(self, events: Iterable[Event], without: Sequence[Span] = ()) -> Fold:
        """Return a model that has learned all events in order but those of some spans."""
        fold = self._without(without)
        for event in events:
            fold.take(event)
        return fold

    def through(self, events: Iterable[Event]) -> dict[int, Told]:
        """Return what a model says of each event that nothing ever held, by offset."""
        fold = self.begin()
        return {event.offset: fold.take(event) for event in events}

    def _without(self, spans: Sequence[Span]) -> Fold:
        fold = self.begin()
        fold.holds = {str(number): span for number, span in enumerate(spans)}
        return fold


def _is_release(asked: Asked) -> bool:
    return bool(asked.update["kind"] == "RELEASE")


def chosen(told: Told) -> int | None:
    """Return the class that was answered."""
    scores = told.said.probabilities
    if scores is None:
        return None
    # Doubles that are not negative stand in the order of their bits.
    numbers = {name: int.from_bytes(bits, "little") for name, bits in scores}
    return int(max(numbers, key=lambda name: numbers[name]))

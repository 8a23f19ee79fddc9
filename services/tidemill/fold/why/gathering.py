"""All that the topics say of one event, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.answer import Answer, Asked
from tidemill.contracts.codec import codec
from tidemill.contracts.targets import AheadTarget, LabelTarget
from tidemill.contracts.topics import EVENTS, EXPLANATIONS, IMPORTANCES
from tidemill.fold.audit.bounds import first_entry
from tidemill.fold.audit.starting import drained
from tidemill.fold.ledger_log import retained_terms
from tidemill.fold.plans import plan_stream
from tidemill.fold.why.labels import Labels
from tidemill.fold.why.making import Maker, Remade
from tidemill.fold.why.search import explanation_source, first_answering
from tidemill.kernel.errors import InvalidRecordError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidemill.contracts.answer import Outcome, Record
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.fold.why.search import Found
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message, Position

_LINKS = ("event_id", "asset", "stream", "model", "version", "lineage")


@dataclass(frozen=True, slots=True)
class _Event:
    """What the event and its definition say."""

    asked: Asked
    stream: StreamDefinition | None = None
    readings: dict[str, Any] | None = None  # Any: Avro values
    label: Outcome | None = None


class Gatherer:
    """Puts answers together, for one partition. Only reads.

    Args:
        signing: As for `Maker`, with `known` and `on_entry`.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        signing: SigningKey | None,
        *,
        known: Iterable[Terms] = (),
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        self._log = log
        self._partition = partition
        self._known = tuple(known)
        self._maker = Maker(log, partition, signing, known=self._known, on_entry=on_entry)

    def answer(self, found: Found, again: tuple[Position, ...] = ()) -> Answer:
        """Return what is known of the event that a prediction answers.

        Raises:
            InvariantError: The topics contradict one another.
        """
        prediction, source = found.prediction, found.source
        placed = first_entry(self._log, self._partition, lambda e: _reaches(e, source.offset))
        event = self._event(found, placed)
        stored = first_answering(self._log, EXPLANATIONS, source)
        remade, absent = Remade(stored and stored.value), ""
        if stored is None:
            absent = self._why_absent(source, event.stream)
            remade = self._make(found, placed)
        else:
            _check_link(found, stored)
        value = remade.value
        views = self._views(prediction)
        return Answer(
            prediction=prediction,
            at=found.message.position,
            asked=event.asked,
            entry=placed and placed.entry.sequence,
            readings=event.readings,
            label=event.label,
            explanation=None if value is None else codec("Explanation").decode(value),
            explained_at=stored and stored.position,
            made=remade.made,
            absent=absent,
            obstacle=remade.obstacle,
            of_asset=views.get(prediction["asset"]),
            of_stream=views.get(None),
            again=again,
        )

    def _make(self, found: Found, placed: Placed | None) -> Remade:
        if placed is None:
            return Remade(obstacle="the ledger entry that applied the event is not retained")
        return self._maker.make(found, placed)

    def _event(self, found: Found, placed: Placed | None) -> _Event:
        """Read the event under the terms that were in force."""
        terms = None if placed is None else self._terms(placed)
        name = found.prediction["stream"]
        streams = () if terms is None else terms.definition.streams
        stream = next((each for each in streams if each.name == name), None)
        if terms is None or stream is None:
            is_number = found.prediction["value"] is not None
            return _Event(Asked("regression" if is_number else "multiclass"))
        labels = Labels(self._log, self._partition, terms, plan_stream(stream))
        event = labels.event(found.source)
        readings = None
        if event is not None:
            readings = {sensor.name: event.values.get(sensor.name) for sensor in stream.sensors}
        return _Event(_asked(stream), stream, readings, labels.label(found, event))

    def _terms(self, placed: Placed) -> Terms | None:
        digest = placed.entry.definition
        at_hand = next((each for each in self._known if each.digest == digest), None)
        if at_hand is not None:
            return at_hand
        return drained(retained_terms(self._log, self._partition, digest, placed.offset + 1))

    def _why_absent(self, source: Position, stream: StreamDefinition | None) -> str:
        """Return why an event has no explanation in the topic."""
        asked = None if stream is None else stream.explanations
        if asked is not None and asked.which != "all":
            words = {
                "on_request": "explanations are made on request only",
                "on_alarm": "only alarms are explained",
                "every": f"one event of {asked.every} is explained",
            }
            return f"the definition says so: {words[asked.which]}"
        begin, end = self._log.span(EXPLANATIONS, self._partition)
        last = self._last_source(begin, end)
        if last is None:
            return "no explainer has explained anything on this partition"
        if last < source.offset:
            return "the explainer has not come to it yet"
        return "it lies before the first explanation that is retained"

    def _last_source(self, begin: int, end: int) -> int | None:
        start = end
        while start > begin:
            start = max(begin, start - 64)
            sources = [
                source
                for messages in self._log.read(EXPLANATIONS, self._partition, start, end)
                for message in messages
                if (source := explanation_source(message)) is not None
            ]
            if sources:
                return sources[-1]
        return None

    def _views(self, prediction: Record) -> dict[str | None, Record]:
        """Return the newest global views of the asset, and under None of the stream."""
        newest: dict[str | None, Record] = {}
        keys = {prediction["asset"].encode(), prediction["stream"].encode()}
        begin, end = self._log.span(IMPORTANCES, self._partition)
        for messages in self._log.read(IMPORTANCES, self._partition, begin, end):
            for message in messages:
                view = _view(message) if message.key in keys else None
                if view is not None and view["stream"] == prediction["stream"]:
                    newest[view["asset"]] = view
        return newest


def _reaches(entry: Entry, offset: int) -> bool:
    return (entry.positions or {}).get(EVENTS, 0) > offset


def _view(message: Message) -> Record | None:
    try:
        return codec("Importance").decode(message.value)
    except InvalidRecordError:
        return None


def _check_link(found: Found, stored: Message) -> None:
    """Hold that an explanation is of the model that predicted."""
    explanation = codec("Explanation").decode(stored.value)
    other = [name for name in _LINKS if explanation[name] != found.prediction[name]]
    if other:
        msg = (
            f"{stored.position}: an explanation must be of the prediction at "
            f"{found.message.position}, differs in {', '.join(other)}; locate what was altered "
            f"with `tidemill audit replay -p {stored.partition}`"
        )
        raise InvariantError(msg)


def _asked(stream: StreamDefinition) -> Asked:
    target = stream.target
    if target is None:
        return Asked("anomaly")
    if isinstance(target, LabelTarget):
        return Asked(target.kind, target.name, target.unit)
    name = target.field if isinstance(target, AheadTarget) else target.name
    unit = next((each.unit for each in stream.features if each.name == name), None)
    return Asked(target.kind, name, unit)

"""The case a feedback is about: the stored prediction, and what the models were asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tidemill.contracts.codec import codec
from tidemill.contracts.events import EventReader
from tidemill.contracts.heads import first_texts
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.plans import StreamPlan, plan_stream
from tidemill.fold.why.search import Wanted
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Position
from tidemill.processors.feedback.finding import (
    LOOKED_AT,
    find_drift,
    find_prediction,
    why_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.codec import JsonSchema
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.kernel.processor import Log
    from tidemill.processors.feedback.saying import Said

# First so many predictions are looked at to see whether an asset is known, then more.
FIRST_LOOK = 1_000


class RefusalError(Exception):
    """A feedback cannot be taken; the message says why, for the person who sent it."""


class Case(NamedTuple):
    """One prediction as it was stored."""

    prediction: Mapping[str, Any]  # Any: an Avro record

    @property
    def event(self) -> int:
        """Offset of the sensor event."""
        return int(self.prediction["source"]["offset"])

    @property
    def time_us(self) -> int:
        """Event time."""
        return int(self.prediction["time"])

    @property
    def said(self) -> float | str | None:
        """What the model said: a number, or the key of a class."""
        outcome, value = self.prediction["outcome"], self.prediction["value"]
        if outcome is not None:
            return str(outcome)
        return None if value is None else float(value)


class Cases(Protocol):
    """Finds cases; everything it reads was committed, and nothing of it ever changes."""

    def find(self, said: Said) -> Case:
        """Return the case that a feedback names.

        Raises:
            RefusalError: It names none, or there is none.
            DependencyUnavailableError: It cannot be looked up now.
        """

    def features(self, case: Case, stream: StreamDefinition) -> dict[str, Any]:  # Any: as learned
        """Return what the models were asked with.

        Raises:
            RefusalError: That is not known, or was at fault.
        """

    def newest_us(self, partition: int, asset: str, stream: str) -> int | None:
        """Return when the newest event of an asset was; None where none was predicted lately."""

    def drift(
        self, partition: int, asset: str, drift_id: str
    ) -> list[dict[str, Any]]:  # Any: an Avro record
        """Return the records of an episode of drift, newest first; [] where none came lately."""


class LogCases:
    """Finds cases in the topics.

    Args:
        log: The topics.
        definition: The plant.
        schemas: Writer schemas of its events, by id.
    """

    def __init__(
        self, log: Log, definition: PlantDefinition, schemas: Mapping[int, JsonSchema]
    ) -> None:
        self._log = log
        self._reader = EventReader(definition, schemas)
        self._plans: dict[str, StreamPlan] = {s.name: plan_stream(s) for s in definition.streams}

    def find(self, said: Said) -> Case:
        """Return the case that a feedback names; see `Cases`."""
        partition = said.position.partition
        wanted = _wanted(said)
        prediction = find_prediction(self._log, partition, wanted)
        if prediction is None:
            why = why_unknown(self._log, partition, wanted)
            msg = f"there must be a prediction on {wanted.name} for {said.asset}, found none: {why}"
            raise RefusalError(msg)
        if said.event_id is not None and prediction["event_id"] != said.event_id:
            msg = f"event_id must be that of the event named, {prediction['event_id']!r}"
            raise RefusalError(f"{msg}, was {said.event_id!r}")
        return Case(prediction)

    def features(self, case: Case, stream: StreamDefinition) -> dict[str, Any]:  # Any: as learned
        """Return what the models were asked with; see `Cases`."""
        stored: dict[str, Any] | None = case.prediction["features"]
        return dict(stored) if stored is not None else self._of_event(case, stream)

    def drift(
        self, partition: int, asset: str, drift_id: str
    ) -> list[dict[str, Any]]:  # Any: an Avro record
        """Return the records of an episode of drift; see `Cases`."""
        return find_drift(self._log, partition, asset, drift_id)

    def _of_event(self, case: Case, stream: StreamDefinition) -> dict[str, Any]:  # Any: as above
        derived = [feature.name for feature in stream.features if feature.derived is not None]
        if derived:
            msg = (
                "a case can be learned again only where the event holds all features; "
                f"{', '.join(derived)} followed from the readings before it"
            )
            raise RefusalError(msg)
        source = Position(**case.prediction["source"])
        begin, _ = self._log.span(EVENTS, source.partition)
        if source.offset < begin:
            raise RefusalError(f"the event must be retained, {source} is not any more")
        span = (source.offset, source.offset + 1)
        for messages in self._log.read(EVENTS, source.partition, *span):
            for message in messages:
                return self._checked(message.value, stream)
        raise RefusalError(f"the event must be retained, {source} is not any more")

    def _checked(self, value: bytes | None, stream: StreamDefinition) -> dict[str, Any]:  # Any: "
        try:
            checked = self._plans[stream.name].gate.check(self._reader.read(value).values)
        except InvalidRecordError as error:
            raise RefusalError(f"the event must be readable: {error}") from error
        if not checked.is_learnable:
            flags = ", ".join(flag.name for flag in checked.quality)
            raise RefusalError(f"what is learned must be without a fault, the event had {flags}")
        return checked.x

    def newest_us(self, partition: int, asset: str, stream: str) -> int | None:
        """Return when the newest event of an asset was; see `Cases`."""
        begin, end = self._log.span(PREDICTIONS, partition)
        oldest, look = max(begin, end - LOOKED_AT), FIRST_LOOK
        names = [asset.encode(), stream.encode()]
        while end > oldest:
            start = max(oldest, end - look)
            newest = self._newest_between(partition, names, (start, end))
            if newest is not None:
                return newest
            end, look = start, look * 10
        return None

    def _newest_between(
        self, partition: int, names: list[bytes], span: tuple[int, int]
    ) -> int | None:
        """Return the time of the last prediction for an asset in a span."""
        newest: int | None = None
        for messages in self._log.read(PREDICTIONS, partition, *span):
            for message in messages:
                if first_texts(message.value, 3)[1:] == names:
                    newest = _time_us(message.value) or newest
        return newest


def _time_us(value: bytes | None) -> int | None:
    try:
        return int(codec("Prediction").decode(value)["time"])
    except InvalidRecordError:
        return None


def _wanted(said: Said) -> Wanted:
    """Return what to look for: the position if it is given, else the id."""
    partition = said.position.partition
    if said.event is not None:
        if said.event.topic != EVENTS or said.event.partition != partition:
            msg = (
                f"feedback must stand on the partition of its event: on {EVENTS}-{partition}, "
                f"was {said.event.topic}-{said.event.partition}"
            )
            raise RefusalError(msg)
        return Wanted(str(said.event), said.asset)
    if said.event_id is None:
        raise RefusalError(f"{said.kind} must name an event, by event_id or by its position")
    return Wanted(said.event_id, said.asset)

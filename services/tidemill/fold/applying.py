"""The fold itself: a record and a state give outputs and the next state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.events import EventReader
from tidemill.contracts.prediction import PredictionEncoder, Quality, Said
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.fleet import Fleet
from tidemill.fold.instructions import read_example
from tidemill.fold.plans import plan_stream
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import InvalidRecordError, InvariantError
from tidemill.kernel.records import Emit, trace_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.events import Event
    from tidemill.fold.fleet import AssetModels, Tracked
    from tidemill.fold.instructions import Example
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message
    from tidemill.models.outputs import Answer, Label

PROCESSOR = "learner"
INPUTS = (UPDATES, EVENTS)


class Counts:
    """What the fold has done since it was built; for metrics and the balance only."""

    def __init__(self) -> None:
        self.predicted = 0
        self.learned = 0
        self.examples = 0
        self.repeated = 0
        self.foreign_keys = 0
        self.dead: dict[str, int] = {}
        self.flags: dict[str, int] = {}


class Fold:
    """The models of one partition as a fold of its log.

    Args:
        terms: The plant's definition and schemas.
        partition: The partition number, the same in every topic.

    Attributes:
        is_replica: Whether it folds what was folded before: states restored later than an entry
            have it already. Nothing that is new may be passed over like that.
    """

    def __init__(self, terms: Terms, partition: int) -> None:
        self.partition = partition
        self.terms = terms
        self.plans = _plans(terms)
        self.fleet = Fleet(self.plans)
        self.counts = Counts()
        self.records = 0
        self._entry = -1
        self._before = 0
        self.is_partial = False
        self.is_replica = False
        self.last_error = ""
        self._reader = EventReader(terms.definition, terms.schemas)
        self._encoder = PredictionEncoder(EVENTS, partition)
        self._updates = codec("Update")

    def adopt(self, terms: Terms) -> list[Tracked]:
        """Go on under other terms; return the models that do not fit them and were dropped."""
        self.terms = terms
        self.plans = _plans(terms)
        self._reader = EventReader(terms.definition, terms.schemas)
        return self.fleet.adopt(self.plans)

    def apply(self, messages: Sequence[Message], sequence: int) -> list[Emit]:
        """Apply records of one input topic, in order, as part of ledger entry `sequence`."""
        if not messages:
            return []
        if sequence != self._entry:
            self._entry, self._before = sequence, self.records
        match messages[0].topic:
            case topic if topic == EVENTS:
                return self._apply_events(messages, sequence)
            case topic if topic == UPDATES:
                return self._apply_updates(messages, sequence)
            case topic:
                msg = f"the fold reads {' and '.join(INPUTS)}, was given {topic}"
                raise InvariantError(msg)

    def _apply_events(self, messages: Sequence[Message], sequence: int) -> list[Emit]:
        emits = []
        for message in messages:
            self.records += 1
            try:
                emit = self._apply_event(message, sequence)
            except InvalidRecordError as error:
                emit = self._set_aside(message, error)
            if emit is not None:
                emits.append(emit)
        return emits

    def _apply_event(self, message: Message, sequence: int) -> Emit | None:
        event = self._reader.read(message.value)
        plan = self.plans[event.stream.name]
        x, quality, is_learnable = plan.gate.check(event.values)
        label, is_bad_label = plan.label_in(event.values)
        if is_bad_label and Quality.NOT_FINITE not in quality:
            quality = tuple(sorted((*quality, Quality.NOT_FINITE)))
        asset = self.fleet.of(plan.name, event.asset)
        models = asset.models
        if asset.since >= sequence:
            self._pass_over(asset.since, sequence)
            models = [tracked for tracked in models if tracked.since < sequence]
        answers = [plan.task.ask(tracked.state.pipeline, x) for tracked in models]
        emit = None
        if models is asset.models:
            said = list(map(_said, models, answers))
            emit = self._prediction(message, event, asset, said=said, quality=quality)
        if label is not None and is_learnable:
            for tracked, answer in zip(models, answers, strict=True):
                if is_sound(tracked, answer):
                    self._learn(tracked, x, label, message, sequence=sequence)
        return emit

    def _prediction(
        self,
        message: Message,
        event: Event,
        asset: AssetModels,
        *,
        said: list[Said],
        quality: tuple[Quality, ...],
    ) -> Emit:
        champion = asset.models[0]
        if champion.state.is_frozen:
            quality = (*quality, Quality.FROZEN)
        event_id = event.event_id
        value = self._encoder.encode(
            f"{EVENTS}-{self.partition}-{message.offset}" if event_id is None else event_id,
            asset.about,
            time_us=event.time_us,
            offset=message.offset,
            said=said[0],
            structure=champion.structure,
            quality=quality,
            shadows=said[1:],
        )
        self._count(message, asset, quality)
        headers = trace_headers(message.headers)
        return Emit(PREDICTIONS, self.partition, asset.key, value, headers)

    def _count(self, message: Message, asset: AssetModels, quality: tuple[Quality, ...]) -> None:
        counts = self.counts
        counts.predicted += 1
        if message.key != asset.key:
            counts.foreign_keys += 1
        for flag in quality:
            counts.flags[flag.name] = counts.flags.get(flag.name, 0) + 1

    def _learn(
        self,
        tracked: Tracked,
        x: dict[str, object],
        y: Label,
        message: Message,
        *,
        sequence: int,
    ) -> None:
        assert message.value is not None
        tracked.state.pipeline.learn_one(x, y)
        tracked.state.advance(message.value)
        self.counts.learned += 1
        self.fleet.learned(tracked, sequence, self._before)

    def _apply_updates(self, messages: Sequence[Message], sequence: int) -> list[Emit]:
        emits = []
        for message in messages:
            self.records += 1
            try:
                update = self._updates.decode(message.value)
                example = read_example(update, self.plans, self.terms.definition.partitions)
                if example is not None:
                    self._apply_example(message, example, sequence)
            except InvalidRecordError as error:
                emits.append(self._set_aside(message, error))
        return emits

    def _apply_example(self, message: Message, example: Example, sequence: int) -> None:
        assert message.value is not None
        source, cause = example.cause
        asset = self.fleet.of(example.plan.name, example.asset)
        for tracked in asset.models:
            state = tracked.state
            if example.model not in {None, tracked.key.model}:
                continue
            if tracked.since >= sequence:
                self._pass_over(tracked.since, sequence)
                continue
            if state.applied.get(source, (-1, -1)) >= cause:
                self.counts.repeated += 1
                continue
            state.applied[source] = cause
            if is_sound(tracked, example.plan.task.ask(state.pipeline, example.x)):
                example.teach(state.pipeline)
                self.counts.examples += 1
            state.advance(message.value)
            self.fleet.learned(tracked, sequence, self._before)

    def _pass_over(self, since: int, sequence: int) -> None:
        """Note that a model restored at `since` has this entry in its state already."""
        if not self.is_replica:
            msg = (
                f"ledger entry {sequence} of partition {self.partition}: models must stand before "
                f"it, one was restored at entry {since}; restore the ledger topic"
            )
            raise InvariantError(msg)
        self.is_partial = True

    def _set_aside(self, message: Message, error: InvalidRecordError) -> Emit:
        reason = error.reason.value
        self.counts.dead[reason] = self.counts.dead.get(reason, 0) + 1
        self.last_error = f"{message.position}: {reason}: {error}"
        return dead_letter(message, error, PROCESSOR)


def _plans(terms: Terms) -> dict[str, StreamPlan]:
    return {stream.name: plan_stream(stream) for stream in terms.definition.streams}


def _said(tracked: Tracked, answer: Answer) -> Said:
    state = tracked.state
    value, probabilities, outcome = answer
    return Said(tracked.name, state.version, state.lineage, value, probabilities, outcome)


def is_sound(tracked: Tracked, answer: Answer) -> bool:
    """Return whether a model may learn: within its budget, and not diverged to no finite number."""
    diverged = answer.value is None and answer.probabilities is None and tracked.state.version > 0
    return not tracked.state.is_frozen and not diverged

"""The fold itself: a record and a state give outputs and the next state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.events import EventReader
from tidemill.contracts.prediction import PredictionEncoder, Quality
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.asset_type import learn_cases, learn_example
from tidemill.fold.counts import Counts
from tidemill.fold.fleet import Fleet
from tidemill.fold.instructions import read_example
from tidemill.fold.plans import plan_stream
from tidemill.fold.seen import Seen
from tidemill.fold.tracked import said
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import InvalidRecordError, InvariantError
from tidemill.kernel.records import Emit, trace_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.events import Event
    from tidemill.fold.fleet import Dropped
    from tidemill.fold.gate import Checked
    from tidemill.fold.idle import IdleModels
    from tidemill.fold.instructions import Example
    from tidemill.fold.past import Retired
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.seen import Witness
    from tidemill.fold.senses import Case
    from tidemill.fold.terms import Terms
    from tidemill.fold.tracked import AssetModels, Tracked
    from tidemill.kernel.records import Message
    from tidemill.models.refining import Stored

PROCESSOR = "learner"
INPUTS = (UPDATES, EVENTS)


class Fold:
    """The models of one partition as a fold of its log.

    Args:
        terms: The plant's definition and schemas.
        partition: The partition number, the same in every topic.
        idle: Where models go that are not needed for now.
        witness: Is shown every prediction before the models learn from its event.

    Attributes:
        is_replica: Whether it folds what was folded before: later states have an entry already.
            Nothing that is new may be passed over like that.
    """

    def __init__(
        self,
        terms: Terms,
        partition: int,
        idle: IdleModels | None = None,
        *,
        witness: Witness | None = None,
    ) -> None:
        self.partition = partition
        self.witness = witness
        self.terms = terms
        self.plans = _plans(terms)
        self.fleet = Fleet(self.plans, terms.past, idle)
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

    def adopt(self, terms: Terms, sequence: int) -> list[Dropped]:
        """Go on under other terms from ledger entry `sequence` on; more schemas touch no model."""
        is_same = terms.definition_digest == self.terms.definition_digest
        self.terms, self._reader = terms, EventReader(terms.definition, terms.schemas)
        if is_same:
            self.fleet.past = terms.past
            return []
        self.plans = _plans(terms)
        return self.fleet.adopt(self.plans, terms.past, sequence=sequence, records=self.records)

    def retire(self, stream: str, asset: str, retired: Retired) -> list[Tracked]:
        """Let go of the models of an asset; see `Fleet.retire`."""
        past = self.terms.past.retiring(stream, asset, retired)
        self.terms = replace(self.terms, past=past)
        gone = self.fleet.retire(stream, asset, retired.entry)
        self.fleet.past = past
        return gone

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
        msg = f"the fold reads {' and '.join(INPUTS)}, was given {messages[0].topic}"
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
        checked, label = plan.read(event.values)
        seen = Seen(plan, event, label, message, sequence)
        asset = self.fleet.of(plan.name, event.asset)
        if asset.since >= sequence:
            self._apply_apart(seen, checked, asset)
            return None
        if asset.young and (since := self.fleet.of(plan.name, ASSET_TYPE).since) >= sequence:
            # It answered as its type did then, and learned nothing, or it would be saved.
            self._pass_over(since, sequence)
            return None
        recent = asset.recent or asset.align()
        judged = plan.senses.judge(recent, checked, event.time_us, event.event_id)
        x = plan.senses.derive(recent, judged, event.time_us)
        answers = [plan.ask(tracked.state, x) for tracked in asset.models]
        emit = self._prediction(message, event, asset, answers=answers, quality=judged.quality)
        if self.witness is not None:
            self.witness(seen, asset, x, judged=judged, outcome=answers[0].answer.outcome)
        if judged.is_learnable:
            cases = self._learn(seen, x, asset.models, answers)
            if plan.starts_from_type and cases:
                self._teach_type(seen, cases)
        return emit

    def _apply_apart(self, seen: Seen, checked: Checked, asset: AssetModels) -> None:
        """Apply an event to models of different age, each by its own recent past."""
        plan, event, sequence = seen.plan, seen.event, seen.sequence
        self._pass_over(asset.since, sequence)
        for tracked in asset.models:
            if tracked.since < sequence:
                recent = tracked.state.recent
                judged = plan.senses.judge(recent, checked, event.time_us, event.event_id)
                if judged.is_learnable:
                    x = plan.senses.derive(recent, judged, event.time_us)
                    self._learn(seen, x, [tracked], [plan.ask(tracked.state, x)])

    def _learn(
        self,
        seen: Seen,
        x: dict[str, Any],  # Any: numbers and strings
        models: Sequence[Tracked],
        answers: Sequence[Stored],
    ) -> Sequence[Case]:
        """Take an event without a fault into the recent past, and let models learn from it."""
        plan, event, label, message, sequence = seen
        assert message.value is not None
        cases = plan.cases(models[0].state.recent, event, x, label=label, stored=answers[0])
        for tracked, stored in zip(models, answers, strict=True):
            if cases and tracked.is_sound(stored.answer):
                state = tracked.state
                for case in cases:
                    told = case.stored if plan.senses.looks_ahead else stored
                    score = plan.teach(state, case, told, tracked.told)
                    self.counts.score(plan.name, score)
                    state.advance(message.value)
                    self.counts.learned += 1
            self.fleet.learned(tracked, sequence, self._before)
        return cases

    def _teach_type(self, seen: Seen, cases: Sequence[Case]) -> None:
        """Let the models of the asset type learn what an event taught the asset."""
        plan, _, _, message, sequence = seen
        assert message.value is not None
        models = self._of_type(plan, sequence)
        for tracked in learn_cases(models, plan, cases, message.value):
            self.fleet.learned(tracked, sequence, self._before)

    def _of_type(self, plan: StreamPlan, sequence: int) -> list[Tracked]:
        """Return those models of a stream's asset type that stand before an entry."""
        models = self.fleet.of(plan.name, ASSET_TYPE).models
        return [tracked for tracked in models if tracked.since < sequence]

    def _prediction(
        self,
        message: Message,
        event: Event,
        asset: AssetModels,
        *,
        answers: Sequence[Stored],
        quality: tuple[Quality, ...],
    ) -> Emit:
        champion = asset.models[0]
        if champion.state.is_frozen:
            quality = (*quality, Quality.FROZEN)
        event_id = event.event_id
        sayings = list(map(said, asset.models, answers))
        value = self._encoder.encode(
            f"{EVENTS}-{self.partition}-{message.offset}" if event_id is None else event_id,
            asset.about,
            time_us=event.time_us,
            offset=message.offset,
            said=sayings[0],
            structure=champion.structure,
            quality=quality,
            shadows=sayings[1:],
        )
        self._count(message, asset, quality)
        return Emit(PREDICTIONS, self.partition, asset.key, value, trace_headers(message.headers))

    def _count(self, message: Message, asset: AssetModels, quality: tuple[Quality, ...]) -> None:
        counts = self.counts
        counts.predicted += 1
        if message.key != asset.key:
            counts.foreign_keys += 1
        for flag in quality:
            counts.flags[flag.name] = counts.flags.get(flag.name, 0) + 1

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
        if asset.recent is None and asset.since < sequence:
            asset.align()
        applied = []
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
            if tracked.is_sound(example.plan.ask(state, example.case.x).answer):
                stored = example.case.stored if example.stored_model == tracked.key.model else None
                score = example.plan.teach(state, example.case, stored, tracked.told)
                self.counts.score(example.plan.name, score)
                self.counts.examples += 1
            state.advance(message.value)
            self.fleet.learned(tracked, sequence, self._before)
            applied.append(tracked.key.model)
        if example.plan.starts_from_type and applied:
            of_type = self._of_type(example.plan, sequence)
            for tracked in learn_example(of_type, applied, example, message.value):
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

"""The fold itself: a record and a state give outputs and the next state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.contracts.events import EventReader
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.fold.asset_type import learn_cases
from tidemill.fold.counts import Counts
from tidemill.fold.entry_marks import marked
from tidemill.fold.exchanging import make_good, swap
from tidemill.fold.fleet import Fleet
from tidemill.fold.outcomes import judge
from tidemill.fold.plans import plan_stream
from tidemill.fold.predicting import Predicting
from tidemill.fold.seen import Seen
from tidemill.fold.updating import Updating
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import InvalidRecordError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tidemill.fold.effects import Edits
    from tidemill.fold.fleet import Dropped
    from tidemill.fold.gate import Checked
    from tidemill.fold.idle import IdleModels
    from tidemill.fold.past import Retired
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.seen import Witness
    from tidemill.fold.senses import Case
    from tidemill.fold.terms import Terms
    from tidemill.fold.tracked import AssetModels, Tracked
    from tidemill.kernel.records import Emit, Message
    from tidemill.models.refining import Stored
    from tidemill.models.state import ModelKey, ModelState

PROCESSOR = "learner"
INPUTS = (UPDATES, EVENTS)


class Fold:
    """The models of one partition as a fold of its log.

    Args:
        terms: The plant's definition and schemas.
        partition: The partition number, the same in every topic.
        idle: Where models go that are not needed for now.
        witness: Is shown every prediction before the models learn from its event.
        only: Stream and asset of a re-fold: what is of others is passed over without a trace.
        edits: What a re-fold applies otherwise than it was recorded.

    Attributes:
        is_replica: Whether it folds what was folded before: later states have an entry already.
            Nothing that is new may be passed over like that.
        full: By model, the updates of this entry that were compensated at once for lack of room.
    """

    def __init__(
        self,
        terms: Terms,
        partition: int,
        idle: IdleModels | None = None,
        *,
        witness: Witness | None = None,
        only: tuple[str, str] | None = None,
        edits: Edits | None = None,
    ) -> None:
        self.partition = partition
        self.witness = witness
        self.terms = terms
        self.plans = _plans(terms)
        self.fleet = Fleet(self.plans, terms.past, idle)
        self.counts = Counts()
        self.records = 0
        self._entry, self._before = -1, 0
        self.full: dict[ModelKey, list[int]] = {}
        self.is_partial = False
        self.is_replica = False
        self.last_error = ""
        self._reader = EventReader(terms.definition, terms.schemas)
        self._predicting = Predicting(partition, self.counts)
        self.updating = Updating(self, edits)
        self._only = only

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
        self._enter(sequence)
        match messages[0].topic:
            case topic if topic == EVENTS:
                return self._apply_events(messages, sequence)
            case topic if topic == UPDATES:
                return marked(self.updating.apply(messages, sequence), sequence)
        msg = f"the fold reads {' and '.join(INPUTS)}, was given {messages[0].topic}"
        raise InvariantError(msg)

    def _enter(self, sequence: int) -> None:
        if sequence != self._entry:
            self._entry, self._before = sequence, self.records

    def swap(
        self,
        key: ModelKey,
        state: ModelState,
        covered_offsets: Collection[int],
        sequence: int,
        *,
        idle: Collection[int] = (),
    ) -> list[Emit]:
        """Put a re-folded state in the place of a model's, as part of ledger entry `sequence`.

        Version and structure go one beyond those of the living model, whose recent past and marks
        of causes stay; vetoes, freeze, holds, metrics and everything learned are the re-fold's.
        The corrections covered, by the offsets of their updates, are edits in force from then on;
        others go on waiting. The model counts as changed, and has to be saved.

        Args:
            key: The model; there must be one.
            state: It is taken over, not copied. A state saved after this very swap may be given
                too: the result is the same.
            covered_offsets: Of `Controls.pending` those that the re-fold has heeded.
            sequence: Of the entry.
            idle: Of those covered the retractions of what there is not: they are not kept.

        Returns:
            Receipts, RETRACTED or APPLIED with what changed, and outcomes of revised labels.
        """
        self._enter(sequence)
        emits = swap(self, key, state, covered=(covered_offsets, idle), sequence=sequence)
        return marked(emits, sequence)

    def compensate(
        self, key: ModelKey, offsets: Collection[int], reason: str, sequence: int
    ) -> list[Emit]:
        """Make good from now on what no re-fold will, as part of ledger entry `sequence`.

        A revised label is learned once now; a veto starts the model anew without the sensor; where
        a veto is taken back the sensor is let in; an example that is taken back stays.

        Args:
            key: The model; there must be one.
            offsets: Of `Controls.pending` those concerned; they wait no more.
            reason: What receipts say.
            sequence: Of the entry.

        Returns:
            Receipts, COMPENSATED with the reason, and outcomes of revised labels.
        """
        self._enter(sequence)
        emits = make_good(self, key, offsets, reason=reason, sequence=sequence)
        return marked(emits, sequence)

    def is_passed_over(self, stream: str, asset: str) -> bool:
        """Return whether a record is none of those that are folded."""
        return self._only is not None and self._only != (stream, asset)

    def learned(self, tracked: Tracked, sequence: int) -> None:
        """Note that an entry changed a model's state."""
        self.fleet.learned(tracked, sequence, self._before)

    def _apply_events(self, messages: Sequence[Message], sequence: int) -> list[Emit]:
        emits: list[Emit] = []
        for message in messages:
            self.records += 1
            try:
                self._apply_event(message, sequence, emits)
            except InvalidRecordError as error:
                emits += self.set_aside(message, error)
        return emits

    def _apply_event(self, message: Message, sequence: int, emits: list[Emit]) -> None:
        event = self._reader.read(message.value)
        if self._only is not None and self.is_passed_over(event.stream.name, event.asset):
            return
        plan = self.plans[event.stream.name]
        checked, label = plan.read(event.values)
        seen = Seen(plan, event, label, message, sequence)
        asset = self.fleet.of(plan.name, event.asset)
        if asset.since >= sequence:
            self._apply_apart(seen, checked, asset)
            return
        if asset.young and (since := self.fleet.of(plan.name, ASSET_TYPE).since) >= sequence:
            # It answered as its type did then, and learned nothing, or it would be saved.
            self.pass_over(since, sequence)
            return
        recent = asset.recent or asset.align()
        judged = plan.senses.judge(recent, checked, event.time_us, event.event_id)
        x = plan.senses.derive(recent, judged, event.time_us)
        answers = [plan.ask(tracked.state, x) for tracked in asset.models]
        said = self._predicting.emit(seen, asset, x, answers=answers, quality=judged.quality)
        emits.append(said)
        if self.witness is not None:
            self.witness(seen, asset, x, judged=judged, outcome=answers[0].answer.outcome)
        if judged.is_learnable:
            cases = self._learn(seen, x, asset.models, answers, emits=emits)
            if plan.starts_from_type and cases:
                self._teach_type(seen, asset.models, cases)

    def _apply_apart(self, seen: Seen, checked: Checked, asset: AssetModels) -> None:
        """Apply an event to models of different age, each by its own recent past."""
        plan, event, sequence = seen.plan, seen.event, seen.sequence
        self.pass_over(asset.since, sequence)
        for tracked in asset.models:
            if tracked.since < sequence:
                recent = tracked.state.recent
                judged = plan.senses.judge(recent, checked, event.time_us, event.event_id)
                if judged.is_learnable:
                    x = plan.senses.derive(recent, judged, event.time_us)
                    self._learn(seen, x, [tracked], [plan.ask(tracked.state, x)], emits=[])

    def _learn(
        self,
        seen: Seen,
        x: dict[str, Any],  # Any: numbers and strings
        models: Sequence[Tracked],
        answers: Sequence[Stored],
        *,
        emits: list[Emit],
    ) -> Sequence[Case]:
        """Take an event without a fault into the recent past, and let models learn from it."""
        plan, event, label, message, sequence = seen
        assert message.value is not None
        first = models[0].state
        named = ("", 0)
        if plan.judges:
            named = seen.event_id, first.version
        cases = plan.cases(first.recent, event, x, label=label, stored=answers[0], named=named)
        for tracked, stored in zip(models, answers, strict=True):
            if cases and tracked.is_sound(stored.answer):
                state = tracked.state
                for case in cases:
                    if state.controls and tracked.must_not_learn(case, event.time_us):
                        continue
                    told = case.stored if plan.senses.looks_ahead else stored
                    score = plan.teach(state, case, told, tracked.told)
                    self.counts.score(plan.name, score)
                    state.advance(message.value)
                    self.counts.learned += 1
            self.fleet.learned(tracked, sequence, self._before)
        if plan.judges and cases and models[0].key.model == plan.champion:
            emits += marked(judge(seen, models[0], cases, now=(answers[0], *named)), sequence)
        return cases

    def _teach_type(self, seen: Seen, own: Sequence[Tracked], cases: Sequence[Case]) -> None:
        """Let the models of the asset type learn what an event taught the asset, or could have."""
        models = self.of_type(seen.plan, seen.sequence)
        for tracked in learn_cases(models, own, seen, cases):
            self.fleet.learned(tracked, seen.sequence, self._before)

    def of_type(self, plan: StreamPlan, sequence: int) -> list[Tracked]:
        """Return those models of a stream's asset type that stand before an entry."""
        models = self.fleet.of(plan.name, ASSET_TYPE).models
        return [tracked for tracked in models if tracked.since < sequence]

    def pass_over(self, since: int, sequence: int) -> None:
        """Note that a model restored at `since` has this entry in its state already."""
        if not self.is_replica:
            msg = (
                f"ledger entry {sequence} of partition {self.partition}: models must stand before "
                f"it, one was restored at entry {since}; restore the ledger topic"
            )
            raise InvariantError(msg)
        self.is_partial = True

    def set_aside(self, message: Message, error: InvalidRecordError) -> list[Emit]:
        """Return the dead letter of a record; none of a re-fold: it may be another asset's."""
        if self._only is not None:
            return []
        reason = error.reason.value
        self.counts.dead[reason] = self.counts.dead.get(reason, 0) + 1
        self.last_error = f"{message.position}: {reason}: {error}"
        return [dead_letter(message, error, PROCESSOR)]


def _plans(terms: Terms) -> dict[str, StreamPlan]:
    return {stream.name: plan_stream(stream) for stream in terms.definition.streams}

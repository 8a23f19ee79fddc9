"""The fold of one model: its asset's records alone, as its corrections have them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.contracts.stream import COMPARED
from tidemill.contracts.topics import EVENTS
from tidemill.fold.applying import Fold
from tidemill.fold.effects import UNCHANGED, restarted
from tidemill.fold.fleet import Fleet
from tidemill.fold.instructions import read_instruction
from tidemill.fold.plans import plan_stream
from tidemill.models.state import origin_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tidemill.contracts.stream import StreamDefinition
    from tidemill.fold.bases import Base
    from tidemill.fold.editing import Correction, Editing
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.swapping import Compensation
    from tidemill.fold.terms import Terms
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey, ModelState


def plans_of(terms: Terms) -> dict[str, StreamPlan]:
    """Return what is done with each stream."""
    return {stream.name: plan_stream(stream) for stream in terms.definition.streams}


def _with_cases(stream: StreamDefinition, plan: StreamPlan) -> StreamPlan:
    """Return a plan by which the last cases are kept, where none are: an audit asks them."""
    if stream.feedback.compare:
        return plan
    feedback = stream.feedback.model_copy(update={"compare": COMPARED})
    keeping = stream.model_copy(update={"feedback": feedback})
    return replace(plan, senses=plan_stream(keeping).senses)


class ModelFold:
    """Folds one model from a base on.

    Args:
        terms: Those in force after the base.
        partition: The partition number.
        key: The model.
        editing: Its corrections.

    Attributes:
        key: As given.
        since: The last ledger entry that the base holds.
    """

    def __init__(self, terms: Terms, partition: int, key: ModelKey, editing: Editing) -> None:
        self.since = -1
        self._partition = partition
        self.key = key
        self._editing = editing
        self._is_own = False
        self._fold = self._under(terms)

    def _under(self, terms: Terms) -> Fold:
        """Return a fold that knows this model alone."""
        key = self.key
        fold = Fold(terms, self._partition, only=(key.stream, key.asset), edits=self)
        stream = next(each for each in terms.definition.streams if each.name == key.stream)
        plan = _with_cases(stream, fold.plans[key.stream])
        own = tuple(each for each in plan.blueprints if each.name == key.model)
        alone = replace(plan, blueprints=own, starts_from_type=False, judges=False)
        fold.plans = {key.stream: alone}
        fold.fleet = Fleet(fold.plans, terms.past)
        fold.is_replica = True
        return fold

    @property
    def state(self) -> ModelState:
        """The model as it stands."""
        return self._tracked.state

    @property
    def _tracked(self) -> Tracked:
        return self._fold.fleet.of(self.key.stream, self.key.asset).models[0]

    def begin(self, base: Base) -> None:
        """Start from a base: its corrections no longer wait, they are applied on the way."""
        self.since = base.sequence
        if base.restored is not None:
            state = base.restored.load()
            if state.controls is not None:
                own = {each.offset for each in self._editing.corrections}
                left = tuple(each for each in state.controls.pending if each.offset not in own)
                state.controls = replace(state.controls, pending=left)
            self._fold.fleet.restore(self.key, state, base.sequence)
        else:
            self._start_anew()
        ahead = self._editing.ahead(base.sequence)
        if ahead:
            self.state.controls = replace(self.state.decided, ahead=ahead)
        for origin, end_us in self._editing.ends_after(base.sequence):
            self.state.controls = self.state.decided.released(end_us, origin)

    def adopt(self, terms: Terms, sequence: int) -> None:
        """Go on under terms that have the same model, from a ledger entry on."""
        if sequence <= self.since:
            return
        state = self.state
        self._fold = self._under(terms)
        self._fold.fleet.restore(self.key, state, sequence)

    def take(self, message: Message, sequence: int, full: frozenset[int]) -> bool:
        """Apply one record as part of a ledger entry; return whether it is the asset's own.

        Args:
            full: The updates that the entry says found no room for another correction.
        """
        self._tracked.full = full
        self._is_own = False
        if self._fold.apply([message], sequence):
            self._is_own = True
        self._fold.fleet.changed.clear()
        if message.topic == EVENTS:
            self._start_anew()
        return self._is_own

    def drop(self, offsets: Collection[int]) -> None:
        """Forget corrections that had nothing to correct: they are no edits, and wait no more."""
        controls = self.state.controls
        if offsets and controls is not None:
            left = tuple(each for each in controls.pending if each.offset not in offsets)
            self.state.controls = replace(controls, pending=left)

    def compensate(self, done: Compensation, sequence: int) -> None:
        """Repeat what was done in place of corrections, but for those that are none any more."""
        waiting = {each.offset for each in self.state.decided.pending}
        offsets = tuple(offset for offset in done.offsets if offset in waiting)
        if offsets:
            self._fold.compensate(self.key, offsets, done.why.words, sequence)

    def of(
        self, update: Mapping[str, Any], message: Message
    ) -> bytes | None:  # Any: an Avro record
        """Return what is applied in the place of an update; see `Edits`.

        Whatever it is, the cause counts as applied: so it does with the model of now. Only updates
        of the asset are asked about.
        """
        self._is_own = True
        if not self._is_ours(update):
            return UNCHANGED
        assert message.value is not None
        found = self._editing.of(message.offset, update, message.value)
        if found is None:
            self._mark(update)
            self._hold(message.offset)
        # A correction that stands for itself is told as what it says, not as a correction.
        is_itself = found == message.value and not self._editing.has(message.offset)
        return UNCHANGED if is_itself else found

    def _is_ours(self, update: Mapping[str, Any]) -> bool:  # Any: as above
        key = self.key
        about = (update["stream"], update["asset"])
        return about == (key.stream, key.asset) and update["model"] in {None, key.model}

    def _mark(self, update: Mapping[str, Any]) -> None:  # Any: as above
        cause, applied = update["cause"], self.state.applied
        source = (cause["topic"], cause["partition"])
        at = (cause["offset"], cause["index"])
        applied[source] = max(applied.get(source, at), at)

    def _hold(self, offset: int) -> None:
        """Hold, where that was asked for, a span that was left out before, and end it."""
        hold, end, state = self._editing.hold_at(offset), self._editing.end_at(offset), self.state
        if hold is not None:
            state.controls = state.decided.holding(hold, state.recent.newest_us)
        if end is not None:
            origin, end_us = end
            state.controls = state.decided.released(end_us, origin)

    def _start_anew(self) -> None:
        """Let the model learn a window anew where a veto has it so."""
        vetoes = self._editing.starts_at(self.state.recent.count)
        if vetoes:
            tracked = self._tracked
            lineage = origin_of(tracked.key, tracked.blueprint)
            for veto in vetoes:
                tracked.become(self._restarted(tracked, veto))
                lineage = hashlib.sha256(lineage + veto.value).digest()
            state = tracked.state
            state.lineage = lineage
            state.controls = replace(
                state.decided, vetoes=tuple(dict.fromkeys(state.decided.vetoes))
            )

    def _restarted(self, tracked: Tracked, veto: Correction) -> ModelState:
        plans: Mapping[str, StreamPlan] = self._fold.plans
        partitions = self._fold.terms.definition.partitions
        instruction = read_instruction(dict(veto.update), plans, partitions, is_kept=True)
        assert instruction is not None
        return restarted(tracked, instruction, veto.value)

"""Applies `model.updates` to the models of a fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.fold.asset_type import learn_example
from tidemill.fold.editing import is_superseded
from tidemill.fold.effects import (
    APPLIED,
    AT_FAULT,
    FULL,
    NOT_LEARNED,
    SAME_LABEL,
    SUPERSEDED,
    TOO_LARGE,
    UNCHANGED,
    Done,
    correct,
    take_effect,
    waiting_vetoes,
)
from tidemill.fold.instructions import LARGEST_KEPT_BYTES, read_instruction
from tidemill.fold.labelled import beside, hear, is_outrun, is_said_already, word_of
from tidemill.fold.outcomes import count, is_judged, judged_of, outcomes_of
from tidemill.fold.receipts import ask, effect, is_told_by, receipt, refusals
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.models.controls import MOST_HOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.effects import Edits
    from tidemill.fold.instructions import Instruction
    from tidemill.fold.tracked import AssetModels, Tracked
    from tidemill.kernel.records import Emit, Message
    from tidemill.models.state import ModelState


class Updating:
    """Applies instructions, each once, to the models that they are for.

    Args:
        fold: Whose models.
        edits: What is applied otherwise than it was recorded; None of a fold that lives.
    """

    def __init__(self, fold: Fold, edits: Edits | None) -> None:
        self._fold = fold
        self._edits = edits
        self._refused: tuple[int, list[int]] = (-1, [])
        self._codec = codec("Update")

    def apply(self, messages: Sequence[Message], sequence: int) -> list[Emit]:
        """Apply updates, in order, as part of ledger entry `sequence`."""
        emits: list[Emit] = []
        for message in messages:
            self._fold.records += 1
            update, read = None, None
            try:
                update = self._codec.decode(message.value)
                read = self._read(update, message)
                if read is not None:
                    emits += self._obey(*read, sequence)
            except InvalidRecordError as error:
                if read is not None:
                    self._refuse(message, sequence)
                emits += self._fold.set_aside(message, error)
                emits += refusals(update, error, self._fold.partition)
        return emits

    def refused_by(self, sequence: int) -> list[int]:
        """Return the updates that an entry has refused though they were understood.

        What models were like decided that, and in a re-fold they are not: it passes them over.
        """
        since, offsets = self._refused
        return offsets if since == sequence else []

    def _refuse(self, message: Message, sequence: int) -> None:
        self._refused = (sequence, [*self.refused_by(sequence), message.offset])

    def _read(
        self,
        update: dict[str, Any],  # Any: an Avro record
        message: Message,
    ) -> tuple[Instruction, Message] | None:
        """Return what is to be done; nothing for others' business, or what is passed over.

        With it the record whose bytes go into the lineage.
        """
        fold = self._fold
        partitions = fold.terms.definition.partitions
        if fold.is_passed_over(update["stream"], update["asset"]):
            return None
        # In a re-fold too it is read as it came: nothing stands in the place of a dead letter.
        found = read_instruction(update, fold.plans, partitions, size=len(message.value or b""))
        chosen = UNCHANGED if self._edits is None else self._edits.of(update, message)
        if chosen is None:
            return None
        if chosen == UNCHANGED:
            return None if found is None else (found, message)
        other = {**self._codec.decode(chosen), "cause": update["cause"], "replaced": None}
        found = read_instruction(other, fold.plans, partitions, is_kept=True)
        return None if found is None else (found, message._replace(value=chosen))

    def _obey(self, instruction: Instruction, message: Message, sequence: int) -> list[Emit]:
        fold = self._fold
        asset = fold.fleet.of(instruction.plan.name, instruction.asset)
        _check_leaves_a_sensor(instruction, asset)
        if self._edits is None:
            _check_may_hold(instruction, asset)
        if asset.recent is None and asset.since < sequence:
            asset.align()
        emits: list[Emit] = []
        taught = []
        for tracked in asset.models:
            if instruction.is_for(tracked.key.model) and self._is_due(
                instruction, tracked, sequence
            ):
                done, caused = self._obey_one(instruction, tracked, message, sequence)
                emits += caused
                if _teaches_type(instruction, tracked, done):
                    taught.append(tracked.key.model)
        if taught:
            assert message.value is not None
            of_type = fold.of_type(instruction.plan, sequence)
            for tracked in learn_example(of_type, taught, instruction, message.value):
                fold.learned(tracked, sequence)
        return emits

    def _is_due(self, instruction: Instruction, tracked: Tracked, sequence: int) -> bool:
        """Return whether a model is to obey now, and mark the cause as applied if it is."""
        if tracked.since >= sequence:
            self._fold.pass_over(tracked.since, sequence)
            return False
        source, cause = instruction.cause
        applied = tracked.state.applied
        if applied.get(source, (-1, -1)) >= cause:
            self._fold.counts.repeated += 1
            return False
        applied[source] = cause
        return True

    def _obey_one(
        self, instruction: Instruction, tracked: Tracked, message: Message, sequence: int
    ) -> tuple[Done, list[Emit]]:
        """Let one model obey; return what became of it and what is written of it."""
        plan, wants = instruction.plan, is_told_by(instruction, tracked.key.model)
        before = ask(plan, tracked.state, instruction) if wants else None
        emits: list[Emit] = []
        if instruction.kind == "EXAMPLE":
            done, emits = self._learn(instruction, tracked, message, sequence)
        else:
            done = take_effect(tracked, instruction, message, sequence)
        self._fold.learned(tracked, sequence)
        if done.reason == FULL:
            self._fold.full.setdefault(tracked.key, []).append(message.offset)
        if wants and done.status != "PENDING":
            after = ask(plan, tracked.state, instruction)
            told = receipt(
                instruction.update,
                done.status,
                partition=self._fold.partition,
                reason=done.reason or beside(instruction),
                by=(tracked.key.model, tracked.state),
                changed=effect(before, after),
            )
            emits.append(told)
        return done, emits

    def _learn(
        self, instruction: Instruction, tracked: Tracked, message: Message, sequence: int
    ) -> tuple[Done, list[Emit]]:
        """Let one model learn an example; another label of an event waits for a re-fold."""
        assert instruction.case is not None
        assert message.value is not None
        state = tracked.state
        if is_outrun(instruction, state) or _is_superseded(instruction, state):
            return Done("APPLIED", SUPERSEDED), []
        if instruction.is_at_fault:
            hear(instruction, state, message.value, is_learned=False)
            return Done("APPLIED", AT_FAULT), self._judge(instruction, tracked)
        if word_of(instruction, state) is not None or instruction.is_revision:
            return self._learn_again(instruction, tracked, message, sequence)
        done = APPLIED if self.learn_once(instruction, tracked) else Done("APPLIED", NOT_LEARNED)
        hear(instruction, state, message.value)
        state.advance(message.value)
        return done, self._count(instruction, tracked)

    def _learn_again(
        self, instruction: Instruction, tracked: Tracked, message: Message, sequence: int
    ) -> tuple[Done, list[Emit]]:
        """Let another label of an event wait for a re-fold, or be learned once if none can be."""
        assert instruction.case is not None
        assert message.value is not None
        state = tracked.state
        word = word_of(instruction, state)
        is_same = word is not None and is_said_already(instruction, state)
        hear(instruction, state, message.value, is_learned=False)
        if is_same or (word is None and instruction.replaced == instruction.case.y):
            is_told = word is None or word.revision >= 0
            return Done("APPLIED", SAME_LABEL), [] if is_told else self._count(instruction, tracked)
        if len(message.value) > LARGEST_KEPT_BYTES:
            done = Done("COMPENSATED", TOO_LARGE)
        else:
            done = correct(tracked, instruction, message, sequence)
        if done.status == "COMPENSATED":
            self.learn_late(instruction, tracked, message.value)
            return done, self._judge(instruction, tracked)
        return done, []

    def learn_late(self, instruction: Instruction, tracked: Tracked, value: bytes) -> None:
        """Let a model learn a label beside the one that it was to replace."""
        self.learn_once(instruction, tracked)
        hear(instruction, tracked.state, value)
        tracked.state.advance(value)

    def learn_once(self, instruction: Instruction, tracked: Tracked) -> bool:
        """Let a model learn an example if it may; return whether it has."""
        plan, case, state = instruction.plan, instruction.case, tracked.state
        assert case is not None
        if instruction.is_at_fault or state.is_held(instruction.update["time"]):
            return False
        if not tracked.is_sound(plan.ask(state, case.x).answer):
            return False
        is_asked = instruction.stored_model == tracked.key.model
        score = plan.teach(state, case, case.stored if is_asked else None, tracked.told)
        self._fold.counts.score(plan.name, score)
        self._fold.counts.examples += 1
        return True

    def _count(self, instruction: Instruction, tracked: Tracked) -> list[Emit]:
        """Count the prediction that an example is about, if the model made it; tell of it."""
        if is_judged(instruction, tracked):
            count(tracked.state, judged_of(instruction))
        return self._judge(instruction, tracked)

    def _judge(self, instruction: Instruction, tracked: Tracked) -> list[Emit]:
        return outcomes_of(instruction, tracked, partition=self._fold.partition)


def _is_superseded(instruction: Instruction, state: ModelState) -> bool:
    """Return whether a correction that the model keeps is a higher revision of an example."""
    decided = state.controls
    if decided is None:
        return False
    return is_superseded(instruction.update, (*decided.pending, *decided.edits))


def _teaches_type(instruction: Instruction, tracked: Tracked, done: Done) -> bool:
    """Return whether the asset's type learns what one of its models was told to learn."""
    return (
        instruction.kind == "EXAMPLE"
        and instruction.plan.starts_from_type
        and not instruction.is_at_fault
        and done.reason in {None, NOT_LEARNED}
        and done.status == "APPLIED"
        and not tracked.state.is_held(instruction.update["time"])
    )


def _check_leaves_a_sensor(instruction: Instruction, asset: AssetModels) -> None:
    """Refuse a veto that would leave a model without any sensor."""
    if instruction.kind != "VETO":
        return
    for tracked in asset.models:
        if not instruction.is_for(tracked.key.model):
            continue
        decided = tracked.state.decided
        features = tracked.blueprint.features
        gone = {*decided.vetoed, *waiting_vetoes(features, decided.pending), *instruction.names}
        if all(feature.name in gone for feature in features):
            msg = (
                f"feature must leave {tracked.key.model} at least one other, was "
                f"{instruction.update['feature']!r} after {sorted(gone)}"
            )
            raise InvalidRecordError(DeadLetterReason.DOMAIN, msg)


def _check_may_hold(instruction: Instruction, asset: AssetModels) -> None:
    """Refuse a hold for which another one that is not over would have to be forgotten."""
    if instruction.kind != "HOLD":
        return
    for tracked in asset.models:
        state = tracked.state
        if instruction.is_for(tracked.key.model) and not state.decided.may_hold(
            state.recent.newest_us
        ):
            msg = (
                f"at most {MOST_HOLDS} holds of {tracked.key.model} may be open, found as many; "
                "release one first"
            )
            raise InvalidRecordError(DeadLetterReason.DOMAIN, msg)

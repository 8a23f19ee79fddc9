"""What an instruction does to one model, but for examples, which it learns."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from tidemill.contracts.codec import codec
from tidemill.fold.spans import brings_back, end_of, hold_of, is_span_held, leaves_no_trace
from tidemill.models.controls import FOR_EVER_US, MOST_CORRECTIONS, Hold, Pending, Veto
from tidemill.models.regrowing import regrow
from tidemill.models.state import ModelState, origin_of
from tidemill.models.vetoing import concerned, copies, veto_mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tidemill.contracts.stream import Feature
    from tidemill.fold.instructions import Instruction
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Message
    from tidemill.models.controls import Controls

# What `Edits.of` says of an update that is applied as it came.
UNCHANGED = b""

FULL = f"at most {MOST_CORRECTIONS} corrections of a model may wait or be in force"
IN_FORCE = "the sensor is left out already"
NOT_VETOED = "the sensor is not left out"
AT_FAULT = "what was predicted at fault is not learned: some of its inputs were made up"
TOO_LARGE = "what waits for a re-fold may have at most 65,536 bytes"
NOT_LEARNED = "the model learns nothing while it is frozen, held, or has no finite answer"
SAME_LABEL = "the label is the same"
SUPERSEDED = "a later revision of the label is known already"
HOLD_IS_OVER = "the hold was over when it came"


class Edits(Protocol):
    """What a re-fold applies otherwise than it was recorded."""

    def of(
        self,
        update: Mapping[str, Any],  # Any: an Avro record
        message: Message,
    ) -> bytes | None:
        """Return what to apply in the place of an update, before the models see it.

        Returns:
            `UNCHANGED` (empty) to apply it as it came. None to pass it over: it leaves no trace,
            its cause is not even marked as applied. Else the bytes of another update: an `EXAMPLE`
            that revises a label is learned there like any other, where the first one was, under
            the cause of the first one, and its bytes go into the lineage.
        """


class Done(NamedTuple):
    """What became of an instruction for one model; a pending one gets its receipt later."""

    status: Literal["APPLIED", "COMPENSATED", "PENDING"]
    reason: str | None = None


APPLIED, PENDING = Done("APPLIED"), Done("PENDING")


def take_effect(
    tracked: Tracked, instruction: Instruction, message: Message, sequence: int
) -> Done:
    """Let one model obey an instruction that is no example; `message` is how it came."""
    assert message.value is not None
    match instruction.kind:
        case "VETO":
            return _veto(tracked, instruction, message, sequence)
        case "UNVETO" if not _is_vetoed(tracked, instruction):
            return Done("APPLIED", NOT_VETOED)
        case "UNVETO" | "RETRACT":
            return correct(tracked, instruction, message, sequence)
        case "HOLD" | "RELEASE" if leaves_no_trace(instruction.update):
            return _question(tracked, instruction, message, sequence)
        case "COUNTEREXAMPLE" if instruction.is_at_fault:
            return Done("APPLIED", AT_FAULT)
        case "COUNTEREXAMPLE":
            done = _learn_counterexample(tracked, instruction)
        case "RESET":
            tracked.become(_anew(tracked, tracked.state.decided))
            done = APPLIED
        case _:
            done = _decide(tracked.state, instruction)
    tracked.state.advance(message.value)
    return done


def correct(tracked: Tracked, instruction: Instruction, message: Message, sequence: int) -> Done:
    """Note a correction for the next re-fold; beyond the most there may be, compensate at once."""
    assert message.value is not None
    if not tracked.has_room(message.offset):
        compensate(tracked, instruction, message.value)
        return Done("COMPENSATED", FULL)
    note(tracked, message.offset, sequence, message.value)
    return PENDING


def note(tracked: Tracked, message_offset: int, sequence: int, value: bytes) -> None:
    """Append a correction that waits for a re-fold; neither version nor lineage move.

    Args:
        tracked: The model; its state's `controls.pending` grows by one.
        message_offset: Of the update in the asset's partition of `model.updates`.
        sequence: Ledger entry that applies the update.
        value: The update as it came.
    """
    decided = tracked.state.decided
    pending = (
        *decided.pending,
        Pending(message_offset, sequence, value, tracked.state.recent.count),
    )
    tracked.state.controls = replace(decided, pending=pending)


def compensate(tracked: Tracked, instruction: Instruction, value: bytes) -> bool:
    """Do what can be done from now on, where there will be no re-fold; return whether that is any.

    A veto starts the model anew without the sensor. A veto that is taken back lets the sensor in,
    a freeze or a hold that is taken back ends; an example stays. A revised label is learned once,
    if the model may learn: that is for the caller, who counts.
    """
    decided = tracked.state.decided
    match instruction.kind:
        case "VETO":
            if frozenset(instruction.names) <= decided.vetoed:
                return False
            tracked.become(_anew(tracked, _vetoing(decided, instruction)))
        case "UNVETO" | "RETRACT":
            left = _lifting(decided, instruction)
            if left == decided:
                return False
            tracked.state.controls, tracked.explainer = left, None
            tracked.state.structure += 1
        case _:
            return False
    tracked.state.advance(value)
    return True


def _lifting(decided: Controls, instruction: Instruction) -> Controls:
    if instruction.kind == "RETRACT":
        return decided.lifted(str(instruction.update["target_id"]))
    feature = instruction.update["feature"]
    return replace(decided, vetoes=tuple(v for v in decided.vetoes if v.feature != feature))


def _veto(tracked: Tracked, instruction: Instruction, message: Message, sequence: int) -> Done:
    state, names = tracked.state, instruction.names
    if _is_vetoed(tracked, instruction):
        return Done("APPLIED", IN_FORCE)
    blueprint = tracked.blueprint
    mode = veto_mode(blueprint.steps, blueprint.features, names)
    if mode == "refold":
        return correct(tracked, instruction, message, sequence)
    if mode == "reset":
        regrow(state.pipeline, names, str(instruction.update["update_id"]))
    assert message.value is not None
    state.controls, tracked.explainer = _vetoing(state.decided, instruction), None
    state.structure += 1
    state.advance(message.value)
    return APPLIED


def _vetoing(decided: Controls, instruction: Instruction) -> Controls:
    veto = Veto(str(instruction.update["feature"]), instruction.names, instruction.origin)
    return replace(decided, vetoes=(*decided.vetoes, veto))


def _is_vetoed(tracked: Tracked, instruction: Instruction) -> bool:
    """Return whether a sensor is left out, or will be after the next re-fold."""
    names, decided = frozenset(instruction.names), tracked.state.decided
    if names <= decided.vetoed:
        return True
    return names <= waiting_vetoes(tracked.blueprint.features, decided.pending)


def waiting_vetoes(features: Sequence[Feature], pending: Sequence[Pending]) -> frozenset[str]:
    """Return the features whose veto waits for a re-fold."""
    updates = [codec("Update").decode(each.value) for each in pending]
    asked = [str(update["feature"]) for update in updates if update["kind"] == "VETO"]
    return frozenset(name for feature in asked for name in concerned(features, feature))


def _learn_counterexample(tracked: Tracked, instruction: Instruction) -> Done:
    plan, state, case = instruction.plan, tracked.state, instruction.case
    assert case is not None
    if state.is_held(instruction.update["time"]) or not tracked.is_sound(
        plan.ask(state, case.x).answer
    ):
        return Done("APPLIED", NOT_LEARNED)
    times = copies(tracked.blueprint.steps, case.weight)
    plan.teach(state, case._replace(weight=1.0), None, tracked.told, times=times)
    return APPLIED


def _decide(state: ModelState, instruction: Instruction) -> Done:
    decided, now_us = state.decided, state.recent.newest_us
    match instruction.kind:
        case "FREEZE":
            state.controls = decided.frozen(instruction.origin)
        case "RESUME":
            state.controls = replace(decided, frozen_by=())
        case "RELEASE":
            state.controls = decided.released(now_us, instruction.update["target_id"])
        case _:
            until = instruction.update["until"]
            until_us = FOR_EVER_US if until is None else int(until)
            if until_us <= now_us:
                return Done("APPLIED", HOLD_IS_OVER)
            state.controls = decided.holding(Hold(now_us, until_us, instruction.origin), now_us)
    return APPLIED


def _question(tracked: Tracked, instruction: Instruction, message: Message, sequence: int) -> Done:
    """Hold a span, or release it, at once; what was learned, or was not, waits for a re-fold."""
    update, state = instruction.update, tracked.state
    decided, now_us = state.decided, state.recent.newest_us
    if is_span_held(update):
        hold = hold_of(update)
        state.controls = decided.holding(hold, now_us)
        is_past = hold.after_us < now_us
    else:
        end_us = end_of(update)
        origin = update["target_id"]
        state.controls = decided.released(now_us if end_us is None else end_us, origin)
        is_too_long = end_us is not None and decided.has_held_after(end_us, now_us, origin)
        is_past = brings_back(update) or is_too_long
    return correct(tracked, instruction, message, sequence) if is_past else APPLIED


def _anew(tracked: Tracked, controls: Controls) -> ModelState:
    """Return a model that has learned nothing, in the place of another and under its controls.

    It is built without the sensors that are vetoed. What it saw, which causes were applied, which
    labels came, and how its answers were judged goes on; its version never goes back.
    """
    old, blueprint = tracked.state, tracked.blueprint
    kept = tuple(f for f in blueprint.features if f.name not in controls.vetoed)
    state = ModelState.fresh(tracked.key, replace(blueprint, features=kept))
    state.lineage, state.version, state.structure = old.lineage, old.version, tracked.structure + 1
    state.recent, state.applied, state.metrics = old.recent, old.applied, old.metrics
    state.controls, state.labels = controls, old.labels
    return state


def restarted(tracked: Tracked, instruction: Instruction, value: bytes) -> ModelState:
    """Return a model without a sensor that is to learn a window anew, as a veto's re-fold begins.

    Its lineage is the origin's, advanced by the veto's bytes. Past, causes, version, metrics and
    controls are those of `tracked`, which the fold has brought to the beginning of the window.
    """
    state = _anew(tracked, _vetoing(tracked.state.decided, instruction))
    origin = origin_of(tracked.key, tracked.blueprint)
    state.lineage = hashlib.sha256(origin + value).digest()
    return state

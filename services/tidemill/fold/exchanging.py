"""Puts re-folded models in the place of living ones, or makes good where there is no re-fold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.fold.editing import without_superseded
from tidemill.fold.effects import compensate
from tidemill.fold.instructions import Instruction, read_instruction
from tidemill.fold.labelled import REPLACED, displaced, is_in_force
from tidemill.fold.outcomes import outcomes_of
from tidemill.fold.receipts import ask, ask_last, effect, is_told_by, receipt
from tidemill.kernel.errors import InvariantError
from tidemill.models.controls import MOST_CORRECTIONS, Edit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.receipts import Asked
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Emit
    from tidemill.models.controls import Pending
    from tidemill.models.state import ModelKey, ModelState


NOTHING_THERE = "the model had nothing of it to take back"


def swap(
    fold: Fold,
    key: ModelKey,
    state: ModelState,
    *,
    covered: tuple[Collection[int], Collection[int]],
    sequence: int,
) -> list[Emit]:
    """Put a re-folded state in the place of a model's; see `Fold.swap`.

    Args:
        fold: The models.
        key: The model.
        state: The re-folded one.
        covered: The updates put in force, and those of them that had nothing to correct.
        sequence: Of the entry.
    """
    offsets, idle = covered
    tracked = _tracked(fold, key)
    old = tracked.state
    decided = old.decided
    done = [each for each in decided.pending if each.offset in offsets]
    kept = [each for each in done if each.offset not in idle]
    instructions = [_read(fold, each) for each in done]
    before = _asked(instructions, tracked)
    edits = (*decided.edits, *(in_force(each, sequence) for each in kept))
    settled = {*offsets, *(each.offset for each in edits)}
    now = replace(decided, edits=without_superseded(edits)).within_reach(old.recent.count)
    waiting = _waiting(state, old, settled, MOST_CORRECTIONS - len(now.edits))
    state.controls = replace(state.decided, pending=waiting, edits=now.edits, floor=now.floor)
    state.recent, state.applied = old.recent, old.applied
    state.labels = None if old.labels is None else old.labels.learned_as(state.labels)
    if fold.plans[key.stream].judges:
        # Of predictions as they were made, which a re-fold does not make.
        state.metrics = old.metrics
    state.version, state.structure = old.version + 1, tracked.structure + 1
    tracked.become(state)
    fold.learned(tracked, sequence)
    emits: list[Emit] = []
    after = _asked(instructions, tracked)
    for each, instruction, *asked in zip(done, instructions, before, after, strict=True):
        reason = None if is_in_force(instruction, state) else REPLACED
        reason = NOTHING_THERE if each.offset in idle else reason
        status = "RETRACTED" if reason or instruction.kind == "RETRACT" else "APPLIED"
        emits += _tell(fold, tracked, instruction, effect(*asked), told=(status, reason))
    return emits + displaced(tracked, old.labels, instructions, partition=fold.partition)


def in_force(pending: Pending, sequence: int) -> Edit:
    """Return a correction that waits no more from a ledger entry on."""
    return Edit(pending.offset, pending.entry, sequence, pending.value, pending.seen)


def _asked(instructions: Sequence[Instruction], tracked: Tracked) -> list[Asked | None]:
    """Ask a model the case of each instruction that it answers, and the last cases once for all."""
    model, state = tracked.key.model, tracked.state
    told = [each for each in instructions if is_told_by(each, model)]
    others = ask_last(told[0].plan, state) if told else ()
    return [
        ask(each.plan, state, each, others) if is_told_by(each, model) else None
        for each in instructions
    ]


def _waiting(
    refolded: ModelState, living: ModelState, settled: Collection[int], room: int
) -> tuple[Pending, ...]:
    """Return what waits on: also what had no effect only because of an update now taken back.

    Of that no more than there is room for.
    """
    waiting = {each.offset: each for each in living.decided.pending if each.offset not in settled}
    for each in refolded.decided.pending:
        if each.offset not in settled and len(waiting) < room:
            waiting[each.offset] = each
    return tuple(waiting[offset] for offset in sorted(waiting))


def make_good(
    fold: Fold, key: ModelKey, offsets: Collection[int], *, reason: str, sequence: int
) -> list[Emit]:
    """Do what can be done from now on for corrections without a re-fold; see `Fold.compensate`."""
    tracked = _tracked(fold, key)
    emits: list[Emit] = []
    decided = tracked.state.decided
    waiting = tuple(each for each in decided.pending if each.offset not in offsets)
    tracked.state.controls = replace(decided, pending=waiting)
    for pending in decided.pending:
        if pending.offset not in offsets:
            continue
        instruction = _read(fold, pending)
        (before,) = _asked([instruction], tracked)
        if instruction.kind == "EXAMPLE":
            fold.updating.learn_late(instruction, tracked, pending.value)
        else:
            compensate(tracked, instruction, pending.value)
        (after,) = _asked([instruction], tracked)
        told = ("COMPENSATED", reason)
        emits += _tell(fold, tracked, instruction, effect(before, after), told=told)
    fold.learned(tracked, sequence)
    return emits


def _tracked(fold: Fold, key: ModelKey) -> Tracked:
    tracked = fold.fleet.get(key)
    if tracked is None:
        msg = f"a correction must be of a model that there is, found none named {key}"
        raise InvariantError(msg)
    return tracked


def _read(fold: Fold, pending: Pending) -> Instruction:
    """Return what a correction asks for; it was understood when it was noted."""
    update = codec("Update").decode(pending.value)
    partitions = fold.terms.definition.partitions
    found = read_instruction(update, fold.plans, partitions, is_kept=True)
    assert found is not None
    return found


def _tell(
    fold: Fold,
    tracked: Tracked,
    instruction: Instruction,
    changed: dict[str, float | int] | None,
    *,
    told: tuple[str, str | None],
) -> Sequence[Emit]:
    """Return the outcome that a revised label leads to, and the receipt, where one is due."""
    emits: list[Emit] = []
    if instruction.kind == "EXAMPLE":
        emits = outcomes_of(instruction, tracked, partition=fold.partition, least=1)
    if is_told_by(instruction, tracked.key.model):
        status, reason = told
        emits = [
            *emits,
            receipt(
                instruction.update,
                status,
                partition=fold.partition,
                reason=reason,
                by=(tracked.key.model, tracked.state),
                changed=changed,
            ),
        ]
    return emits

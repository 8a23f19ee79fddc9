"""One event, one label in force, whoever says it: the later word replaces the earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK
from tidemill.fold.instructions import OF_LABELS
from tidemill.fold.receipts import receipt
from tidemill.models.labels import NOTHING_SAID, Labels, Source, Word, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.instructions import Instruction
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Emit
    from tidemill.models.controls import Pending
    from tidemill.models.state import ModelState

LARGEST_REVISION = (1 << 31) - 1
REPLACED = "a later label of its event replaced it"
BACK = "what had replaced it was taken back"
BESIDE = "learned beside the label that came with the events: on this stream none is replaced"


def beside(instruction: Instruction) -> str | None:
    """Return what to say of a label that was learned, where it cannot replace another one."""
    is_label = instruction.kind == "EXAMPLE" and instruction.update["event_id"] is not None
    comes_with_event = instruction.plan.label_field is not None
    return BESIDE if is_label and comes_with_event else None


def word_of(instruction: Instruction, state: ModelState) -> Word | None:
    """Return what was said of an example's event before; None where that is not known."""
    name = instruction.update["event_id"]
    return None if state.labels is None or name is None else state.labels.get(name)


def is_outrun(instruction: Instruction, state: ModelState) -> bool:
    """Return whether an example is a lower revision of the plant's label than one that came."""
    word, revision = word_of(instruction, state), int(instruction.update["revision"])
    return word is not None and instruction.origin == OF_LABELS and revision < word.level


def is_said_already(instruction: Instruction, state: ModelState) -> bool:
    """Return whether the last label of an example's event, one that waits perhaps, is the same."""
    plan, case, word = instruction.plan, instruction.case, word_of(instruction, state)
    assert case is not None
    for pending in reversed(state.decided.pending):
        other = _example_of(pending, instruction.update["event_id"])
        if other is not None:
            return bool(plan.task.read_label(other["label"]) == case.y)
    return word is not None and word.said == digest_of(plan.task.key(case.y))


def _example_of(pending: Pending, event_id: str) -> dict[str, Any] | None:  # Any: an Avro record
    if event_id.encode() not in pending.value:
        return None
    update: dict[str, Any] = codec("Update").decode(pending.value)  # Any: as above
    return update if (update["kind"], update["event_id"]) == ("EXAMPLE", event_id) else None


def hear(
    instruction: Instruction, state: ModelState, value: bytes, *, is_learned: bool = True
) -> None:
    """Remember the label of an example, where labels come apart from the events.

    Args:
        value: The update as it came: of a label that stands where the first one stood, its own.
        is_learned: Whether the model has learned it, or would have if it learned anything.
    """
    update, name = instruction.update, instruction.update["event_id"]
    if not instruction.plan.is_late or name is None:
        return
    if state.labels is None:
        state.labels = Labels()
    word = state.labels.get(name) or NOTHING_SAID
    if instruction.origin == OF_LABELS:
        word = word._replace(level=max(word.level, update["revision"]))
    if is_learned:
        assert instruction.case is not None
        said = digest_of(instruction.plan.task.key(instruction.case.y))
        word = word._replace(said=said, by=_source(instruction, value))
    state.labels.put(name, word)


def _source(instruction: Instruction, value: bytes) -> Source | None:
    if instruction.origin == OF_LABELS:
        return None
    update = codec("Update").decode(value)
    cause = update["cause"]
    if cause["topic"] != FEEDBACK:
        return None
    return Source(update["origin"], cause["partition"], cause["offset"], update["model"])


def next_revision(instruction: Instruction, state: ModelState, *, least: int) -> int:
    """Return and remember the revision of an outcome: above that of the event's last one."""
    word, revision = word_of(instruction, state), int(instruction.update["revision"])
    if word is None:
        return max(least, revision)
    revision = min(LARGEST_REVISION, max(revision, word.revision + 1))
    assert state.labels is not None
    state.labels.put(instruction.update["event_id"], word._replace(revision=revision))
    return revision


def is_in_force(instruction: Instruction, state: ModelState) -> bool:
    """Return whether the label of a feedback is what a re-fold learned of its event."""
    word = word_of(instruction, state)
    if instruction.kind != "EXAMPLE" or word is None or not word.said:
        return True
    return word.by is not None and word.by.feedback == instruction.origin


def displaced(
    tracked: Tracked, before: Labels | None, done: Sequence[Instruction], *, partition: int
) -> list[Emit]:
    """Tell whose label a swap has put out of force, or back in force.

    Args:
        tracked: The model after the swap.
        before: What was in force before.
        done: The corrections that it covers; who asked for them is told apart.
        partition: Of the asset.
    """
    if before is None or not done:
        return []
    retracted = {each.update["target_id"] for each in done if each.kind == "RETRACT"}
    answered = {each.origin for each in done} | retracted
    champion = done[0].plan.champion
    emits = []
    for was, is_now in before.beside(tracked.state.labels):
        if was.by == is_now.by or not is_now.said:
            continue
        for source, told in ((was.by, ("RETRACTED", REPLACED)), (is_now.by, ("APPLIED", BACK))):
            if source is None or source.feedback in answered:
                continue
            if tracked.key.model == (source.model or champion):
                emits.append(_tell(tracked, source, told, partition))
    return emits


def _tell(tracked: Tracked, source: Source, told: tuple[str, str], partition: int) -> Emit:
    key, (status, reason) = tracked.key, told
    cause = {"topic": FEEDBACK, "partition": source.partition, "offset": source.offset}
    about = {"origin": source.feedback, "asset": key.asset, "stream": key.stream, "feature": None}
    update = {**about, "cause": cause}
    by = (key.model, tracked.state)
    return receipt(update, status, partition=partition, reason=reason, by=by)

"""Which record it is: narrowed by re-fold, lineage, dead letters, and a bit flipped back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.audit.flips import flipped_input, flipped_output
from tidemill.fold.audit.lineages import LineageReader
from tidemill.fold.audit.outputs import misplaced
from tidemill.fold.entry_marks import MARKED
from tidemill.fold.ledger import Digest
from tidemill.kernel.deadletters import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tidemill.fold.audit.applied import Applied
    from tidemill.fold.audit.outputs import Answers
    from tidemill.fold.ledger import Entry
    from tidemill.kernel.records import Message, Position
    from tidemill.models.state import ModelKey

_INPUTS = "the values applied must have the digest that the entry carries"
_OUTPUTS = "the values emitted must have the digest that the entry carries"


def altered_inputs(
    entry: Entry,
    applied: Applied,
    answers: Answers | None,
    *,
    before: Mapping[ModelKey, bytes],
    accused: Collection[Position] = (),
) -> list[Finding]:
    """Return findings for the inputs of an entry whose digest does not agree.

    Args:
        entry: The entry, unaltered.
        applied: Its inputs, of which one at least is altered.
        answers: Its outputs where they are as emitted; None where they prove nothing.
        before: Lineages of models before the entry, as far as known.
        accused: Records that the re-fold gave away.
    """
    everything = [message for run in applied.runs for message in run]
    lost = [] if answers is None else _lost(entry, applied, answers)
    if lost or not everything:
        return lost
    groups: list[list[Message]] = []
    if accused:
        groups = [[message] for message in everything if message.position in accused]
    elif answers is not None:
        groups = _by_evidence(entry, applied, answers, before)
    groups = groups or [everything]
    flip = flipped_input([r for r in applied.runs if r], entry.inputs, _union(groups))
    if flip is not None:
        place = Place.of(flip.message)
        found = f"it is altered: {flip}"
        return [Finding(Kind.INPUT_ALTERED, place, entry.sequence, _INPUTS, found)]
    return [_accusation(entry, group) for group in groups]


def _lost(entry: Entry, applied: Applied, answers: Answers) -> list[Finding]:
    """Return findings for events that have a prediction and are not there."""
    there = {message.offset for message in applied.of_topic(EVENTS)}
    gone = [s.source for s in answers.by_topic[PREDICTIONS] if s.source not in there]
    must, found = "an event that was predicted must be there", "no record stands at this offset"
    return [
        Finding(
            Kind.INPUT_MISSING,
            Place(EVENTS, entry.partition, offset, offset),
            entry.sequence,
            must,
            found,
        )
        for offset in gone
    ]


def _union(groups: list[list[Message]]) -> list[Message]:
    return list({message.position: message for group in groups for message in group}.values())


def _accusation(entry: Entry, group: list[Message]) -> Finding:
    place, *also = Place.spanning(group)
    if len(group) == 1:
        found = "outputs and lineage show that it is altered"
    else:
        found = f"one of these {len(group)} is altered; nothing else tells them apart"
    return Finding(Kind.INPUT_ALTERED, place, entry.sequence, _INPUTS, found, tuple(also))


def _by_evidence(
    entry: Entry, applied: Applied, answers: Answers, before: Mapping[ModelKey, bytes]
) -> list[list[Message]]:
    """Return groups of records, one at least of each group altered; empty if nothing shows."""
    evidence = LineageReader(entry, answers, before).read(applied)
    everything = [message for run in applied.runs for message in run]
    if evidence.accused:
        return [[message] for message in evidence.accused]
    broken = [[m for m in group if m.position not in evidence.cleared] for group in evidence.broken]
    broken = [group for group in broken if group]
    if broken:
        shared = set.intersection(*({m.position for m in group} for group in broken))
        together = [message for message in everything if message.position in shared]
        return [together] if together else _distinct(broken)
    left = [message for message in everything if message.position not in evidence.cleared]
    return [left] if left else []


def _distinct(groups: list[list[Message]]) -> list[list[Message]]:
    return list({tuple(m.position for m in group): group for group in groups}.values())


def altered_outputs(entry: Entry, applied: Applied, answers: Answers) -> list[Finding]:
    """Return findings for the outputs of an entry whose digest does not agree.

    Without a re-fold: by place, by what dead letters must hold, by a bit flipped back.
    """
    offsets = [message.offset for message in applied.of_topic(EVENTS)]
    out_of_place = misplaced(entry, answers, offsets)
    dead, mended = _altered_dead(entry, applied, answers)
    if out_of_place:
        return [*out_of_place, *dead]
    digest = Digest()
    for topic, messages in mended.items():
        digest.add(topic, [message.value for message in messages])
    if digest.result() == entry.emitted:
        return dead
    suspects = [m for topic in (PREDICTIONS, *MARKED) for m in mended.get(topic, [])]
    flip = flipped_output(mended, entry.emitted, suspects)
    if flip is not None:
        place = Place.of(flip.message)
        found = f"it is altered: {flip}"
        return [*dead, Finding(Kind.OUTPUT_ALTERED, place, entry.sequence, _OUTPUTS, found)]
    return [*dead, _one_of(entry, suspects)]


def _one_of(entry: Entry, suspects: Sequence[Message]) -> Finding:
    """Return the finding where nothing tells predictions apart, or there are none."""
    if not suspects:
        place = Place(PREDICTIONS, entry.partition, None, None)
        found = "outputs that were emitted are not there"
        return Finding(Kind.OUTPUT_MISSING, place, entry.sequence, _OUTPUTS, found)
    place, *also = Place.spanning(suspects)
    count = len(suspects)
    found = (
        "it is altered"
        if count == 1
        else f"one of these {count} is altered, or a dead letter is missing; a replay tells"
    )
    return Finding(Kind.OUTPUT_ALTERED, place, entry.sequence, _OUTPUTS, found, tuple(also))


def _altered_dead(
    entry: Entry, applied: Applied, answers: Answers
) -> tuple[list[Finding], dict[str, list[Message]]]:
    """Return findings for dead letters, and all outputs with the bytes dead letters must hold."""
    values = {(m.topic, m.offset): m.value for run in applied.runs for m in run}
    findings = []
    mended: dict[str, list[Message]] = {}
    for topic, some in answers.by_topic.items():
        for each in some:
            message = each.message
            if topic.endswith(SUFFIX):
                source = (topic.removesuffix(SUFFIX), each.source or 0)
                if source not in values or values[source] != message.value:
                    must = "a dead letter must hold the bytes of the record it names"
                    found = f"those of {source[0]}-{entry.partition}@{each.source} are others"
                    place = Place.of(message)
                    altered = Finding(Kind.OUTPUT_ALTERED, place, entry.sequence, must, found)
                    findings.append(altered)
                    message = message._replace(value=values.get(source, message.value))
            mended.setdefault(topic, []).append(message)
    return findings, mended
